//! Flags that say what programs inside may do (`man 1 systemd-nspawn`,
//! "Security Options").

use std::collections::BTreeSet;

use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::seccomp;

use super::{Flag, Meaning};
use crate::config::values;

/// A flag about privileges.
#[derive(Debug, Clone, PartialEq)]
pub enum SecurityFlag {
    /// `--capability=`
    Capabilities(CapabilitySet),
    /// `--drop-capability=`
    DropCapabilities(CapabilitySet),
    /// `--ambient-capability=`
    AmbientCapabilities(CapabilitySet),
    /// `--no-new-privileges=`
    NoNewPrivileges(bool),
    /// `--system-call-filter=`
    SystemCalls {
        /// Their names.
        calls: BTreeSet<&'static str>,
        /// Whether they are permitted, or prohibited (`~` before the list).
        permitted: bool,
    },
    /// `--suppress-sync=`
    SuppressSync(bool),
}

/// What one of these flags says; none if it is none of them.
pub(super) fn meaning(flag: &str) -> Option<Meaning> {
    use SecurityFlag as Is;
    Some(match flag {
        "--capability" => {
            Meaning::With(|value| security(capabilities_or_all(value).map(Is::Capabilities)))
        }
        "--drop-capability" => {
            Meaning::With(|value| security(capabilities_or_all(value).map(Is::DropCapabilities)))
        }
        "--ambient-capability" => Meaning::With(|value| {
            security(values::capabilities(value).map(Is::AmbientCapabilities))
        }),
        "--no-new-privileges" => {
            Meaning::With(|value| security(values::boolean(value).map(Is::NoNewPrivileges)))
        }
        "--system-call-filter" => Meaning::With(|value| security(system_calls(value))),
        "--suppress-sync" => {
            Meaning::With(|value| security(values::boolean(value).map(Is::SuppressSync)))
        }
        _ => return None,
    })
}

fn security(parsed: Result<SecurityFlag, &'static str>) -> Result<Flag, &'static str> {
    parsed.map(Flag::Security)
}

/// A list's words are separated by blanks, which separate flags, too: so it has
/// one word, and there can be more lists.
fn system_calls(text: &str) -> Result<SecurityFlag, &'static str> {
    let (permitted, word) = match text.strip_prefix('~') {
        Some(word) => (false, word),
        None => (true, text),
    };
    let calls = seccomp::calls_named(word).ok_or(
        "a system call, or a group of them as `systemd-analyze syscall-filter` shows, with ~ \
         before it to prohibit it",
    )?;
    Ok(SecurityFlag::SystemCalls { calls, permitted })
}

fn capabilities_or_all(text: &str) -> Result<CapabilitySet, &'static str> {
    match text {
        "all" => Ok(CapabilitySet::ALL),
        _ => values::capabilities(text)
            .map_err(|_| "capabilities separated by commas, as CAP_SYS_TIME, or all"),
    }
}
