//! How init is run, and which identity it has (`man 1 systemd-nspawn`, "Execution
//! Options" and "System Identity Options").

use std::path::PathBuf;

use runtime::Id128;
use runtime::spec::accounts::User;

use super::error::Parsed;

/// How init is run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Execution {
    /// `--setenv`: variables, of which the last assignment holds. A variable without a
    /// value has the caller's.
    pub environment: Vec<(String, Option<String>)>,
    /// `--chdir`: the working directory of init.
    pub working_directory: Option<PathBuf>,
    /// `--hostname`: the host name, if not the container's name.
    pub hostname: Option<String>,
    /// `--uuid`: the machine id, if the container has none yet.
    pub machine_id: Option<Id128>,
    /// `--user`: the user of init, if not root.
    pub user: Option<User>,
    /// `--as-pid2`: init runs below a stub that is process 1.
    pub as_pid2: bool,
    /// `--kill-signal`: the signal that asks init for a halt.
    pub kill_signal: Option<i32>,
    /// `--notify-ready`: whether init reports that it is ready (the default); if not,
    /// it counts as ready as soon as it runs.
    pub notify_ready: Option<bool>,
    /// `--console`: the destination of init's output.
    pub console: Console,
}

/// The destination of init's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Console {
    /// A terminal, which is copied to the log.
    #[default]
    Logged,
    /// A terminal, which is read and discarded.
    Ignored,
    /// A pipe, which is copied to the log; there is no terminal.
    Pipe,
}

impl Console {
    /// The value of `--console=`.
    pub fn parse(text: &str) -> Parsed<Self> {
        match text {
            "read-only" => Ok(Self::Logged),
            "passive" => Ok(Self::Ignored),
            // A supervisor is never called from a terminal.
            "pipe" | "autopipe" => Ok(Self::Pipe),
            _ => Err(
                "read-only, passive, pipe or autopipe; a container in the background has no \
                  interactive console, use `login` or `run`",
            ),
        }
    }
}

/// The value of `--setenv=`: `NAME[=VALUE]`. A name is one that a shell can assign
/// to, as systemd's `env_name_is_valid` checks it.
pub fn variable(text: &str) -> Parsed<(String, Option<String>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let valid = name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !valid {
        return Err("a variable's name, or NAME=VALUE");
    }
    Ok((name.to_owned(), value.map(str::to_owned)))
}

/// Longest name that the kernel takes, in bytes (`man 2 sethostname`).
const LONGEST_HOSTNAME: usize = 64;

/// The value of `--hostname=`: labels separated by dots (RFC 1123, section 2.1).
pub fn hostname(text: &str) -> Parsed<String> {
    let is_label = |label: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty()
            && label.chars().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= LONGEST_HOSTNAME && text.split('.').all(is_label) {
        Ok(text.to_owned())
    } else {
        Err("a host name of at most 64 letters, digits, dashes and dots")
    }
}

/// The value of `--user=`.
pub fn user(text: &str) -> Parsed<User> {
    // Neither the names of `man 5 passwd` nor numbers contain these.
    if text.is_empty() || text.contains([':', '/', ',']) {
        return Err("a user's name or number");
    }
    Ok(text.parse().unwrap_or_else(|never| match never {}))
}

/// The value of `--uuid=`: with dashes, as UUIDs are written, or without.
pub fn machine_id(text: &str) -> Parsed<Id128> {
    let id = match text.len() {
        36 => Id128::parse(&text.replace('-', ""))
            .filter(|id| id.hyphenated() == text.to_ascii_lowercase()),
        _ => Id128::parse(text),
    };
    id.ok_or("a UUID that is not all zeros")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_has_a_value_or_the_callers() {
        let set = |name: &str, value: Option<&str>| Ok((name.to_owned(), value.map(str::to_owned)));
        assert_eq!(variable("A=b=c"), set("A", Some("b=c")));
        assert_eq!(variable("A="), set("A", Some("")));
        assert_eq!(variable("_a1"), set("_a1", None));
        for bad in ["", "=a", "1A=b", "A-B=c", "Ä=b"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hostname_is_one_of_the_internet() {
        let longest = "a".repeat(64);
        for name in ["a", "A1.b-c", &longest] {
            assert_eq!(hostname(name), Ok(name.to_owned()));
        }
        let too_long = "a".repeat(65);
        for name in ["", "a_b", "-a", "a-", "a..b", "a.", "a/b", &too_long] {
            assert!(hostname(name).is_err(), "{name}");
        }
    }

    #[test]
    fn machine_id_may_have_dashes() {
        let id = machine_id("0123456789abcdef0123456789abcdef");
        assert!(id.is_ok());
        assert_eq!(machine_id("01234567-89AB-cdef-0123-456789abcdef"), id);
        for bad in [
            "00000000-0000-0000-0000-000000000000",
            "0123456-789ab-cdef-0123-456789abcdef0",
            "01234567-89ab-cdef-0123-456789abcde",
            "",
        ] {
            assert!(machine_id(bad).is_err(), "{bad}");
        }
    }
}
