//! The connection between the caller and a program in a container: signals, and
//! the input and output of terminals.

mod channel;
mod escape_keys;
mod pty_bridge;
mod signals;
mod streams;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use anyhow::{Context, Result};
use runtime::sys::pidfd::{Exit, Process};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::control::Connection;

use channel::{Channel, Moved};
use escape_keys::EscapeKeys;
use pty_bridge::PtyBridge;

pub use escape_keys::HINT as ESCAPE_HINT;
pub use signals::Signals;
pub use streams::Streams;

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The program ended.
    Exited(Exit),
    /// The caller pressed the escape keys, or the caller's terminal is gone.
    Left,
    /// The container stopped.
    Stopped,
}

/// The other side of a relay.
pub enum Peer<'a> {
    /// A program that this process has started.
    Program(&'a Process),
    /// A login prompt. The supervisor reports the container's end.
    Prompt(&'a Connection),
}

/// Connects the caller with a program in a container.
pub struct Relay<'a> {
    peer: Peer<'a>,
    signals: Signals,
    bridge: Option<PtyBridge>,
    escape_keys: EscapeKeys,
    input: Option<Channel>,
    outputs: Vec<Channel>,
}

impl<'a> Relay<'a> {
    /// A relay to a program that has pipes in place of the caller's terminals.
    pub fn to_pipes(process: &'a Process, signals: Signals, streams: Streams) -> Self {
        Self {
            peer: Peer::Program(process),
            signals,
            bridge: None,
            escape_keys: EscapeKeys::default(),
            input: streams.input,
            outputs: streams.outputs,
        }
    }

    /// A relay to the terminal with the main end `main`.
    pub fn to_terminal(peer: Peer<'a>, signals: Signals, main: OwnedFd) -> Result<Self> {
        let (bridge, input, output) =
            PtyBridge::open(main).context("cannot set up the terminal")?;
        Ok(Self {
            peer,
            signals,
            bridge: Some(bridge),
            escape_keys: EscapeKeys::default(),
            input: Some(input),
            outputs: vec![output],
        })
    }

    /// Relays until the program ends or the caller leaves it.
    pub fn run(mut self) -> Result<End> {
        loop {
            let ready = self.wait()?;
            if ready.signals && self.handle_signals()? {
                return Ok(End::Left);
            }
            for output in ready.outputs {
                self.forward_output(output);
            }
            if ready.input && self.forward_input() {
                return Ok(End::Left);
            }
            if ready.peer
                && let Some(end) = self.peer_end()?
            {
                self.drain_outputs();
                return Ok(end);
            }
        }
    }

    fn wait(&self) -> Result<Ready> {
        let outputs = self.outputs.iter().enumerate();
        let outputs: Vec<_> = outputs
            .filter_map(|(index, output)| Some((index, output.poll_fd()?)))
            .collect();
        let may_read = self.bridge.is_some() || in_foreground();
        let input = self
            .input
            .as_ref()
            .filter(|_| may_read)
            .and_then(Channel::poll_fd);
        let timeout = (self.input.is_some() && !may_read).then_some(FOREGROUND_RETRY);
        let [ending, job_control] = self.signal_poll_fds();
        let mut fds = vec![self.peer_poll_fd(), ending, job_control];
        fds.extend(outputs.iter().map(|(_, fd)| fd.clone()));
        fds.extend(input.clone());
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(io::Error::from(errno)).context("cannot poll"),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        Ok(Ready {
            peer: next(),
            signals: next() | next(),
            outputs: outputs
                .iter()
                .filter_map(|(index, _)| next().then_some(*index))
                .collect(),
            input: next(),
        })
    }

    /// Handles the caught signals; true if the caller leaves by one.
    fn handle_signals(&mut self) -> Result<bool> {
        for signal in self.signals.take() {
            match signal {
                libc::SIGWINCH => {
                    if let Some(bridge) = &self.bridge {
                        bridge.resize();
                    }
                }
                libc::SIGTSTP => {
                    // The program's group has no parent in its session, and only
                    // SIGSTOP stops such a group (man 3 setpgid, orphaned groups).
                    self.forward_signal(libc::SIGSTOP);
                    self.stop()?;
                    self.forward_signal(libc::SIGCONT);
                }
                libc::SIGCONT => self.forward_signal(libc::SIGCONT),
                signal => match self.peer {
                    Peer::Program(_) => self.forward_signal(signal),
                    Peer::Prompt(_) => return Ok(true),
                },
            }
        }
        Ok(false)
    }

    /// Sends a signal to the program's process group. If the group is gone, the
    /// program's end is seen next.
    fn forward_signal(&self, signal: i32) {
        if let Peer::Program(process) = self.peer {
            let _ = process.signal_group(signal);
        }
    }

    fn peer_poll_fd(&self) -> PollFd<'_> {
        match self.peer {
            Peer::Program(process) => readable(process),
            Peer::Prompt(supervisor) => readable(supervisor),
        }
    }

    /// Readable once a signal has been caught: one that ends a program, and one
    /// of job control.
    fn signal_poll_fds(&self) -> [PollFd<'_>; 2] {
        [self.signals.ending(), self.signals.job_control()]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
    }

    /// How the other side ended; `None` if it has not.
    fn peer_end(&self) -> Result<Option<End>> {
        match self.peer {
            Peer::Program(process) => Ok(Some(End::Exited(reap(process)?))),
            Peer::Prompt(supervisor) => match supervisor.next_event() {
                Ok(Some(_)) => Ok(None),
                Ok(None) | Err(_) => Ok(Some(End::Stopped)),
            },
        }
    }

    /// Stops this process, as the program has been stopped, until a SIGCONT.
    fn stop(&self) -> Result<()> {
        signals::leave_reaping(true)?;
        if !self.has_program_ended()? {
            if let Some(bridge) = &self.bridge {
                bridge.restore_callers_mode();
            }
            signals::stop()?;
            if let Some(bridge) = &self.bridge {
                bridge
                    .set_raw_mode()
                    .context("cannot set up the terminal")?;
                bridge.resize();
            }
        }
        signals::leave_reaping(false)
    }

    fn has_program_ended(&self) -> Result<bool> {
        let Peer::Program(process) = self.peer else {
            return Ok(false);
        };
        let mut fds = [readable(process)];
        // A signal interrupts even a poll that does not wait.
        let count =
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&Timespec::default())));
        Ok(count.context("cannot poll the command")? > 0)
    }

    /// Forwards the caller's input; true if the caller leaves by it.
    fn forward_input(&mut self) -> bool {
        let Some(input) = &mut self.input else {
            return false;
        };
        if input.has_waiting() {
            input.write();
            return false;
        }
        match input.read() {
            Moved::Nothing => return false,
            Moved::Some => {
                let at_terminal = self.bridge.is_some();
                let leaves =
                    at_terminal && self.escape_keys.complete(input.waiting(), Instant::now());
                input.write();
                return leaves;
            }
            Moved::Ended => {}
        }
        self.input = None;
        // The reader of a pipe finds the end of its input. With the caller's
        // terminal, the program's is hung up.
        self.bridge.is_some()
    }

    /// Forwards output of the program; true if there was some.
    fn forward_output(&mut self, index: usize) -> bool {
        let output = &mut self.outputs[index];
        let moved = output.advance();
        if moved == Moved::Ended {
            let reopened = self.bridge.as_mut().map(PtyBridge::reopen);
            if !matches!(reopened, Some(Ok(()))) {
                output.close();
            }
        }
        moved == Moved::Some
    }

    /// Forwards the output that the program wrote before it ended. Does not wait
    /// for other programs that still write.
    fn drain_outputs(&mut self) {
        for index in 0..self.outputs.len() {
            while self.forward_output(index)
                || self.outputs[index].has_waiting() && self.await_room(index)
            {}
        }
    }

    /// Waits for room at the caller's terminal; false if a signal is to end that.
    fn await_room(&self, index: usize) -> bool {
        let Some(room) = self.outputs[index].poll_fd() else {
            return false;
        };
        let [ending, _] = self.signal_poll_fds();
        let mut fds = [room, ending];
        let polled = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None));
        polled.is_ok() && fds[1].revents().is_empty()
    }
}

fn reap(process: &Process) -> Result<Exit> {
    match process.wait() {
        // The kernel reaped it while this process was stopped. Most likely its
        // container has stopped.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(Exit::Signal(libc::SIGKILL)),
        answer => answer.context("cannot wait for the command"),
    }
}

/// The files that are ready.
struct Ready {
    peer: bool,
    signals: bool,
    /// Indices of outputs.
    outputs: Vec<usize>,
    input: bool,
}

/// Interval at which a command in the background checks whether it is in the
/// foreground: no event reports that.
const FOREGROUND_RETRY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 300_000_000,
};

/// Whether this process may read the terminal. In the background, reading would
/// stop it (`man 3 tcgetpgrp`), even if the program inside reads nothing.
fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stdin())
        .is_ok_and(|foreground| foreground == rustix::process::getpgrp())
}

fn readable(file: &impl AsFd) -> PollFd<'_> {
    PollFd::new(file, PollFlags::IN)
}
