//! Flags that say which users the container's are.

use super::{Flag, Meaning};
use crate::config::{Ownership, PrivateUsers};

/// A flag about users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserFlag {
    /// `--private-users[=]`, `-U`
    PrivateUsers(PrivateUsers),
    /// `--private-users-ownership=`
    Ownership(Ownership),
    /// `--bind-user=`
    Bind(String),
}

/// What one of these flags says; none if it is none of them.
pub(super) fn meaning(flag: &str) -> Option<Meaning> {
    Some(match flag {
        "--private-users" => Meaning::Either(private_users(PrivateUsers::OfRoot), |value| {
            PrivateUsers::parse(value).map(private_users)
        }),
        "--private-users-ownership" => Meaning::With(|value| {
            Ownership::parse(value)
                .map(UserFlag::Ownership)
                .map(Flag::Users)
        }),
        "--bind-user" => Meaning::With(|value| name(value).map(UserFlag::Bind).map(Flag::Users)),
        "-U" => Meaning::Alone(private_users(PrivateUsers::PickIfPossible)),
        _ => return None,
    })
}

fn private_users(users: PrivateUsers) -> Flag {
    Flag::Users(UserFlag::PrivateUsers(users))
}

/// A name that systemd takes, and that is a file's (systemd's USER_NAMES.md).
fn name(text: &str) -> Result<String, &'static str> {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_further = |c: char| is_first(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
    if text.starts_with(is_first) && text.chars().all(is_further) {
        Ok(text.to_owned())
    } else {
        Err("the name of a user of the host")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::nspawn_flags::parse;

    #[test]
    fn a_value_for_private_users_follows_an_equals_sign_alone() {
        for (text, expected) in [
            ("--private-users", private_users(PrivateUsers::OfRoot)),
            ("--private-users=pick", private_users(PrivateUsers::Pick)),
            ("-U", private_users(PrivateUsers::PickIfPossible)),
            (
                "--bind-user=bob.b-1",
                Flag::Users(UserFlag::Bind("bob.b-1".to_owned())),
            ),
            (
                "--private-users-ownership chown",
                Flag::Users(UserFlag::Ownership(Ownership::Chown)),
            ),
        ] {
            assert_eq!(parse(text), Ok(vec![expected]), "{text}");
        }
        assert!(parse("--private-users pick").is_err());
        assert_eq!(
            parse("--private-users=").expect_err("empty").to_string(),
            "--private-users is \"\", but must be no, yes, identity, pick, or the first user id \
             for the container, as 524288 or 524288:65536"
        );
    }
}
