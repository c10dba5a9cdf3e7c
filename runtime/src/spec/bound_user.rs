//! A user of the host with an account in the container while it runs.

use std::path::PathBuf;

use super::Secret;

/// A user of the host, with another number inside.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundUser {
    /// The name, on the host and inside, without `/`.
    pub name: String,
    /// User id on the host.
    pub uid: u32,
    /// Id of the primary group on the host.
    pub gid: u32,
    /// Both ids inside, in the container's user namespace.
    pub inside: u32,
    /// The home directory on the host, which can be shown with other owners.
    pub home: PathBuf,
    /// The user record of the account (systemd's USER_RECORD.md).
    pub user_record: String,
    /// The part of the user record that only root may read, if it has one.
    pub privileged_record: Option<Secret>,
    /// The group record (systemd's GROUP_RECORD.md).
    pub group_record: String,
}
