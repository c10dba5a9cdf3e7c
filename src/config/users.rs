//! The users of a container, in the terms of systemd-nspawn(1).

use runtime::{DEFAULT_COUNT, IdMap};

use super::error::Parsed;

/// `PRIVATE_USERS`, `--private-users=` or `-U`: the ids on the host of the users inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrivateUsers {
    /// `no`: the same ids, without a user namespace.
    #[default]
    No,
    /// `yes`: the ids that own the files in the root directory.
    OfRoot,
    /// `pick`: a free range.
    Pick,
    /// `-U`: like `pick`, or `no` if the kernel has no user namespaces.
    PickIfPossible,
    /// A range given by number, or `identity`.
    These(IdMap),
}

/// `--private-users-ownership=`: how the users inside become the owners of the files
/// below the root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// The owners stay as they are.
    Off,
    /// The owners are changed on the disk.
    Chown,
    /// The owners are mapped by an idmapped mount; nothing changes on the disk.
    Map,
    /// [`Ownership::Map`] if the file system supports it, else [`Ownership::Chown`].
    #[default]
    Auto,
}

const PRIVATE_USERS: &str = "no, yes, identity, pick, or the first user id for the container, as \
                             524288 or 524288:65536";

impl PrivateUsers {
    /// The value of `PRIVATE_USERS` and `--private-users=`. `0` and `1` are ids, not
    /// switches.
    pub fn parse(text: &str) -> Parsed<Self> {
        Ok(match text {
            "pick" => Self::Pick,
            "identity" => Self::These(IdMap::IDENTITY),
            // As systemd reads switches (man 7 systemd.syntax).
            "no" | "n" | "false" | "f" | "off" => Self::No,
            "yes" | "y" | "true" | "t" | "on" => Self::OfRoot,
            numbers => Self::These(ids(numbers).ok_or(PRIVATE_USERS)?),
        })
    }
}

/// `FIRST[:COUNT]`
fn ids(text: &str) -> Option<IdMap> {
    let number = |digits: &str| {
        let decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| decimal)
    };
    let (first, count) = match text.split_once(':') {
        Some((first, count)) => (first, number(count)?),
        None => (text, DEFAULT_COUNT),
    };
    IdMap::new(number(first)?, count)
}

impl Ownership {
    /// The value of `--private-users-ownership=`.
    pub fn parse(text: &str) -> Parsed<Self> {
        Ok(match text {
            "off" => Self::Off,
            "chown" => Self::Chown,
            "map" => Self::Map,
            "auto" => Self::Auto,
            _ => return Err("off, chown, map or auto"),
        })
    }
}

/// The value of `--bind-user=`: a name that systemd accepts, and that is safe as
/// the name of a file (systemd's USER_NAMES.md).
pub fn bound_user(text: &str) -> Parsed<String> {
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

    #[test]
    fn private_users_has_the_values_of_nspawn_and_nixos() {
        let these = |first, count| IdMap::new(first, count).map(PrivateUsers::These);
        for (text, expected) in [
            ("no", Some(PrivateUsers::No)),
            ("false", Some(PrivateUsers::No)),
            ("yes", Some(PrivateUsers::OfRoot)),
            ("pick", Some(PrivateUsers::Pick)),
            ("identity", these(0, 65536)),
            ("0", these(0, 65536)),
            ("1", these(1, 65536)),
            ("131072", these(131_072, 65536)),
            ("131072:1000", these(131_072, 1000)),
        ] {
            assert_eq!(PrivateUsers::parse(text).ok(), expected, "{text}");
        }
        for bad in [
            "",
            "Pick",
            "-1",
            "+1",
            "1:",
            ":1",
            "1:0",
            "1:2:3",
            "0x10000",
            "4294967295",
            "4294967290:6",
            "524288 ",
        ] {
            assert!(PrivateUsers::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ownership_has_the_values_of_nspawn() {
        assert_eq!(Ownership::parse("map"), Ok(Ownership::Map));
        assert!(Ownership::parse("maps").is_err());
    }
}
