//! A command line of systemd-nspawn(1), as far as containers support it.

mod table;

use super::{ContainerConfig, FlagError};
use table::{Effect, Setter};

const BLANKS: [char; 3] = [' ', '\t', '\n'];

/// The words of `EXTRA_NSPAWN_FLAGS`. nixpkgs' unit writes the variable without
/// quotes into a shell's command line, where blanks separate words. Beyond that, a word
/// may stand in single or double quotes. Elsewhere a quote is an ordinary character, as
/// for that shell.
///
/// # Errors
///
/// A quote that does not end with its word.
pub fn words(text: &str) -> Result<Vec<String>, FlagError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(BLANKS);
    while let Some(first) = rest.chars().next() {
        let (word, behind) = match first {
            '"' | '\'' => quoted(rest, first).ok_or_else(|| FlagError::Quote(rest.to_owned()))?,
            _ => {
                let (word, behind) = rest.split_at(rest.find(BLANKS).unwrap_or(rest.len()));
                (word.to_owned(), behind)
            }
        };
        words.push(word);
        rest = behind.trim_start_matches(BLANKS);
    }
    Ok(words)
}

/// The word in quotes at the beginning of a text, and the text behind it. In double
/// quotes, a backslash makes a double quote or a backslash an ordinary character.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut rest = text[1..].chars();
    loop {
        match rest.next()? {
            c if c == quote => break,
            '\\' if quote == '"' && rest.as_str().starts_with(['"', '\\']) => {
                word.extend(rest.next());
            }
            c => word.push(c),
        }
    }
    let behind = rest.as_str();
    (behind.is_empty() || behind.starts_with(BLANKS)).then_some((word, behind))
}

/// Writes words so that [`words`] reads them back.
pub fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = words.into_iter().map(|word| {
        let is_plain = !word.is_empty() && !word.contains(BLANKS) && !word.starts_with(['"', '\'']);
        match is_plain {
            true => word.to_owned(),
            false => format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\"")),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Applies the flags of a command line to a configuration, as systemd-nspawn reads
/// them: `--flag=VALUE`, `--flag VALUE`, `-fVALUE` and `-f VALUE`, and several letters
/// after one dash.
///
/// # Errors
///
/// The first flag that is unknown or has a bad value; those before it are applied.
pub fn apply<'a>(
    config: &mut ContainerConfig,
    words: impl IntoIterator<Item = &'a str>,
) -> Result<(), FlagError> {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        // `-` and `--` end the flags of systemd-nspawn.
        match word.strip_prefix('-') {
            None | Some("" | "-") => return Err(FlagError::Word(word.to_owned())),
            Some(rest) if rest.starts_with('-') => long(config, word, &mut words)?,
            Some(letters) => short(config, letters, &mut words)?,
        }
    }
    Ok(())
}

fn long<'a>(
    config: &mut ContainerConfig,
    word: &str,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<(), FlagError> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let (set, value) = match (effect(name)?, value) {
        (Effect::Switch(set), None) => {
            set(config);
            return Ok(());
        }
        (Effect::Switch(_), Some(value)) => {
            return Err(FlagError::Superfluous {
                flag: name.to_owned(),
                value: value.to_owned(),
            });
        }
        (Effect::Value(set), value) => (set, value.or_else(|| words.next()).unwrap_or_default()),
        (Effect::Optional(default, set), value) => (set, value.unwrap_or(default)),
    };
    set_value(config, name, value, set)
}

/// Applies the letters after one dash. The value of the first one that takes a value is
/// the rest of the word, or else the next word.
fn short<'a>(
    config: &mut ContainerConfig,
    letters: &str,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<(), FlagError> {
    for (index, letter) in letters.char_indices() {
        let name = format!("-{letter}");
        match effect(&name)? {
            Effect::Switch(set) => set(config),
            Effect::Optional(default, set) => set_value(config, &name, default, set)?,
            Effect::Value(set) => {
                let rest = Some(&letters[index + letter.len_utf8()..]);
                let value = rest.filter(|rest| !rest.is_empty());
                let value = value.or_else(|| words.next()).unwrap_or_default();
                return set_value(config, &name, value, set);
            }
        }
    }
    Ok(())
}

fn set_value(
    config: &mut ContainerConfig,
    name: &str,
    value: &str,
    set: Setter,
) -> Result<(), FlagError> {
    set(config, value).map_err(|expected| FlagError::Value {
        flag: name.to_owned(),
        value: value.to_owned(),
        expected,
    })
}

fn effect(name: &str) -> Result<Effect, FlagError> {
    table::find(name).ok_or_else(|| FlagError::Unknown(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use netns::{ExtraVeth, HostInterface, InterfaceName, Veth, ZoneName};
    use proptest::prelude::*;

    use super::*;
    use crate::config::{
        LinkJournal, Ownership, PrivateUsers, RootConfig, Volatile, resolv_conf, values,
    };

    fn parse(text: &str) -> Result<ContainerConfig, FlagError> {
        let mut config = ContainerConfig::default();
        apply(&mut config, words(text)?.iter().map(String::as_str)).map(|()| config)
    }

    fn interface(name: &str) -> InterfaceName {
        InterfaceName::new(name).expect("valid")
    }

    #[test]
    fn a_value_follows_an_equals_sign_or_a_blank() {
        let expected = ContainerConfig {
            host_bridge: Some(interface("br0")),
            ..ContainerConfig::default()
        };
        assert_eq!(parse("--network-bridge=br0"), Ok(expected.clone()));
        assert_eq!(parse(" --network-bridge\t br0\n"), Ok(expected));
        assert_eq!(parse(" \n"), Ok(ContainerConfig::default()));
    }

    #[test]
    fn a_word_in_quotes_holds_blanks() {
        for (text, expected) in [
            (r#"'--bind=/a b' -n"#, vec!["--bind=/a b", "-n"]),
            (
                r#""--setenv=A=\"b\" \\ \c" -n"#,
                vec![r#"--setenv=A="b" \ \c"#, "-n"],
            ),
            (r#"-E 'A=it"s'"#, vec!["-E", "A=it\"s"]),
            ("''", vec![""]),
            // As in the command line of nixpkgs' unit.
            (
                r#"--setenv=A="b" --bind=/a\:b"#,
                vec![r#"--setenv=A="b""#, r"--bind=/a\:b"],
            ),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(words(text), Ok(expected), "{text}");
        }
        for text in ["'-n", "-n \"", "'-n'x", r#""-n\""#] {
            let error = words(text).expect_err(text).to_string();
            assert!(
                error.ends_with("has a quote that does not end with its word"),
                "{error}"
            );
        }
    }

    #[test]
    fn words_of_an_argument_list_may_hold_blanks() {
        let mut config = ContainerConfig::default();
        let bound = apply(
            &mut config,
            ["--setenv", "A=b c", "--bind=/a b", "-E", "B="],
        );
        assert_eq!(bound, Ok(()));
        let set = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let environment = &config.execution.environment;
        assert_eq!(environment, &[set("A", "b c"), set("B", "")]);
        assert_eq!(config.mounts[0].target.to_str(), Some("/a b"));
    }

    #[test]
    fn short_flags_may_share_a_dash() {
        let expected = ContainerConfig {
            veth: true,
            host_ports: vec![values::port("8080:80").expect("valid")],
            ..ContainerConfig::default()
        };
        for text in ["-n -p 8080:80", "-n -p8080:80", "-np8080:80", "-np 8080:80"] {
            assert_eq!(parse(text), Ok(expected.clone()), "{text}");
        }
        assert_eq!(parse("--network-veth --port=tcp:8080:80"), Ok(expected));
    }

    #[test]
    fn the_last_value_holds_and_lists_grow() {
        let both =
            parse("--volatile --volatile=overlay --console=pipe --console=passive -p 1 -p 2");
        let both = both.expect("valid");
        assert_eq!(both.root.volatile, Volatile::Overlay);
        assert_eq!(both.execution.console, crate::config::Console::Ignored);
        assert_eq!(both.host_ports.len(), 2);
    }

    #[test]
    fn flags_of_the_network_set_its_fields() {
        let text = "--private-network --network-veth-extra=lan-web:lan0 \
                    --network-veth-extra wan --network-zone=inner --network-interface=eth1 \
                    --network-macvlan=eth2:mac0 --network-ipvlan=eth3 \
                    --network-namespace-path=/run/netns/foo --resolv-conf=off";
        let extra = |outside: &str, inside: &str| ExtraVeth {
            name: interface(inside),
            host_name: Some(interface(outside)),
            veth: Veth::default(),
        };
        let moved = |outside: &str, inside: Option<&str>| HostInterface {
            interface: interface(outside),
            name: inside.map(interface),
        };
        let expected = ContainerConfig {
            private_network: true,
            extra_veths: vec![extra("lan-web", "lan0"), extra("wan", "wan")],
            zone: ZoneName::new("inner").ok(),
            interfaces: vec![moved("eth1", None)],
            macvlans: vec![moved("eth2", Some("mac0"))],
            ipvlans: vec![moved("eth3", None)],
            network_namespace: Some("/run/netns/foo".into()),
            resolv_conf: Some(resolv_conf::Mode::Off),
            ..ContainerConfig::default()
        };
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn flags_of_the_root_set_its_fields() {
        let root = |text: &str| parse(text).map(|config| config.root);
        let (ephemeral, volatile) = (
            RootConfig {
                snapshot: true,
                ..RootConfig::default()
            },
            |volatile| RootConfig {
                volatile,
                ..RootConfig::default()
            },
        );
        for (text, expected) in [
            ("--ephemeral", ephemeral),
            ("-x", ephemeral),
            ("--volatile", volatile(Volatile::Yes)),
            ("--volatile=overlay", volatile(Volatile::Overlay)),
            ("--volatile=no", volatile(Volatile::No)),
        ] {
            assert_eq!(root(text), Ok(expected), "{text}");
        }
        assert!(root("--read-only").is_ok_and(|root| root.read_only));
    }

    #[test]
    fn short_flags_of_their_own_have_fixed_values() {
        let journal = parse("-j").map(|config| config.link_journal);
        assert_eq!(journal, Ok(LinkJournal::Guest { attempt: true }));
        let users = parse("-U").map(|config| config.private_users);
        assert_eq!(users, Ok(PrivateUsers::PickIfPossible));
    }

    #[test]
    fn private_users_takes_a_value_behind_an_equals_sign_only() {
        let users = |text: &str| parse(text).map(|config| config.private_users);
        assert_eq!(users("--private-users"), Ok(PrivateUsers::OfRoot));
        assert_eq!(users("--private-users=pick"), Ok(PrivateUsers::Pick));
        assert!(users("--private-users pick").is_err());
        let ownership = parse("--private-users-ownership chown").map(|config| config.ownership);
        assert_eq!(ownership, Ok(Ownership::Chown));
        let bound = parse("--bind-user=bob.b-1").map(|config| config.bound_users);
        assert_eq!(bound, Ok(vec!["bob.b-1".to_owned()]));
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
                "--private-users=",
                "--private-users is \"\", but must be no, yes, identity, pick, or the first user \
                 id for the container, as 524288 or 524288:65536",
            ),
            (
                "--volatile=",
                "--volatile is \"\", but must be yes, no, state or overlay",
            ),
            (
                "--network-bridges=br0",
                "--network-bridges is not a flag of systemd-nspawn(1) that containers support",
            ),
            (
                "-nä",
                "-ä is not a flag of systemd-nspawn(1) that containers support",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
        for text in ["--", "-", "--private-network foo", "'n'"] {
            assert!(matches!(parse(text), Err(FlagError::Word(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn joined_words_are_read_back(all in proptest::collection::vec("[^\0]*", 0..4)) {
            prop_assert_eq!(words(&join(all.iter().map(String::as_str))), Ok(all));
        }

        #[test]
        fn no_text_panics(text in "(-{0,3}[a-zä]{0,3}[= ]?|--network-|--port|-p|.)*") {
            let _ = parse(&text);
        }
    }
}
