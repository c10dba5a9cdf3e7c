//! A program that is confined without being a system.

use std::path::PathBuf;

use super::{Init, Mount, Privileges};

/// A program in namespaces of its own, without an init, a cgroup and a network of its
/// own. It sees an empty root, devices that every program may use, its own processes,
/// and the files that it is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The directory of the host that is covered, for this program alone, by its
    /// root.
    pub mount_point: PathBuf,
    /// Directories, files and trees that it sees, in this order.
    pub mounts: Vec<Mount>,
    /// Small files, by their absolute path inside, with their text.
    pub files: Vec<(PathBuf, String)>,
    /// Symbolic links: the path inside, and the path that the link holds.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// The program. Its user, if it has one, is found in the `/etc/passwd` of
    /// [`Program::files`].
    pub init: Init,
    /// Its privileges.
    pub privileges: Privileges,
    /// A listening socket that it gets as `man 3 sd_listen_fds` tells: the number of
    /// the caller's descriptor.
    pub socket: Option<i32>,
}
