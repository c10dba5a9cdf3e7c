//! What the host and the container share (`man 1 systemd-nspawn`, "Integration
//! Options").

use super::values::Parsed;

/// `--timezone`: how the container comes by the host's time zone. NixOS has its
/// own in its configuration, so nothing is done unless somebody asks for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeZone {
    /// Not at all.
    #[default]
    Off,
    /// By a copy of the host's file.
    Copy,
    /// By the host's file itself.
    Bind,
    /// By a link to the zone of the same name.
    Symlink,
    /// Not at all, and its own goes too.
    Delete,
    /// By a link if the host has one, else by a copy; by the file itself where
    /// nothing can be written.
    Auto,
}

/// `--link-journal`: whose journal the container's is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkJournal {
    /// Its own.
    No,
    /// It is on the host's disk.
    Host {
        /// If that is impossible, it is its own after all.
        attempt: bool,
    },
    /// It is on the container's, and the host has a link to it.
    Guest {
        /// If that is impossible, it is its own after all.
        attempt: bool,
    },
    /// As it was at the last start.
    #[default]
    Auto,
}

impl TimeZone {
    /// The value of `--timezone=`.
    pub fn parse(text: &str) -> Parsed<Self> {
        Ok(match text {
            "off" => Self::Off,
            "copy" => Self::Copy,
            "bind" => Self::Bind,
            "symlink" => Self::Symlink,
            "delete" => Self::Delete,
            "auto" => Self::Auto,
            _ => return Err("off, copy, bind, symlink, delete or auto"),
        })
    }
}

impl LinkJournal {
    /// The value of `--link-journal=`.
    pub fn parse(text: &str) -> Parsed<Self> {
        Ok(match text {
            "no" => Self::No,
            "host" => Self::Host { attempt: false },
            "try-host" => Self::Host { attempt: true },
            "guest" => Self::Guest { attempt: false },
            "try-guest" => Self::Guest { attempt: true },
            "auto" => Self::Auto,
            _ => return Err("no, host, try-host, guest, try-guest or auto"),
        })
    }
}
