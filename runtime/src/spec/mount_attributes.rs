//! Attributes of mounts.

use std::path::PathBuf;

use derive_more::Display;
use serde::Serialize;

/// Where a bound tree comes from. Its words are those before a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The host.
    #[display("the host's ")]
    Host,
    /// The container itself.
    #[display("")]
    Container,
    /// The container's root directory, where
    /// [`MountStep::EmptyRoot`](crate::plan::step::MountStep::EmptyRoot) covers it.
    #[display("the root directory's ")]
    RootDirectory,
}

/// A directory of an overlay.
#[derive(Debug, Clone, PartialEq, Eq, Display, Serialize)]
#[display("{origin}{}", path.display())]
pub struct Layer {
    /// The root that the directory is in.
    pub origin: Origin,
    /// Absolute path at its origin.
    pub path: PathBuf,
}

/// The directory of an overlay that changes go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upper {
    /// The directory; made if missing.
    pub layer: Layer,
    /// The overlay's working directory, at the same origin and on the same mount;
    /// made if missing.
    pub work: PathBuf,
}

/// The owners that the files of a tree of the host have in a user namespace. Ids
/// outside of the namespace are shown as those of `nobody`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owners {
    /// The owners on the disk.
    OnDisk,
    /// Files of the host's root are shown as those of root inside, and so on.
    Mapped,
    /// Files of the tree's owner are shown as those of root inside, all others as
    /// those of `nobody`.
    RootIsOwner,
    /// Files of the tree's owner are shown as those of the owner of the directory or
    /// file that is covered, all others as those of `nobody`.
    TargetOwnerIsOwner,
    /// Files of one user and one group of the host are shown as those of one number
    /// inside, all others as those of `nobody`.
    Account {
        /// The user on the host.
        uid: u32,
        /// The group on the host.
        gid: u32,
        /// Both inside.
        inside: u32,
    },
}

impl Owners {
    pub(crate) fn mapped(mapped: bool) -> Self {
        if mapped { Self::Mapped } else { Self::OnDisk }
    }

    /// The words for people.
    pub(crate) fn words(self) -> impl Iterator<Item = String> {
        let words = match self {
            Self::OnDisk => None,
            Self::Mapped => Some("owners mapped".to_owned()),
            Self::RootIsOwner => Some("owner shown as root".to_owned()),
            Self::TargetOwnerIsOwner => Some("owner shown as that of the target".to_owned()),
            Self::Account { uid, gid, inside } => {
                Some(format!("{uid}:{gid} shown as {inside}:{inside}"))
            }
        };
        words.into_iter()
    }
}

/// Where mount events go (`man 7 mount_namespaces`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Propagation {
    /// In from the host, never out.
    #[display("keep mount events from the host")]
    Slave,
    /// Between the container and namespaces that it makes.
    #[display("share mount events within the container")]
    Shared,
}

/// Restrictions of a mount (`man 2 mount_setattr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Attributes {
    /// No writing.
    pub read_only: bool,
    /// Set-user-ID bits and file capabilities have no effect.
    pub no_suid: bool,
    /// Device nodes have no effect.
    pub no_devices: bool,
    /// Files cannot be executed.
    pub no_exec: bool,
}

impl Attributes {
    /// The names of the attributes in `mount(8)`.
    pub(crate) fn words(self) -> impl Iterator<Item = String> {
        [
            (self.read_only, "ro"),
            (self.no_suid, "nosuid"),
            (self.no_devices, "nodev"),
            (self.no_exec, "noexec"),
        ]
        .into_iter()
        .filter_map(|(set, word)| set.then_some(word.to_owned()))
    }

    /// No restriction.
    pub const NONE: Self = Self {
        read_only: false,
        no_suid: false,
        no_devices: false,
        no_exec: false,
    };
    /// No writing, and nothing else.
    pub const READ_ONLY: Self = Self {
        read_only: true,
        ..Self::NONE
    };
    /// Nix' store, whose files have neither set-user-ID bits nor devices: no writing.
    pub const STORE: Self = Self {
        read_only: true,
        ..Self::DATA
    };
    /// No set-user-ID bits, and nothing else.
    pub const NO_SUID: Self = Self {
        no_suid: true,
        ..Self::NONE
    };
    pub(crate) const DATA: Self = Self {
        no_devices: true,
        ..Self::NO_SUID
    };
    /// Data only: no devices, no programs, no set-user-ID bits.
    pub const KERNEL: Self = Self {
        no_exec: true,
        ..Self::DATA
    };
    pub(crate) const KERNEL_READ_ONLY: Self = Self {
        read_only: true,
        ..Self::KERNEL
    };
    pub(crate) const DEVICE: Self = Self {
        no_devices: false,
        ..Self::KERNEL_READ_ONLY
    };
}
