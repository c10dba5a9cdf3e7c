//! Flags that say what programs inside may do (`man 1 systemd-nspawn`,
//! "Security Options").

use runtime::capabilities::CapabilitySet;

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
        _ => return None,
    })
}

fn security(parsed: Result<SecurityFlag, &'static str>) -> Result<Flag, &'static str> {
    parsed.map(Flag::Security)
}

fn capabilities_or_all(text: &str) -> Result<CapabilitySet, &'static str> {
    match text {
        "all" => Ok(CapabilitySet::ALL),
        _ => values::capabilities(text)
            .map_err(|_| "capabilities separated by commas, as CAP_SYS_TIME, or all"),
    }
}
