//! Flags that say how init is run, and as what it knows itself (`man 1
//! systemd-nspawn`, "Execution Options" and "System Identity Options").

use std::path::PathBuf;

use runtime::Id128;
use runtime::spec::accounts::User;

use super::{Flag, Meaning};
use crate::config::{Console, values};

/// A flag about init.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecutionFlag {
    /// `--setenv=NAME[=VALUE]`, `-E`; without a value, it is the one that
    /// whoever starts the container has.
    SetEnvironment(String, Option<String>),
    /// `--chdir=`
    WorkingDirectory(PathBuf),
    /// `--hostname=`
    Hostname(String),
    /// `--uuid=`
    MachineId(Id128),
    /// `--user=`, `-u`
    User(User),
    /// `--as-pid2`, `-a`
    AsPid2,
    /// `--kill-signal=`
    KillSignal(i32),
    /// `--notify-ready=`
    NotifyReady(bool),
    /// `--console=`, `--pipe`, `-P`
    Console(Console),
}

/// What one of these flags says; none if it is none of them.
pub(super) fn meaning(flag: &str) -> Option<Meaning> {
    use ExecutionFlag as Is;
    Some(match flag {
        "--setenv" | "-E" => Meaning::With(|value| execution(set_environment(value))),
        "--chdir" => {
            Meaning::With(|value| execution(values::path(value).map(Is::WorkingDirectory)))
        }
        "--hostname" => Meaning::With(|value| execution(hostname(value).map(Is::Hostname))),
        "--user" | "-u" => Meaning::With(|value| execution(user(value).map(Is::User))),
        "--as-pid2" | "-a" => Meaning::Alone(Flag::Execution(Is::AsPid2)),
        "--kill-signal" => {
            Meaning::With(|value| execution(values::signal(value).map(Is::KillSignal)))
        }
        "--notify-ready" => {
            Meaning::With(|value| execution(values::boolean(value).map(Is::NotifyReady)))
        }
        "--console" => Meaning::With(|value| execution(console(value).map(Is::Console))),
        "--pipe" | "-P" => Meaning::Alone(Flag::Execution(Is::Console(Console::Pipe))),
        "--uuid" => Meaning::With(|value| execution(machine_id(value).map(Is::MachineId))),
        _ => return None,
    })
}

fn execution(parsed: Result<ExecutionFlag, &'static str>) -> Result<Flag, &'static str> {
    parsed.map(Flag::Execution)
}

/// Names are those that a shell can assign to, as systemd's
/// `env_name_is_valid` wants them.
fn set_environment(text: &str) -> Result<ExecutionFlag, &'static str> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let valid = name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !valid {
        return Err("a variable's name, or NAME=VALUE");
    }
    Ok(ExecutionFlag::SetEnvironment(
        name.to_owned(),
        value.map(str::to_owned),
    ))
}

/// Longest name that the kernel takes, in bytes (`man 2 sethostname`).
const LONGEST_HOSTNAME: usize = 64;

/// Labels separated by dots (RFC 1123, section 2.1).
fn hostname(text: &str) -> Result<String, &'static str> {
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

/// Neither the names of `man 5 passwd` nor numbers hold these.
fn user(text: &str) -> Result<User, &'static str> {
    if text.is_empty() || text.contains([':', '/', ',']) {
        return Err("a user's name or number");
    }
    Ok(text.parse().unwrap_or_else(|never| match never {}))
}

fn console(text: &str) -> Result<Console, &'static str> {
    match text {
        "read-only" => Ok(Console::Logged),
        "passive" => Ok(Console::Ignored),
        // There is no terminal that a supervisor would be called from.
        "pipe" | "autopipe" => Ok(Console::Pipe),
        _ => Err(
            "read-only, passive, pipe or autopipe; nobody sits at the console of a \
                  container in the background, for which there are `login` and `run`",
        ),
    }
}

/// With dashes, as UUIDs are written, or without.
fn machine_id(text: &str) -> Result<Id128, &'static str> {
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
    use crate::config::nspawn_flags::parse;

    fn read(text: &str) -> Option<ExecutionFlag> {
        match parse(text).ok()?.as_slice() {
            [Flag::Execution(flag)] => Some(flag.clone()),
            _ => None,
        }
    }

    #[test]
    fn variables_have_values_or_the_callers() {
        let set = |name: &str, value: Option<&str>| {
            ExecutionFlag::SetEnvironment(name.to_owned(), value.map(str::to_owned))
        };
        assert_eq!(read("--setenv=A=b=c"), Some(set("A", Some("b=c"))));
        assert_eq!(read("-E A="), Some(set("A", Some(""))));
        assert_eq!(read("-E_a1"), Some(set("_a1", None)));
        for bad in ["=a", "1A=b", "A-B=c", "Ä=b"] {
            assert_eq!(read(&format!("--setenv={bad}")), None, "{bad}");
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
