//! The caller's terminal, while a program inside has one of its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use runtime::process::{Exit, Process};
use rustix::event::{PollFd, PollFlags};
use rustix::termios::{OptionalActions, Termios};

/// The caller's terminal in raw mode: every key goes to the program inside,
/// which has a terminal that gives it its meaning. Restored when dropped.
struct RawMode<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> RawMode<'a> {
    fn set(terminal: &'a File) -> io::Result<Self> {
        let before = rustix::termios::tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Copies between the caller's terminal and `main`, the other end of the
/// program's, until the program ends.
pub fn relay(process: &Process, main: &OwnedFd) -> Result<Exit> {
    let terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .context("cannot open the terminal")?;
    let resized = window_changes().context("cannot watch the terminal's size")?;
    copy_size(&terminal, main);
    let _raw = RawMode::set(&terminal).context("cannot set up the terminal")?;
    let mut main = File::from(main.try_clone().context("cannot set up the terminal")?);
    let mut typed = true;
    loop {
        let input = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds = vec![
            input(process.as_fd()),
            input(main.as_fd()),
            input(resized.as_fd()),
        ];
        fds.extend(typed.then(|| input(terminal.as_fd())));
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(io::Error::from(errno)).context("cannot wait"),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[1] {
            copy(&mut main, &mut &terminal);
        }
        if ready[2] {
            while resized
                .read_signal()
                .context("cannot read signals")?
                .is_some()
            {}
            copy_size(&terminal, &main);
        }
        if ready.get(3) == Some(&true) {
            typed = copy(&mut &terminal, &mut main);
        }
        if ready[0] {
            let exit = process.wait().context("cannot wait for the command")?;
            rustix::io::ioctl_fionbio(&main, true).context("cannot read the terminal")?;
            while copy(&mut main, &mut &terminal) {}
            return Ok(exit);
        }
    }
}

/// Copies what is there; false at the end of it.
fn copy(from: &mut impl Read, to: &mut impl Write) -> bool {
    let mut buffer = [0; 8192];
    match from.read(&mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(length) => to.write_all(&buffer[..length]).is_ok(),
    }
}

/// A program that fills the window fills this one.
fn copy_size(from: impl AsFd, to: impl AsFd) {
    if let Ok(size) = rustix::termios::tcgetwinsize(from) {
        let _ = rustix::termios::tcsetwinsize(to, size);
    }
}

fn window_changes() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGWINCH);
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}
