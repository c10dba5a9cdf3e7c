//! Users and groups of a container (`man 5 passwd`, `man 5 group`).

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use derive_more::Display;
use serde::Serialize;

/// A user by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Display, Serialize)]
#[serde(untagged)]
pub enum User {
    /// By name.
    Name(String),
    /// By number.
    Number(u32),
}

impl User {
    /// The superuser.
    pub fn root() -> Self {
        Self::Name("root".to_owned())
    }
}

impl FromStr for User {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text
            .parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Number))
    }
}

/// The account of a user, as a login needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Id of the primary group.
    pub gid: u32,
    /// Ids of all groups, the primary one first.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

impl Account {
    /// Finds the user's account in the contents of `/etc/passwd` and `/etc/group`.
    /// As for the C library, the first matching line counts.
    pub fn find(passwd: &str, group: &str, user: &User) -> Option<Self> {
        let mut account = passwd
            .lines()
            .filter_map(Self::parse)
            .find(|account| match user {
                User::Name(name) => account.name == *name,
                User::Number(number) => account.uid == *number,
            })?;
        for id in group
            .lines()
            .filter_map(|line| group_with_member(line, &account.name))
        {
            if !account.groups.contains(&id) {
                account.groups.push(id);
            }
        }
        Some(account)
    }

    /// Root's account in a system without users, early in its first boot.
    pub fn bare_root() -> Self {
        Self {
            name: "root".to_owned(),
            uid: 0,
            gid: 0,
            groups: vec![0],
            home: "/root".into(),
            shell: DEFAULT_SHELL.into(),
        }
    }

    /// The variables by which programs know their user.
    pub(crate) fn environment(&self) -> [(String, String); 3] {
        let name = || self.name.clone();
        let home = self.home.to_string_lossy().into_owned();
        [("HOME", home), ("USER", name()), ("LOGNAME", name())]
            .map(|(key, value)| (key.to_owned(), value))
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        let &[name, _, uid, gid, _, home, shell] = fields.as_slice() else {
            return None;
        };
        if name.is_empty() {
            return None;
        }
        let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.into();
        let gid = id(gid)?;
        Some(Self {
            name: name.to_owned(),
            uid: id(uid)?,
            gid,
            groups: vec![gid],
            home: or(home, "/"),
            shell: or(shell, DEFAULT_SHELL),
        })
    }
}

/// The shell of accounts without one (`man 5 passwd`).
const DEFAULT_SHELL: &str = "/bin/sh";

/// The group's id, if the user is listed as a member.
fn group_with_member(line: &str, user: &str) -> Option<u32> {
    let fields: Vec<&str> = line.split(':').collect();
    let &[_, _, gid, members] = fields.as_slice() else {
        return None;
    };
    members
        .split(',')
        .any(|member| member == user)
        .then(|| id(gid))?
}

/// An id. The last number is not one: for `setresuid` it means "unchanged"
/// (`man 2 setresuid`), and the caller is root.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "toor:x:0:0::/t:/bin/t\n\
        root:x:0:0:System administrator:/root:/run/sw/bin/bash\n\
        bare:x:7:7:::\n\
        short:x:8:8\n\
        minusone:x:4294967295:100::/:/bin/sh\n\
        nogroup:x:9:4294967295::/:/bin/sh\n\
        alice:x:1000:100:Alice:/home/alice:/bin/zsh\n\
        alice:x:0:0:Mallory:/root:/bin/sh\n";
    const GROUP: &str = "wheel:x:1:root,alice\nusers:x:100:alice\nbroken:x:3\n\
        all:x:4294967295:alice\nalicesfriends:x:5:alicesfriend,malice\n";

    fn find(user: &str) -> Option<Account> {
        let user: User = user.parse().expect("any text is a user");
        Account::find(PASSWD, GROUP, &user)
    }

    #[test]
    fn an_account_is_found_by_name_or_number_with_its_groups() {
        let alice = find("alice").expect("there");
        assert_eq!((alice.uid, alice.gid), (1000, 100));
        assert_eq!(alice.groups, [100, 1]);
        assert_eq!(alice.home, PathBuf::from("/home/alice"));
        assert_eq!(alice.shell, PathBuf::from("/bin/zsh"));
        assert_eq!(find("1000"), Some(alice));
        assert_eq!(find("root").expect("there").groups, [0, 1]);
        assert_eq!(find("mallory"), None);
        assert_eq!(find("1001"), None);
    }

    #[test]
    fn empty_fields_of_an_account_have_defaults() {
        let bare = find("bare").expect("there");
        assert_eq!(bare.home, PathBuf::from("/"));
        assert_eq!(bare.shell, PathBuf::from("/bin/sh"));
    }

    #[test]
    fn malformed_lines_are_not_accounts() {
        for user in ["short", "8", "minusone", "4294967295", "nogroup", ""] {
            assert_eq!(find(user), None, "{user:?}");
        }
    }
}
