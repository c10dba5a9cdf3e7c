//! The kernel's interfaces beside file systems, a file for each.

pub mod capabilities;
pub mod cgroup;
pub mod cgroup_v1;
pub(crate) mod clone;
pub mod cpus;
pub(crate) mod directory;
pub mod dnotify;
pub(crate) mod exec;
pub mod keyring;
pub(crate) mod landlock;
pub mod limits;
pub mod notify;
pub mod personality;
pub mod pid_namespace;
pub mod pidfd;
pub mod proc;
pub mod seccomp;
pub mod seqpacket;
pub mod untrusted_socket;
pub(crate) mod user_namespace;

/// The words for a list of things.
pub(crate) fn joined(items: impl IntoIterator<Item: ToString>, separator: &str) -> String {
    let words: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    words.join(separator)
}
