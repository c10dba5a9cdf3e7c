//! Users of the host with an account in the container, as in systemd-nspawn's
//! `--bind-user=`.

use std::path::{Path, PathBuf};

use super::RUN_HOST;
use super::step::{FileStep, MountStep, Step};
use super::steps::{directory, file, symlink};
use crate::spec::BoundUser;
use crate::spec::mount_attributes::{Attributes, Origin, Owners};

/// The directory of records of the host's users and groups, which nss-systemd and
/// others read (`man 8 nss-systemd`, "JSON user and group records").
pub const USER_RECORDS: &str = "/run/host/userdb";

/// The home directory of a bound user inside.
pub fn home_of_bound_user(name: &str) -> PathBuf {
    Path::new(RUN_HOST).join("home").join(name)
}

pub(super) fn bound(user: &BoundUser) -> Vec<Step> {
    let mut steps = vec![Step::Mount(MountStep::Bind {
        origin: Origin::Host,
        source: user.home.clone(),
        target: home_of_bound_user(&user.name),
        recursive: true,
        attributes: Attributes::NO_SUID,
        owners: Owners::Account {
            uid: user.uid,
            gid: user.gid,
            inside: user.inside,
        },
        optional: false,
    })];
    steps.extend(records(user));
    steps
}

/// The records of a user, each to be found by name and by number.
fn records(user: &BoundUser) -> Vec<Step> {
    let records = Path::new(USER_RECORDS);
    let by_number = |kind: &str| {
        let path = records.join(format!("{}.{kind}", user.inside));
        symlink(path, format!("{}.{kind}", user.name))
    };
    let by_name = |kind: &str| records.join(format!("{}.{kind}", user.name));
    let mut steps = vec![
        directory(records, 0o755),
        file(by_name("user"), &user.user_record),
        by_number("user"),
        file(by_name("group"), &user.group_record),
        by_number("group"),
    ];
    if let Some(record) = &user.privileged_record {
        steps.push(Step::File(FileStep::Credential {
            path: by_name("user-privileged"),
            contents: record.clone(),
        }));
        steps.push(by_number("user-privileged"));
    }
    steps
}
