//! Flags that say what the host and the container share (`man 1
//! systemd-nspawn`, "Integration Options").

use super::{Flag, Meaning};
use crate::config::{LinkJournal, TimeZone};

/// A flag about what is shared.
#[derive(Debug, Clone, PartialEq)]
pub enum IntegrationFlag {
    /// `--link-journal=`, `-j`
    LinkJournal(LinkJournal),
    /// `--timezone=`
    TimeZone(TimeZone),
}

/// What one of these flags says; none if it is none of them.
pub(super) fn meaning(flag: &str) -> Option<Meaning> {
    use IntegrationFlag as Is;
    Some(match flag {
        "--link-journal" => {
            Meaning::With(|value| integration(link_journal(value).map(Is::LinkJournal)))
        }
        "-j" => Meaning::Alone(Flag::Integration(Is::LinkJournal(LinkJournal::Guest {
            attempt: true,
        }))),
        "--timezone" => Meaning::With(|value| integration(time_zone(value).map(Is::TimeZone))),
        _ => return None,
    })
}

fn integration(parsed: Result<IntegrationFlag, &'static str>) -> Result<Flag, &'static str> {
    parsed.map(Flag::Integration)
}

fn link_journal(text: &str) -> Result<LinkJournal, &'static str> {
    Ok(match text {
        "no" => LinkJournal::No,
        "host" => LinkJournal::Host { attempt: false },
        "try-host" => LinkJournal::Host { attempt: true },
        "guest" => LinkJournal::Guest { attempt: false },
        "try-guest" => LinkJournal::Guest { attempt: true },
        "auto" => LinkJournal::Auto,
        _ => return Err("no, host, try-host, guest, try-guest or auto"),
    })
}

fn time_zone(text: &str) -> Result<TimeZone, &'static str> {
    Ok(match text {
        "off" => TimeZone::Off,
        "copy" => TimeZone::Copy,
        "bind" => TimeZone::Bind,
        "symlink" => TimeZone::Symlink,
        "delete" => TimeZone::Delete,
        "auto" => TimeZone::Auto,
        _ => return Err("off, copy, bind, symlink, delete or auto"),
    })
}
