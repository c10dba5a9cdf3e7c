//! The values of `--resolv-conf=` (`man 1 systemd-nspawn`).

/// The values of `--resolv-conf=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Leave the container's file alone.
    Off,
    /// Leave it alone on a private network, else [`Mode::Copy`] the host's.
    Auto,
    /// Write it unless there is something else than a regular file.
    Copy(Source),
    /// Write it whatever is there. That stands for `bind-…`, too: a file bound
    /// over it would not follow the host's either, which is replaced, not
    /// rewritten, when it changes.
    Replace(Source),
    /// Remove it.
    Delete,
}

/// A file of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// What the host itself uses.
    Host,
    /// What systemd-resolved is shipped with.
    Static,
    /// The servers that systemd-resolved asks.
    Uplink,
    /// systemd-resolved itself.
    Stub,
}

impl Mode {
    /// Reads a value of `--resolv-conf=`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
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
    /// As in systemd-nspawn(1), `--resolv-conf=`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Host => "/etc/resolv.conf",
            Self::Static => "/usr/lib/systemd/resolv.conf",
            Self::Uplink => "/run/systemd/resolve/resolv.conf",
            Self::Stub => "/run/systemd/resolve/stub-resolv.conf",
        }
    }
}
