//! What the container is told of a user of the host who has an account inside
//! (systemd's USER_RECORD.md and GROUP_RECORD.md), as far as it is of use here.

use std::path::{Path, PathBuf};

use runtime::rootfs::Root;
use runtime::spec::accounts::{Account, User};
use serde::{Deserialize, Serialize};

/// What everybody may know of a user.
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
    /// Who says so.
    pub service: String,
}

/// The primary group of such a user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupRecord {
    /// Its name.
    pub group_name: String,
    /// Its id inside.
    pub gid: u32,
    /// Who says so.
    pub service: String,
}

/// Longest record that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// The account in the running container with this root of a user who is bound
/// into it; `None` if there is no such user.
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
