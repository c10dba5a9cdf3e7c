//! Between the caller and a program inside: signals, and what is typed and
//! shown at a terminal.

mod channel;
mod leave;
mod signals;
mod streams;
mod window;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use anyhow::{Context, Result};
use runtime::sys::pidfd::{Exit, Process};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::control::Connection;

use channel::{Channel, Moved};
use leave::Leave;
use window::Window;

pub use leave::HINT as LEAVE_HINT;
pub use signals::Signals;
pub use streams::Streams;

/// How it ended between the caller and a program inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The program ended.
    Exited(Exit),
    /// The caller left it by keys, or has gone with the terminal.
    Left,
    /// The container ended.
    Stopped,
}

/// Who is at the other side.
enum Inside<'a> {
    /// A program that this process has started.
    Program(&'a Process),
    /// A login prompt, and whoever logs in there; its supervisor tells when the
    /// container ends.
    Prompt(&'a Connection),
}

/// Everything between the caller and a program inside.
pub struct Relay<'a> {
    inside: Inside<'a>,
    signals: Signals,
    window: Option<Window>,
    leave: Leave,
    input: Option<Channel>,
    output: Vec<Channel>,
}

impl<'a> Relay<'a> {
    /// To a program that has pipes where the caller has terminals, if at all.
    pub fn to_pipes(process: &'a Process, signals: Signals, streams: Streams) -> Self {
        Self {
            inside: Inside::Program(process),
            signals,
            window: None,
            leave: Leave::default(),
            input: streams.input,
            output: streams.output,
        }
    }

    /// To a program whose terminal has `main` as its other end.
    pub fn to_terminal(process: &'a Process, signals: Signals, main: OwnedFd) -> Result<Self> {
        Self::to_window(Inside::Program(process), signals, main)
    }

    /// To a login prompt at the terminal whose other end is `main`.
    pub fn to_prompt(supervisor: &'a Connection, signals: Signals, main: OwnedFd) -> Result<Self> {
        Self::to_window(Inside::Prompt(supervisor), signals, main)
    }

    fn to_window(inside: Inside<'a>, signals: Signals, main: OwnedFd) -> Result<Self> {
        let (window, keys, shown) = Window::open(main).context("cannot set up the terminal")?;
        Ok(Self {
            inside,
            signals,
            window: Some(window),
            leave: Leave::default(),
            input: Some(keys),
            output: vec![shown],
        })
    }

    /// Relays until the program ends or the caller leaves.
    pub fn run(mut self) -> Result<End> {
        loop {
            let ready = self.wait()?;
            if ready.signals && self.read_signals()? {
                return Ok(End::Left);
            }
            for output in ready.outputs {
                self.show(output);
            }
            if ready.input && self.type_in() {
                return Ok(End::Left);
            }
            if ready.inside
                && let Some(end) = self.look_inside()?
            {
                self.show_the_rest();
                return Ok(end);
            }
        }
    }

    fn wait(&self) -> Result<Ready> {
        let outputs = self.output.iter().enumerate();
        let outputs: Vec<_> = outputs
            .filter_map(|(index, output)| Some((index, output.wish()?)))
            .collect();
        let awake = self.window.is_some() || in_foreground();
        let input = self
            .input
            .as_ref()
            .filter(|_| awake)
            .and_then(Channel::wish);
        let timeout = (self.input.is_some() && !awake).then_some(FOREGROUND_RETRY);
        let [ending, job_control] = self.wishes_for_signals();
        let mut fds = vec![self.wish_for_inside(), ending, job_control];
        fds.extend(outputs.iter().map(|(_, wish)| wish.clone()));
        fds.extend(input.clone());
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(io::Error::from(errno)).context("cannot wait"),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        Ok(Ready {
            inside: next(),
            signals: next() | next(),
            outputs: outputs
                .iter()
                .filter_map(|(index, _)| next().then_some(*index))
                .collect(),
            input: next(),
        })
    }

    /// Does what signals ask for; whether the caller leaves by one.
    fn read_signals(&mut self) -> Result<bool> {
        for signal in self.signals.take() {
            match signal {
                libc::SIGWINCH => {
                    if let Some(window) = &self.window {
                        window.resize();
                    }
                }
                libc::SIGTSTP => {
                    // Nothing else stops a group that has no parent in its
                    // session (man 3 setpgid, orphaned groups).
                    self.hand_on(libc::SIGSTOP);
                    self.stop()?;
                    self.hand_on(libc::SIGCONT);
                }
                libc::SIGCONT => self.hand_on(libc::SIGCONT),
                signal => match self.inside {
                    Inside::Program(_) => self.hand_on(signal),
                    Inside::Prompt(_) => return Ok(true),
                },
            }
        }
        Ok(false)
    }

    /// Sends a signal to the program's process group. If nobody is left there
    /// to take it, that is seen next.
    fn hand_on(&self, signal: i32) {
        if let Inside::Program(process) = self.inside {
            let _ = process.signal_group(signal);
        }
    }

    fn wish_for_inside(&self) -> PollFd<'_> {
        match self.inside {
            Inside::Program(process) => input_of(process),
            Inside::Prompt(supervisor) => input_of(supervisor),
        }
    }

    fn wishes_for_signals(&self) -> [PollFd<'_>; 2] {
        [self.signals.ending(), self.signals.job_control()]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
    }

    /// Whether it has ended there, and how.
    fn look_inside(&self) -> Result<Option<End>> {
        match self.inside {
            Inside::Program(process) => Ok(Some(End::Exited(reap(process)?))),
            Inside::Prompt(supervisor) => match supervisor.next_event() {
                Ok(Some(_)) => Ok(None),
                Ok(None) | Err(_) => Ok(Some(End::Stopped)),
            },
        }
    }

    /// Stops, as the program inside has, until somebody continues both.
    fn stop(&self) -> Result<()> {
        signals::leave_reaping(true)?;
        if !self.has_ended()? {
            if let Some(window) = &self.window {
                window.give();
            }
            signals::stop()?;
            if let Some(window) = &self.window {
                window.take().context("cannot set up the terminal")?;
                window.resize();
            }
        }
        signals::leave_reaping(false)
    }

    fn has_ended(&self) -> Result<bool> {
        let Inside::Program(process) = self.inside else {
            return Ok(false);
        };
        let mut ended = [input_of(process)];
        // A signal interrupts even a poll that does not wait.
        let count = rustix::io::retry_on_intr(|| {
            rustix::event::poll(&mut ended, Some(&Timespec::default()))
        });
        Ok(count.context("cannot poll the command")? > 0)
    }

    /// Hands on what is typed; whether the caller leaves by it.
    fn type_in(&mut self) -> bool {
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
                let at_window = self.window.is_some();
                let leaves = at_window && self.leave.typed(input.waiting(), Instant::now());
                input.write();
                return leaves;
            }
            Moved::Ended => {}
        }
        self.input = None;
        // A pipe's reader finds the end of the input. A terminal that has gone
        // takes the program's along.
        self.window.is_some()
    }

    /// Shows what was written inside; whether there was something.
    fn show(&mut self, index: usize) -> bool {
        let output = &mut self.output[index];
        let moved = output.advance();
        if moved == Moved::Ended {
            let reopened = self.window.as_mut().map(Window::reopen);
            if !matches!(reopened, Some(Ok(()))) {
                output.close();
            }
        }
        moved == Moved::Some
    }

    /// What was written before the program ended. Others that still write there
    /// are not waited for.
    fn show_the_rest(&mut self) {
        for index in 0..self.output.len() {
            while self.show(index) || self.output[index].has_waiting() && self.await_room(index) {}
        }
    }

    /// Waits for room at the caller's terminal; false if a signal is to end that.
    fn await_room(&self, index: usize) -> bool {
        let Some(room) = self.output[index].wish() else {
            return false;
        };
        let [ending, _] = self.wishes_for_signals();
        let mut fds = [room, ending];
        let polled = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None));
        polled.is_ok() && fds[1].revents().is_empty()
    }
}

fn reap(process: &Process) -> Result<Exit> {
    match process.wait() {
        // It ended while this process was stopped, as far as can be known
        // because its container did.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(Exit::Signal(libc::SIGKILL)),
        answer => answer.context("cannot wait for the command"),
    }
}

/// What there is something to do for.
struct Ready {
    inside: bool,
    signals: bool,
    outputs: Vec<usize>,
    input: bool,
}

/// How often a command in the background looks whether it has come to the
/// foreground: nothing tells it.
const FOREGROUND_RETRY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 300_000_000,
};

/// Whether keys are for this process: reading them in the background would stop
/// it (`man 3 tcgetpgrp`), even if the program inside reads none.
fn in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stdin())
        .is_ok_and(|foreground| foreground == rustix::process::getpgrp())
}

fn input_of(file: &impl AsFd) -> PollFd<'_> {
    PollFd::new(file, PollFlags::IN)
}
