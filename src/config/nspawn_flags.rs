//! The flags of systemd-nspawn(1) that `EXTRA_NSPAWN_FLAGS` carries.
//!
//! nixpkgs' unit writes the variable without quotes into a shell's command
//! line, so blanks alone separate words, and no quote holds any together.

mod credentials;
mod execution;
mod integration;
mod mounts;
mod network;
mod resources;
mod security;
mod users;

pub use execution::ExecutionFlag;
pub use integration::IntegrationFlag;
pub use mounts::MountFlag;
pub use network::NetworkFlag;
pub use resources::ResourceFlag;
pub use security::SecurityFlag;

use super::Credential;
pub use users::UserFlag;

/// A flag, with its value typed and validated.
#[derive(Debug, Clone, PartialEq)]
pub enum Flag {
    /// What the container is connected to.
    Network(NetworkFlag),
    /// What file systems it sees.
    Mounts(MountFlag),
    /// How init is run.
    Execution(ExecutionFlag),
    /// What programs inside may do.
    Security(SecurityFlag),
    /// What the host and the container share.
    Integration(IntegrationFlag),
    /// What init is told that nobody else shall know.
    Credential(Credential),
    /// What programs inside may use.
    Resource(ResourceFlag),
    /// Which users its own are.
    Users(UserFlag),
}

/// Why flags cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FlagError {
    /// The value does not fit the flag, or is missing.
    #[error("{flag} is {value:?}, but must be {expected}")]
    Value {
        /// The flag as it was written.
        flag: String,
        /// The value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The flag stands alone.
    #[error("{flag} takes no value, but is {value:?}")]
    Superfluous {
        /// The flag.
        flag: String,
        /// The value.
        value: String,
    },
    /// No such flag.
    #[error("{0} is none of the flags of systemd-nspawn(1) that containers know")]
    Unknown(String),
    /// A word that stands where a flag is expected.
    #[error("{0:?} is not a flag; blanks separate words, and quotes do not hold them together")]
    Word(String),
}

/// What a flag says.
enum Meaning {
    Alone(Flag),
    With(fn(&str) -> Result<Flag, &'static str>),
    /// A value stands in the same word.
    Either(Flag, fn(&str) -> Result<Flag, &'static str>),
}

/// Reads flags as systemd-nspawn does: `--flag=VALUE`, `--flag VALUE`, `-fVALUE`
/// and `-f VALUE`, and several short ones behind one dash.
pub fn parse(text: &str) -> Result<Vec<Flag>, FlagError> {
    let mut words = text
        .split([' ', '\t', '\n'])
        .filter(|word| !word.is_empty());
    let mut flags = Vec::new();
    while let Some(word) = words.next() {
        if word.starts_with("--") && word != "--" {
            flags.push(long(word, &mut words)?);
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| is_name(rest)) {
            short(letters, &mut words, &mut flags)?;
        } else {
            return Err(FlagError::Word(word.to_owned()));
        }
    }
    Ok(flags)
}

/// Neither `-` alone nor `--`, which end the flags.
fn is_name(letters: &str) -> bool {
    !letters.is_empty() && letters != "-"
}

fn long<'a>(word: &str, words: &mut impl Iterator<Item = &'a str>) -> Result<Flag, FlagError> {
    let (flag, value) = match word.split_once('=') {
        Some((flag, value)) => (flag, Some(value)),
        None => (word, None),
    };
    match (meaning(flag)?, value) {
        (Meaning::Alone(flag) | Meaning::Either(flag, _), None) => Ok(flag),
        (Meaning::Either(_, read), Some(value)) => with_value(flag, value, read),
        (Meaning::Alone(_), Some(value)) => Err(FlagError::Superfluous {
            flag: flag.to_owned(),
            value: value.to_owned(),
        }),
        (Meaning::With(read), value) => {
            let value = value.or_else(|| words.next()).unwrap_or_default();
            with_value(flag, value, read)
        }
    }
}

/// The letters behind one dash. The first that takes a value has the rest of
/// the word for it, or else the next word.
fn short<'a>(
    letters: &str,
    words: &mut impl Iterator<Item = &'a str>,
    flags: &mut Vec<Flag>,
) -> Result<(), FlagError> {
    for (index, letter) in letters.char_indices() {
        let flag = format!("-{letter}");
        match meaning(&flag)? {
            Meaning::Alone(flag) | Meaning::Either(flag, _) => flags.push(flag),
            Meaning::With(read) => {
                let rest = Some(&letters[index + letter.len_utf8()..]);
                let value = rest.filter(|rest| !rest.is_empty());
                let value = value.or_else(|| words.next()).unwrap_or_default();
                flags.push(with_value(&flag, value, read)?);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn with_value(
    flag: &str,
    value: &str,
    read: fn(&str) -> Result<Flag, &'static str>,
) -> Result<Flag, FlagError> {
    read(value).map_err(|expected| FlagError::Value {
        flag: flag.to_owned(),
        value: value.to_owned(),
        expected,
    })
}

fn meaning(flag: &str) -> Result<Meaning, FlagError> {
    let themes = [
        network::meaning,
        mounts::meaning,
        execution::meaning,
        credentials::meaning,
        integration::meaning,
        security::meaning,
        resources::meaning,
        users::meaning,
    ];
    if let Some(meaning) = themes.iter().find_map(|theme| theme(flag)) {
        return Ok(meaning);
    }
    Err(FlagError::Unknown(flag.to_owned()))
}

#[cfg(test)]
mod tests {
    use netns::InterfaceName;
    use proptest::prelude::*;

    use super::*;
    use crate::config::values;

    fn port(text: &str) -> Flag {
        Flag::Network(NetworkFlag::Port(values::port(text).expect("valid")))
    }

    #[test]
    fn a_value_follows_an_equals_sign_or_a_blank() {
        let bridge = InterfaceName::new("br0").expect("valid");
        let bridge = Flag::Network(NetworkFlag::Bridge(bridge));
        assert_eq!(parse("--network-bridge=br0"), Ok(vec![bridge.clone()]));
        assert_eq!(parse(" --network-bridge\t br0\n"), Ok(vec![bridge]));
        assert_eq!(parse(" \n"), Ok(vec![]));
    }

    #[test]
    fn short_flags_may_share_a_dash() {
        let both = vec![Flag::Network(NetworkFlag::Veth), port("8080:80")];
        for text in ["-n -p 8080:80", "-n -p8080:80", "-np8080:80", "-np 8080:80"] {
            assert_eq!(parse(text), Ok(both.clone()), "{text}");
        }
        assert_eq!(parse("--network-veth --port=tcp:8080:80"), Ok(both));
    }

    #[test]
    fn errors_name_flag_value_and_what_is_expected() {
        for (text, message) in [
            (
                "--network-bridge=a/b",
                "--network-bridge is \"a/b\", but must be an interface's name of at most 15 \
                 characters",
            ),
            (
                "--network-zone",
                "--network-zone is \"\", but must be a zone's name of at most 12 characters",
            ),
            (
                "--network-veth-extra=a:b:c",
                "--network-veth-extra is \"a:b:c\", but must be names of the host's and the \
                 container's end of a link, as lan-web:lan0",
            ),
            (
                "--network-macvlan=",
                "--network-macvlan is \"\", but must be an interface's name, as eth1 or eth1:lan0",
            ),
            (
                "-np 0",
                "-p is \"0\", but must be a port, as 8080:80 or udp:53",
            ),
            (
                "--network-namespace-path run/foo",
                "--network-namespace-path is \"run/foo\", but must be an absolute path",
            ),
            (
                "--private-network=yes",
                "--private-network takes no value, but is \"yes\"",
            ),
            (
                "--bind-user=../a",
                "--bind-user is \"../a\", but must be the name of a user of the host",
            ),
            (
                "--network-bridges=br0",
                "--network-bridges is none of the flags of systemd-nspawn(1) that containers know",
            ),
            (
                "-nä",
                "-ä is none of the flags of systemd-nspawn(1) that containers know",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
        for text in ["--", "-", "--private-network foo", "\"-n\""] {
            assert!(matches!(parse(text), Err(FlagError::Word(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(-{0,3}[a-zä]{0,3}[= ]?|--network-|--port|-p|.)*") {
            let _ = parse(&text);
        }
    }
}
