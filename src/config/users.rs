//! Which users a container's are, in the words of systemd-nspawn(1).

use runtime::{DEFAULT_COUNT, IdMap};

use super::values::Parsed;

/// `PRIVATE_USERS`, `--private-users=` or `-U`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrivateUsers {
    /// `no`: the host's.
    #[default]
    No,
    /// `yes`: those that the root directory's files belong to already.
    OfRoot,
    /// `pick`: some that nobody else has.
    Pick,
    /// `-U`: likewise, unless the kernel has no user namespaces.
    PickIfPossible,
    /// These, by number; `identity`.
    These(IdMap),
}

/// `--private-users-ownership=`: how the files below the root directory come to
/// belong to the users inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// They belong to whom they belong.
    Off,
    /// They are given to them.
    Chown,
    /// They are shown as theirs; nothing changes on the disk.
    Map,
    /// They are shown as theirs where the file system can do that, and given to
    /// them where it cannot.
    #[default]
    Auto,
}

const PRIVATE_USERS: &str = "no, yes, identity, pick, or the first user id for the container, as \
                             524288 or 524288:65536";

impl PrivateUsers {
    /// A number is no switch: `0` and `1` are users.
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
    /// Reads a word of systemd-nspawn's.
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
    fn private_users_are_those_of_nspawn_and_nixos() {
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
    fn ownership_has_the_words_of_nspawn() {
        assert_eq!(Ownership::parse("map"), Ok(Ownership::Map));
        assert!(Ownership::parse("maps").is_err());
    }
}
