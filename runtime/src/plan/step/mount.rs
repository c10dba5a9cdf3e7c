//! Mounts that the child makes and changes.

use std::path::PathBuf;

use derive_more::Display;
use serde::Serialize;

use crate::spec::mount_attributes::{Attributes, Layer, Origin, Owners, Propagation, Upper};
use crate::sys::joined;

/// A file and a directory that cannot be read, to bind over others.
pub(crate) const INACCESSIBLE_FILE: &str = "/run/host/inaccessible/reg";
pub(crate) const INACCESSIBLE_DIRECTORY: &str = "/run/host/inaccessible/dir";

/// One change of the mounts that the child sees.
#[derive(Debug, Clone, PartialEq, Display, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum MountStep {
    /// Sets where mount events go, for all mounts so far.
    #[display("{propagation}")]
    SetPropagation {
        /// Where they go.
        propagation: Propagation,
    },
    /// Makes the root directory a mount of its own, with the mounts of the host
    /// below it, and the child's working directory. Paths inside are resolved in
    /// it from here on.
    #[display(
        "make {} a mount{}{}",
        source.display(),
        if *read_only_below { ", and those below it read-only" } else { "" },
        parenthesised(Owners::mapped(*map_owners).words())
    )]
    BindRoot {
        /// The root directory on the host.
        source: PathBuf,
        /// Files of the host's root are shown as those of root inside, and so on.
        map_owners: bool,
        /// The mounts of the host below it become read-only.
        read_only_below: bool,
    },
    /// Covers the root directory with a file system in memory, which becomes the
    /// root as in [`MountStep::BindRoot`].
    #[display("cover {} with a tmpfs{}", directory.display(), parenthesised(parameters(options)))]
    EmptyRoot {
        /// The root directory on the host.
        directory: PathBuf,
        /// Parameters of the file system.
        options: Vec<(String, String)>,
    },
    /// Covers the root directory with an overlay of it and a file system in
    /// memory, which becomes the root as in [`MountStep::BindRoot`].
    #[display(
        "overlay {} with a tmpfs{}",
        lower.display(),
        parenthesised(Owners::mapped(*map_owners).words().chain(parameters(options)))
    )]
    OverlayRoot {
        /// The root directory on the host.
        lower: PathBuf,
        /// As with [`MountStep::BindRoot`].
        map_owners: bool,
        /// Parameters of the file system in memory.
        options: Vec<(String, String)>,
    },
    /// Makes the root directory `/`, with the host's tree mounted over it until
    /// [`MountStep::DetachHost`].
    #[display("make it /")]
    PivotRoot,
    /// Detaches the host's tree.
    #[display("detach the host's file systems")]
    DetachHost,
    /// Mounts a file system of the container's own.
    #[display(
        "mount {fstype} on {}{}",
        target.display(),
        parenthesised(attributes.words().chain(parameters(options)))
    )]
    Mount {
        /// Its type, as in `/proc/filesystems`.
        fstype: String,
        /// Path inside; made if missing.
        target: PathBuf,
        /// Attributes of the mount.
        attributes: Attributes,
        /// Parameters of the file system; one without a value has an empty one.
        options: Vec<(String, String)>,
    },
    /// Shows a file or a tree that exists at a second place.
    #[display(
        "bind {origin}{} on {}{}{}",
        source.display(),
        if *origin == Origin::Container && source == target {
            "itself".into()
        } else {
            target.to_string_lossy()
        },
        parenthesised(attributes.words().chain(owners.words())),
        if *optional { " if it exists" } else { "" }
    )]
    Bind {
        /// The root that the source is in.
        origin: Origin,
        /// Path at its origin.
        source: PathBuf,
        /// Path inside; made if missing.
        target: PathBuf,
        /// With the mounts below it.
        recursive: bool,
        /// Attributes that the mount gets besides those of its origin.
        attributes: Attributes,
        /// Owners of its files in a user namespace.
        owners: Owners,
        /// A source that is missing is no error.
        optional: bool,
    },
    /// Shows directories on top of each other.
    #[display("overlay {} on {}", layers(lower, upper.as_ref()), target.display())]
    Overlay {
        /// The read-only layers, the lowest first.
        lower: Vec<Layer>,
        /// Where changes go. Without it, the overlay is read-only.
        upper: Option<Upper>,
        /// Path inside; made if missing.
        target: PathBuf,
    },
    /// Shows some entries of a directory of the host.
    #[display(
        "mount the entries of the host's {} that {} names on {}{}",
        directory.display(),
        names.display(),
        target.display(),
        parenthesised(Owners::mapped(*map_owners).words())
    )]
    Selection {
        /// The directory on the host.
        directory: PathBuf,
        /// The names, on the host.
        names: PathBuf,
        /// Path inside; made if missing.
        target: PathBuf,
        /// Files of the host's root are shown as those of root inside, and so on.
        map_owners: bool,
    },
    /// Covers a file or a directory with an empty one that cannot be read.
    #[display("hide {}", target.display())]
    Hide {
        /// Path inside.
        target: PathBuf,
        /// A target that is missing is no error.
        optional: bool,
    },
    /// Adds attributes to a mount that exists.
    #[display("restrict {}{}", target.display(), parenthesised(attributes.words()))]
    Restrict {
        /// Path inside.
        target: PathBuf,
        /// The attributes.
        attributes: Attributes,
    },
}

impl MountStep {
    pub(super) fn manual(&self) -> &'static str {
        match self {
            Self::SetPropagation { .. } => "mount_namespaces(7)",
            Self::BindRoot { .. } | Self::Bind { .. } | Self::Hide { .. } => {
                "open_tree(2), move_mount(2)"
            }
            Self::EmptyRoot { .. }
            | Self::OverlayRoot { .. }
            | Self::Mount { .. }
            | Self::Overlay { .. }
            | Self::Selection { .. } => "fsopen(2), move_mount(2)",
            Self::PivotRoot => "pivot_root(2)",
            Self::DetachHost => "umount2(2), MNT_DETACH",
            Self::Restrict { .. } => "mount_setattr(2)",
        }
    }
}

fn parameters(options: &[(String, String)]) -> impl Iterator<Item = String> {
    options.iter().map(|(key, value)| match value.as_str() {
        "" => key.clone(),
        value => format!("{key}={value}"),
    })
}

/// All layers of an overlay, the lowest first.
fn layers(lower: &[Layer], upper: Option<&Upper>) -> String {
    joined(lower.iter().chain(upper.map(|upper| &upper.layer)), ", ")
}

/// The words in parentheses, if there are any.
fn parenthesised(words: impl Iterator<Item = String>) -> String {
    match joined(words, ", ") {
        words if words.is_empty() => words,
        words => format!(" ({words})"),
    }
}
