//! The caller's terminal, connected with one in the container.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{OptionalActions, Termios};

use super::channel::{Channel, unblock, unblocked};

/// A pair of connected terminals. The caller's is in raw mode, so that every key
/// goes to the container's, which interprets it. The caller's mode is restored
/// on drop.
pub struct PtyBridge {
    /// The main end of the container's terminal.
    main: File,
    /// The container's end, open here so that the terminal does not hang up
    /// when no program inside has it open.
    held: OwnedFd,
    callers_mode: Termios,
}

impl PtyBridge {
    /// Connects the caller's terminal with the one with the main end `main`.
    /// Returns the channels of the input and of the output, too.
    pub fn open(main: OwnedFd) -> io::Result<(Self, Channel, Channel)> {
        let main = unblock(main)?;
        let keys = unblocked(io::stdin(), OFlags::RDONLY)?;
        let screen = unblocked(io::stdout(), OFlags::WRONLY)?;
        let input = Channel::new(keys, main.try_clone()?);
        let output = Channel::new(main.try_clone()?, screen);
        let bridge = Self {
            held: open_container_end(&main)?,
            callers_mode: rustix::termios::tcgetattr(io::stdin())?,
            main,
        };
        bridge.resize();
        bridge.set_raw_mode()?;
        Ok((bridge, input, output))
    }

    /// Gives the container's terminal the size of the caller's.
    pub fn resize(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout()) {
            let _ = rustix::termios::tcsetwinsize(&self.main, size);
        }
    }

    /// Sets the caller's terminal to raw mode.
    pub fn set_raw_mode(&self) -> io::Result<()> {
        let mut raw = self.callers_mode.clone();
        raw.make_raw();
        Ok(rustix::termios::tcsetattr(
            io::stdin(),
            OptionalActions::Now,
            &raw,
        )?)
    }

    /// Restores the mode that the caller's terminal had.
    pub fn restore_callers_mode(&self) {
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.callers_mode);
    }

    /// Opens the container's end again after a program inside has hung up the
    /// terminal, as login programs do (`man 2 vhangup`).
    pub fn reopen(&mut self) -> io::Result<()> {
        self.held = open_container_end(&self.main)?;
        Ok(())
    }
}

impl Drop for PtyBridge {
    fn drop(&mut self) {
        self.restore_callers_mode();
    }
}

fn open_container_end(main: &File) -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    Ok(ioctl_tiocgptpeer(main, flags)?)
}
