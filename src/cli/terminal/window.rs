//! A terminal inside, and the caller's, which shows it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{OptionalActions, Termios};

use super::channel::Channel;
use super::streams;

/// The two terminals, joined. The caller's is in raw mode: every key goes to
/// the one inside, which gives it its meaning. Restored when dropped.
pub struct Window {
    /// The other end of that inside.
    main: File,
    /// Held open so that it does not hang up whenever nobody inside happens to
    /// have it open.
    held: OwnedFd,
    callers_mode: Termios,
}

impl Window {
    /// Joins the caller's terminal with the one inside whose other end is
    /// `main`. Returns also what is typed and what is shown.
    pub fn open(main: OwnedFd) -> io::Result<(Self, Channel, Channel)> {
        rustix::io::ioctl_fionbio(&main, true)?;
        let main = File::from(main);
        let keys = Channel::new(streams::callers_input(io::stdin())?, main.try_clone()?);
        let shown = Channel::new(main.try_clone()?, streams::callers_output(io::stdout())?);
        let window = Self {
            held: open_other_end(&main)?,
            callers_mode: rustix::termios::tcgetattr(io::stdin())?,
            main,
        };
        window.resize();
        window.take()?;
        Ok((window, keys, shown))
    }

    /// A program that fills the window fills the caller's.
    pub fn resize(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout()) {
            let _ = rustix::termios::tcsetwinsize(&self.main, size);
        }
    }

    /// Takes the caller's terminal, for the beginning or after [`Window::give`].
    pub fn take(&self) -> io::Result<()> {
        let mut raw = self.callers_mode.clone();
        raw.make_raw();
        Ok(rustix::termios::tcsetattr(
            io::stdin(),
            OptionalActions::Now,
            &raw,
        )?)
    }

    /// Gives it back as it was.
    pub fn give(&self) {
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.callers_mode);
    }

    /// Keeps the terminal inside up after a program there has hung it up, us
    /// included, as those do that log people in (`man 2 vhangup`).
    pub fn reopen(&mut self) -> io::Result<()> {
        self.held = open_other_end(&self.main)?;
        Ok(())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.give();
    }
}

fn open_other_end(main: &File) -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    Ok(ioctl_tiocgptpeer(main, flags)?)
}
