//! Users of the host with an account in the container while it runs (`man 1
//! systemd-nspawn`, `--bind-user=`).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use runtime::rootfs::Root;
use runtime::spec::accounts::{Account, User};
use runtime::{BoundUser, Secret, home_of_bound_user};
use serde_json::json;

use super::Users;
use super::user_record::{GroupRecord, UserRecord};
use crate::container::mountinfo;

/// Their ids inside: systemd-nspawn's range for bound users (systemd's
/// UIDS-GIDS.md).
const INSIDE: std::ops::RangeInclusive<u32> = 60514..=60577;

/// Longest user database of a container, in bytes.
const LONGEST_DATABASE: u64 = 4 << 20;

/// The default shell of NixOS (`users.defaultUserShell`). The container need not have
/// the shell of the host's account.
const SHELL: &str = "/run/current-system/sw/bin/bash";

/// The group of all normal users of NixOS (`ids.nix` of nixpkgs). A set-group-ID file
/// of this group gives no user further rights.
const USERS: u32 = 100;

/// The `service` of this program's records.
const SERVICE: &str = "nixos-container";

/// Resolves users of the host. `container` is the root directory of the container, if
/// its user databases are in it.
pub fn resolve(
    names: &[String],
    users: Option<&Users>,
    container: Option<&Root>,
) -> Result<Vec<BoundUser>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let users = users.context(
        "--bind-user needs a user namespace, in which the host's users get accounts; add \
         --private-users=pick",
    )?;
    let host = Databases::of_host()?;
    let inside = Databases::of_container(container);
    let mut bound: Vec<BoundUser> = Vec::new();
    for name in names {
        if bound.iter().any(|user| user.name == *name) {
            continue;
        }
        let cannot = || format!("cannot use --bind-user={name}");
        let number = free_number(&inside, &bound, users).with_context(cannot)?;
        bound.push(bind(name, number, &host, &inside, users).with_context(cannot)?);
    }
    Ok(bound)
}

fn bind(
    name: &str,
    number: u32,
    host: &Databases,
    inside: &Databases,
    users: &Users,
) -> Result<BoundUser> {
    let account = Account::find(&host.passwd, &host.group, &User::Name(name.to_owned()));
    let account = account.context("the host's /etc/passwd has no such user")?;
    if account.uid == 0 {
        bail!("the host's root has no account inside; the container has its own root");
    }
    if account.gid != USERS && host.group_named(name) != Some(account.gid) {
        bail!(
            "programs inside could make files of the host's group {}, which is not {name}'s \
             alone; give the user a primary group of the same name",
            account.gid
        );
    }
    if inside.has(name) {
        bail!("the container already has a user or group of that name");
    }
    let home = &account.home;
    if !home.is_dir() {
        bail!("the home directory {} does not exist", home.display());
    }
    if !users.can_map_to_one(home)? {
        bail!(
            "the owner of the home directory {} cannot be mapped: {} does not support that",
            home.display(),
            mountinfo::file_system_of(home)
        );
    }
    let user_record = UserRecord {
        user_name: name.to_owned(),
        uid: number,
        gid: number,
        home_directory: home_of_bound_user(name),
        shell: SHELL.into(),
        service: SERVICE.to_owned(),
    };
    let group_record = GroupRecord {
        group_name: name.to_owned(),
        gid: number,
        service: SERVICE.to_owned(),
    };
    Ok(BoundUser {
        name: name.to_owned(),
        uid: account.uid,
        gid: account.gid,
        inside: number,
        home: home.clone(),
        user_record: serde_json::to_string(&user_record)?,
        privileged_record: host.password(name).map(privileged_record),
        group_record: serde_json::to_string(&group_record)?,
    })
}

fn privileged_record(password: &str) -> Secret {
    let record = json!({ "privileged": { "hashedPassword": [password] } });
    record.to_string().into_bytes().into()
}

/// The first number that no user or group inside has.
fn free_number(inside: &Databases, bound: &[BoundUser], users: &Users) -> Result<u32> {
    let is_taken = |number: u32| {
        bound.iter().any(|user| user.inside == number) || inside.has(&number.to_string())
    };
    INSIDE
        .take_while(|number| users.ids.to_host(*number).is_some())
        .find(|number| !is_taken(*number))
        .context("the container has no free number between 60514 and 60577")
}

/// The user databases of a system.
#[derive(Debug, Default)]
struct Databases {
    passwd: String,
    group: String,
    shadow: String,
}

impl Databases {
    fn of_host() -> Result<Self> {
        let read = |path: &str| {
            let contents = fs::read(path).with_context(|| format!("cannot read {path}"))?;
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(&contents).into_owned())
        };
        Ok(Self {
            passwd: read("/etc/passwd")?,
            group: read("/etc/group")?,
            // Not every host has this file.
            shadow: read("/etc/shadow").unwrap_or_default(),
        })
    }

    fn of_container(root: Option<&Root>) -> Self {
        let read = |path| {
            let contents =
                root.and_then(|root| root.read_file(Path::new(path), LONGEST_DATABASE).ok());
            String::from_utf8_lossy(&contents.unwrap_or_default()).into_owned()
        };
        Self {
            passwd: read("/etc/passwd"),
            group: read("/etc/group"),
            shadow: String::new(),
        }
    }

    /// Whether there is a user or a group with this name or number.
    fn has(&self, word: &str) -> bool {
        let mut lines = self.passwd.lines().chain(self.group.lines());
        lines.any(|line| {
            let mut fields = line.split(':');
            fields.next() == Some(word) || fields.nth(1) == Some(word)
        })
    }

    /// The number of a group.
    fn group_named(&self, name: &str) -> Option<u32> {
        self.group.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
        })
    }

    /// The hash of a user's password; `None` if no password can match (`man 5 shadow`).
    fn password(&self, name: &str) -> Option<&str> {
        let mut lines = self.shadow.lines();
        let hash = lines.find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.next())?
        })?;
        (!hash.is_empty() && !hash.starts_with(['!', '*'])).then_some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases() -> Databases {
        Databases {
            passwd: "root:x:0:0::/root:/bin/sh\nbob:x:1234:1235::/home/bob:/bin/sh\n".to_owned(),
            group: "wheel:x:1:bob\nodd\n".to_owned(),
            shadow: "root:!:1::::::\nbob:$y$hash:1::::::\nann::1::::::\neve:*:\n".to_owned(),
        }
    }

    #[test]
    fn names_and_numbers_are_taken_by_users_and_groups() {
        for taken in ["root", "0", "bob", "1234", "wheel", "1", "odd"] {
            assert!(databases().has(taken), "{taken}");
        }
        for free in ["x", "1235", "", "bo"] {
            assert!(!databases().has(free), "{free}");
        }
    }

    #[test]
    fn groups_have_numbers() {
        for (name, number) in [("wheel", Some(1)), ("odd", None), ("bob", None)] {
            assert_eq!(databases().group_named(name), number, "{name}");
        }
    }

    #[test]
    fn locked_and_empty_passwords_are_none() {
        for (name, hash) in [
            ("bob", Some("$y$hash")),
            ("root", None),
            ("ann", None),
            ("eve", None),
            ("missing", None),
        ] {
            assert_eq!(databases().password(name), hash, "{name}");
        }
    }
}
