//! Between the caller and a program inside: signals, and what is typed and
//! shown at a terminal.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use runtime::process::{Exit, Process};
use rustix::event::{PollFd, PollFlags};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
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

/// Signals that [`wait`] and [`relay`] hand on. To be called before there is a
/// program, so that none is lost.
pub fn signals() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGWINCH,
    ] {
        set.add(signal);
    }
    set.thread_block().context("cannot block signals")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("cannot make a signal descriptor")
}

/// Waits for a program that leads a session without a terminal.
pub fn wait(process: &Process, signals: &SignalFd) -> Result<Exit> {
    loop {
        let mut fds = [input(process), input(signals)];
        poll(&mut fds)?;
        if !fds[1].revents().is_empty() {
            hand_on(signals, process)?;
        }
        if !fds[0].revents().is_empty() {
            return process.wait().context("cannot wait for the command");
        }
    }
}

/// Waits for a program whose terminal has `main` as its other end, and copies
/// between that and the caller's terminal.
pub fn relay(process: &Process, main: OwnedFd, signals: &SignalFd) -> Result<Exit> {
    let terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .context("cannot open the terminal")?;
    // Held open so that the terminal does not hang up whenever nobody inside
    // happens to have it open.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let _programs = ioctl_tiocgptpeer(&main, flags).context("cannot open the terminal inside")?;
    rustix::io::ioctl_fionbio(&main, true).context("cannot set up the terminal inside")?;
    let main = File::from(main);
    copy_size(&terminal, &main);
    let _raw = RawMode::set(&terminal).context("cannot set up the terminal")?;
    let mut typing = true;
    let mut typed = Vec::new();
    loop {
        // A program may write much before it reads anything: what was typed
        // waits here, and does not keep this loop from reading.
        let mut fds = vec![input(process), input(signals), input(&main)];
        if !typed.is_empty() {
            fds[2] = PollFd::new(&main, PollFlags::IN | PollFlags::OUT);
        } else if typing {
            fds.push(input(&terminal));
        }
        poll(&mut fds)?;
        let came: Vec<_> = fds.iter().map(PollFd::revents).collect();
        if !came[1].is_empty() && hand_on(signals, process)? {
            copy_size(&terminal, &main);
        }
        if came[2].contains(PollFlags::IN) {
            show(&main, &terminal);
        }
        if came[2].contains(PollFlags::OUT) {
            write_some(&main, &mut typed);
        }
        if came.get(3).is_some_and(|came| !came.is_empty()) {
            typing = read_some(&terminal, &mut typed);
        }
        if !came[0].is_empty() {
            let exit = process.wait().context("cannot wait for the command")?;
            while show(&main, &terminal) {}
            return Ok(exit);
        }
    }
}

fn input(file: &impl AsFd) -> PollFd<'_> {
    PollFd::new(file, PollFlags::IN)
}

fn poll(fds: &mut [PollFd<'_>]) -> Result<()> {
    match rustix::event::poll(fds, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(io::Error::from(errno)).context("cannot wait"),
    }
}

/// Sends what was caught to the program's process group. A change of the window
/// is the terminals' to tell it: whether there was one.
fn hand_on(signals: &SignalFd, process: &Process) -> Result<bool> {
    let mut resized = false;
    while let Some(caught) = signals.read_signal().context("cannot read signals")? {
        match caught.ssi_signo as i32 {
            libc::SIGWINCH => resized = true,
            // If nobody is left to take it, the caller sees that next.
            signal => drop(process.signal_group(signal)),
        }
    }
    Ok(resized)
}

/// Copies what the program wrote; false if it wrote nothing.
fn show(main: &File, mut terminal: &File) -> bool {
    let mut shown = Vec::new();
    read_some(main, &mut shown) && terminal.write_all(&shown).is_ok()
}

/// Reads what is there; false at the end of it.
fn read_some(mut from: &File, to: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 8192];
    let length = from.read(&mut buffer).unwrap_or(0);
    to.extend_from_slice(&buffer[..length]);
    length > 0
}

/// Takes out what `to` has room for. If nobody can read it, nobody misses it.
fn write_some(mut to: &File, from: &mut Vec<u8>) {
    match to.write(from) {
        Ok(length) => drop(from.drain(..length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(_) => from.clear(),
    }
}

/// A program that fills the window fills this one.
fn copy_size(from: impl AsFd, to: impl AsFd) {
    if let Ok(size) = rustix::termios::tcgetwinsize(from) {
        let _ = rustix::termios::tcsetwinsize(to, size);
    }
}
