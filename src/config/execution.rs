//! How init is run, and which identity it has (`man 1 systemd-nspawn`, "Execution
//! Options" and "System Identity Options").

use std::path::PathBuf;

use runtime::Id128;
use runtime::spec::accounts::User;

use super::values::Parsed;

/// How init is run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Execution {
    /// `--setenv`: variables, the last assignment of each holds. Without a
    /// value, it is the caller's.
    pub environment: Vec<(String, Option<String>)>,
    /// `--chdir`
    pub working_directory: Option<PathBuf>,
    /// `--hostname`: it is the container's name otherwise.
    pub hostname: Option<String>,
    /// `--uuid`: for a container that has given itself no id yet.
    pub machine_id: Option<Id128>,
    /// `--user`: who init runs as, if not root.
    pub user: Option<User>,
    /// `--as-pid2`: it runs below a stub that is process 1.
    pub as_pid2: bool,
    /// `--kill-signal`: asks init for a halt.
    pub kill_signal: Option<i32>,
    /// `--notify-ready`: whether init says that it is ready, which it does if
    /// nothing is said; else it is when it runs.
    pub notify_ready: Option<bool>,
    /// `--console`
    pub console: Console,
}

/// What becomes of what init writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Console {
    /// It goes to a terminal, and from there to the log.
    #[default]
    Logged,
    /// It goes to a terminal that nobody looks at.
    Ignored,
    /// It goes to a pipe, and from there to the log; there is no terminal.
    Pipe,
}

impl Console {
    /// The value of `--console=`.
    pub fn parse(text: &str) -> Parsed<Self> {
        match text {
            "read-only" => Ok(Self::Logged),
            "passive" => Ok(Self::Ignored),
            // There is no terminal that a supervisor would be called from.
            "pipe" | "autopipe" => Ok(Self::Pipe),
            _ => Err(
                "read-only, passive, pipe or autopipe; nobody sits at the console of a \
                  container in the background, for which there are `login` and `run`",
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
    fn variables_have_values_or_the_callers() {
        let set = |name: &str, value: Option<&str>| Ok((name.to_owned(), value.map(str::to_owned)));
        assert_eq!(variable("A=b=c"), set("A", Some("b=c")));
        assert_eq!(variable("A="), set("A", Some("")));
        assert_eq!(variable("_a1"), set("_a1", None));
        for bad in ["", "=a", "1A=b", "A-B=c", "Ä=b"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_are_those_of_the_internet() {
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
    fn machine_ids_may_have_dashes() {
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
