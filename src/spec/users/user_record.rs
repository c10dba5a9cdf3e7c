//! Records of the users of the host that have an account in the container: the used
//! fields of systemd's USER_RECORD.md and GROUP_RECORD.md.

use std::path::{Path, PathBuf};

use runtime::rootfs::Root;
use runtime::spec::accounts::{Account, User};
use serde::{Deserialize, Serialize};

/// The public part of a user's record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRecord {
    /// Login name.
    pub user_name: String,
    /// User id inside.
    pub uid: u32,
    /// Id of the primary group inside.
    pub gid: u32,
    /// Home directory inside.
    pub home_directory: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
    /// The program that made the record.
    pub service: String,
}

/// The record of the primary group of such a user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupRecord {
    /// Its name.
    pub group_name: String,
    /// Its id inside.
    pub gid: u32,
    /// The program that made the record.
    pub service: String,
}

/// Longest record, in bytes.
const LONGEST: u64 = 64 << 10;

/// The account of a bound user in the running container with this root; `None` if it
/// has no such user.
pub fn account_of_bound_user(container: &Root, user: &User) -> Option<Account> {
    let file = Path::new(runtime::USER_RECORDS).join(format!("{user}.user"));
    let record = container.read_file(&file, LONGEST).ok()?;
    let record: UserRecord = serde_json::from_slice(&record).ok()?;
    Some(Account {
        name: record.user_name,
        uid: record.uid,
        gid: record.gid,
        groups: vec![record.gid],
        home: record.home_directory,
        shell: record.shell,
    })
}
