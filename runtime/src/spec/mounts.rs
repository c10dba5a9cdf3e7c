//! What is mounted inside a container.

use std::path::PathBuf;

use crate::spec::mount_attributes::{Attributes, Layer, Origin, Owners, Upper};

/// Something that is mounted inside.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// Absolute path inside, without `..`; made if there is nothing.
    pub target: PathBuf,
    /// What is seen there.
    pub content: Content,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A file or a tree that exists already.
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
        /// What is seen through, the lowest first; at most 13, and two at least
        /// without an upper one.
        lower: Vec<Layer>,
        /// Where changes go. Without, there can be none.
        upper: Option<Upper>,
    },
    /// What is there, and must be, cannot be seen.
    Inaccessible,
}

/// A file or a tree, seen at a second place.
#[derive(Debug, Clone, PartialEq)]
pub struct Bind {
    /// Whose tree.
    pub origin: Origin,
    /// Absolute path at its origin.
    pub source: PathBuf,
    /// With the mounts below it.
    pub recursive: bool,
    /// Attributes that the mount gets besides those of its origin.
    pub attributes: Attributes,
    /// Whose its files are in a user namespace.
    pub owners: Owners,
}
