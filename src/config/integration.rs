//! What the host and the container share (`man 1 systemd-nspawn`, "Integration
//! Options").

use super::error::Parsed;

/// `--timezone`: how the container gets the host's time zone. NixOS has a time zone in
/// its configuration, so the default is to change nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeZone {
    /// The container's file stays as it is.
    #[default]
    Off,
    /// A copy of the host's file.
    Copy,
    /// A bind mount of the host's file.
    Bind,
    /// A link to the zone of the same name in the container.
    Symlink,
    /// The container's file is removed.
    Delete,
    /// A link if the host has one, else a copy; a bind mount if the root is read-only.
    Auto,
}

/// `--link-journal`: where the container's journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkJournal {
    /// In the container, without a link on the host.
    No,
    /// On the host's disk.
    Host {
        /// If this is impossible, fall back to [`LinkJournal::No`].
        attempt: bool,
    },
    /// In the container, with a link on the host.
    Guest {
        /// If this is impossible, fall back to [`LinkJournal::No`].
        attempt: bool,
    },
    /// As at the last start.
    Auto,
}

/// As nixpkgs' unit has it. A container with a temporary journal has no link.
impl Default for LinkJournal {
    fn default() -> Self {
        Self::Guest { attempt: true }
    }
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
