//! Namespaces by their names.

use derive_more::Display;
use serde::Serialize;

/// A kind of namespace (`man 7 namespaces`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Serialize)]
#[display(rename_all = "lowercase")]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Namespace {
    Mount,
    Pid,
    Uts,
    Ipc,
    Net,
    Cgroup,
    User,
}

impl Namespace {
    /// The flags by which `clone3` makes these namespaces.
    pub(crate) fn clone_flags(namespaces: &[Self]) -> i32 {
        namespaces.iter().fold(0, |flags, namespace| {
            flags
                | match namespace {
                    Self::Mount => libc::CLONE_NEWNS,
                    Self::Pid => libc::CLONE_NEWPID,
                    Self::Uts => libc::CLONE_NEWUTS,
                    Self::Ipc => libc::CLONE_NEWIPC,
                    Self::Net => libc::CLONE_NEWNET,
                    Self::Cgroup => libc::CLONE_NEWCGROUP,
                    Self::User => libc::CLONE_NEWUSER,
                }
        })
    }
}
