//! A user of the host who has an account in the container while it runs.

use std::path::PathBuf;

use super::Secret;

/// A user of the host, who is another number inside.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundUser {
    /// The name, which is the same; no `/` in it.
    pub name: String,
    /// User id on the host.
    pub uid: u32,
    /// Id of the primary group on the host.
    pub gid: u32,
    /// Both ids inside; among those of the container's user namespace.
    pub inside: u32,
    /// The home directory on the host, which can be shown with other owners.
    pub home: PathBuf,
    /// The user record that tells the container of the account (systemd's
    /// USER_RECORD.md).
    pub user_record: String,
    /// What of it is root's alone to know, if there is something.
    pub privileged_record: Option<Secret>,
    /// The group record (systemd's GROUP_RECORD.md).
    pub group_record: String,
}
