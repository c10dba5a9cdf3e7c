//! What the host and the container share.

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
