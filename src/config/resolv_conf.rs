//! The values of `--resolv-conf=` (`man 1 systemd-nspawn`).

use super::error::Parsed;

/// How the container gets its `/etc/resolv.conf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Leave the container's file alone.
    Off,
    /// Leave the file alone on a private network, else [`Mode::Copy`] the host's.
    Auto,
    /// Write the file, unless something other than a regular file is there.
    Copy(Source),
    /// Write the file, whatever is there. The values `bind-…` mean the same here: when
    /// the host's file changes, it is replaced, so a bind mount would show the old one.
    Replace(Source),
    /// Remove the file.
    Delete,
}

/// A file of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The file that the host uses.
    Host,
    /// The static file of systemd-resolved.
    Static,
    /// The file with the upstream servers of systemd-resolved.
    Uplink,
    /// The file with the address of systemd-resolved.
    Stub,
}

impl Mode {
    /// The value of `--resolv-conf=`.
    pub fn parse(text: &str) -> Parsed<Self> {
        let expected = "off, auto, delete, or one of copy-, replace- and bind- before host, \
                        static, uplink or stub";
        match text {
            "off" => return Ok(Self::Off),
            "auto" => return Ok(Self::Auto),
            "delete" => return Ok(Self::Delete),
            _ => {}
        }
        let (how, source) = text.split_once('-').ok_or(expected)?;
        let source = match source {
            "host" => Source::Host,
            "static" => Source::Static,
            "uplink" => Source::Uplink,
            "stub" => Source::Stub,
            _ => return Err(expected),
        };
        match how {
            "copy" => Ok(Self::Copy(source)),
            "replace" | "bind" => Ok(Self::Replace(source)),
            _ => Err(expected),
        }
    }
}

impl Source {
    /// The file's path (`man 1 systemd-nspawn`, `--resolv-conf=`).
    pub fn path(self) -> &'static str {
        match self {
            Self::Host => "/etc/resolv.conf",
            Self::Static => "/usr/lib/systemd/resolv.conf",
            Self::Uplink => "/run/systemd/resolve/resolv.conf",
            Self::Stub => "/run/systemd/resolve/stub-resolv.conf",
        }
    }
}
