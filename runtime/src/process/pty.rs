//! Pseudoterminals of a container's own `/dev/pts`.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};

use crate::rootfs::Root;

/// Both ends of a pseudoterminal (`man 7 pty`).
#[derive(Debug)]
pub struct Pty {
    /// The end that reads what programs write to the terminal.
    pub main: OwnedFd,
    /// The end that is a terminal to programs.
    pub terminal: OwnedFd,
}

impl Pty {
    /// Opens one in the devpts that is mounted in this root, so that programs in
    /// it find the terminal by its name.
    pub fn open(root: &Root) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let main = root.open_at(Path::new("/dev/pts/ptmx"), flags, Mode::empty())?;
        unlockpt(&main)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = ioctl_tiocgptpeer(&main, flags)?;
        Ok(Self { main, terminal })
    }
}
