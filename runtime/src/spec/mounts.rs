//! Mounts of a container.

use std::path::PathBuf;

use crate::spec::mount_attributes::{Attributes, Layer, Origin, Owners, Upper};

/// A mount inside.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// Absolute path inside, without `..`; made if missing.
    pub target: PathBuf,
    /// What the mount shows.
    pub content: Content,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A file or a tree that exists.
    Bind(Bind),
    /// A file system in memory, empty at every start.
    Tmpfs {
        /// Attributes of the mount.
        attributes: Attributes,
        /// Parameters of the file system, `man 5 tmpfs`; one without a value
        /// has an empty one.
        options: Vec<(String, String)>,
    },
    /// Directories on top of each other
    /// (`Documentation/filesystems/overlayfs.rst` of Linux).
    Overlay {
        /// The read-only layers, the lowest first: at most 13, and without an upper
        /// one at least two.
        lower: Vec<Layer>,
        /// Where changes go. Without it, the overlay is read-only.
        upper: Option<Upper>,
    },
    /// Some entries of a directory of the host, and no others.
    Selection(Selection),
    /// Covers a file or directory, which must exist, so that it cannot be read.
    Inaccessible,
}

/// A file or a tree, seen at a second place.
#[derive(Debug, Clone, PartialEq)]
pub struct Bind {
    /// The root that the source is in.
    pub origin: Origin,
    /// Absolute path at its origin.
    pub source: PathBuf,
    /// With the mounts below it.
    pub recursive: bool,
    /// Attributes that the mount gets besides those of its origin.
    pub attributes: Attributes,
    /// The owners of its files in a user namespace.
    pub owners: Owners,
}

/// Some entries of a directory of the host, read-only.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Absolute path of the directory on the host.
    pub directory: PathBuf,
    /// Absolute path on the host of the entries' names, which
    /// [`SelectedNames`](crate::rootfs::selection::SelectedNames) makes.
    pub names: PathBuf,
    /// Files of the host's root are shown as those of root inside, and so on.
    pub map_owners: bool,
}
