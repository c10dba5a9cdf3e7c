//! The `/` of a container.

use std::path::PathBuf;

/// The `/` of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Root {
    /// Absolute host path of the container's root directory. It exists even if the
    /// container sees nothing of it.
    pub directory: PathBuf,
    /// The use of it.
    pub tree: RootTree,
    /// In a user namespace: whether files of the host's root are shown as those of
    /// root inside, and so on. Otherwise files have their owners on the disk.
    pub map_owners: bool,
    /// Whether it is read-only for the container. A start still makes the files that
    /// it needs.
    pub read_only: bool,
    /// Whether its `/var` is a writable file system in memory, empty at every start.
    pub empty_var: bool,
}

/// The use of a container's root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootTree {
    /// The directory itself, with the host's mounts below it.
    Directory,
    /// The directory as it is at the start, without the mounts below it. Changes go
    /// to memory and are lost when the container ends.
    Snapshot,
    /// A file system in memory, empty at every start.
    Empty,
    /// As `Empty`, with the directory's `/usr`, read-only.
    Usr,
}
