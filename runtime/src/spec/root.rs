//! What a container has as `/`.

use std::path::PathBuf;

/// What a container has as `/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Root {
    /// Absolute host path of the container's root directory. It exists even
    /// where nothing of it is seen.
    pub directory: PathBuf,
    /// What is made of it.
    pub tree: RootTree,
    /// In a user namespace: what is the host's root's is shown as that of root
    /// inside, and so on. Otherwise the owners are those on the disk, most of
    /// whom nobody inside is.
    pub map_owners: bool,
    /// The container cannot change it. What is missing in it and needed at the
    /// start is made all the same.
    pub read_only: bool,
    /// Its `/var` is empty at every start, in memory, and can be changed.
    pub empty_var: bool,
}

/// What is made of a container's root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootTree {
    /// The directory itself, with what the host has mounted below it.
    Directory,
    /// The directory as it is at the start, without what is mounted below it.
    /// Changes are in memory, and gone when the container ends.
    Snapshot,
    /// Nothing of it: empty at every start, in memory.
    Empty,
    /// Its `/usr`, which cannot be changed; the rest is empty.
    Usr,
}
