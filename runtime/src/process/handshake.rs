//! The messages between a child and its parent until the child executes its
//! program.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags};

use crate::sys::pidfd::Process;
use crate::sys::seqpacket;

/// Why a container did not come to life.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The kernel refused to clone a child.
    #[error("cannot clone a process into new namespaces")]
    Clone(#[source] io::Error),
    /// A step of the plan failed.
    #[error("cannot {step}: {cause}")]
    Step {
        /// The step, in words.
        step: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The child ended without a report.
    #[error("the container's first process died before it could start init")]
    Died,
    /// The caller stopped waiting for the child.
    #[error("gave up waiting for the program to be executed")]
    GivenUp,
    /// The connection to the child failed.
    #[error("lost the connection to the container's first process")]
    Connection(#[from] io::Error),
}

/// The lowest number of the child's end: a program may get those below (see
/// [`StartStep::PassSocket`](crate::plan::step::StartStep::PassSocket)).
const BEHIND_PASSED: i32 = 10;

/// Both ends of a new connection.
pub(super) fn pair() -> io::Result<(ParentEnd, ChildEnd)> {
    let (parent, child) = seqpacket::pair()?;
    let child = rustix::io::fcntl_dupfd_cloexec(&child, BEHIND_PASSED)?;
    Ok((ParentEnd(parent), ChildEnd(child)))
}

/// Comes with the other end of the child's terminal.
const TERMINAL: &[u8] = b"terminal";
/// Comes before init's pid, with its pidfd.
const INIT: &[u8] = b"init ";
/// Lets the child continue.
const GO: &[u8] = b"go";
/// Longest description of a failed step, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// The child's end of the connection.
pub(super) struct ChildEnd(OwnedFd);

impl AsFd for ChildEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ChildEnd {
    pub(super) fn send_terminal(&self, terminal: BorrowedFd<'_>) -> io::Result<()> {
        self.send(TERMINAL, &[terminal])
    }

    /// The pid goes along: a pidfd does not tell it.
    pub(super) fn send_init(&self, init: &Process) -> io::Result<()> {
        let message = [INIT, init.pid.to_string().as_bytes()].concat();
        self.send(&message, &[init.as_fd()])
    }

    /// Waits for the parent's [`ParentEnd::go`].
    pub(super) fn await_go(&self) -> io::Result<()> {
        let mut word = [0; GO.len()];
        let received = seqpacket::receive(self.0.as_fd(), &mut word, RecvFlags::empty())?;
        if &word[..received.length] == GO {
            return Ok(());
        }
        Err(io::Error::other("the supervisor gave up"))
    }

    /// Sends the error number, a space and the failed step. A parent that is gone
    /// needs no report.
    pub(super) fn send_failure(&self, step: &str, cause: &io::Error) {
        let message = match cause.raw_os_error() {
            Some(errno) => format!("{errno} {step}"),
            None => format!("0 {step}: {cause}"),
        };
        let length = message.len().min(LONGEST_MESSAGE);
        let _ = self.send(&message.as_bytes()[..length], &[]);
    }

    fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        seqpacket::send(self.0.as_fd(), message, descriptors, SendFlags::empty())
    }
}

/// The parent's end of the connection.
#[derive(Debug)]
pub(super) struct ParentEnd(OwnedFd);

impl ParentEnd {
    /// Lets the child continue.
    pub(super) fn go(&self) -> io::Result<()> {
        match seqpacket::send(self.0.as_fd(), GO, &[], SendFlags::empty()) {
            // The child failed first, and has sent the reason.
            Err(error) if is_closed(&error) => Ok(()),
            answer => answer,
        }
    }

    /// Waits for the init that the child clones, if its plan has that step.
    pub(super) fn receive_init(&self) -> Result<Process, LaunchError> {
        let (message, pidfd) = self.receive(RecvFlags::empty())?;
        let Some(pid) = message.strip_prefix(INIT) else {
            return Err(parse_failure(&message));
        };
        let pid = std::str::from_utf8(pid)
            .ok()
            .and_then(|pid| pid.parse().ok());
        match (pid, pidfd) {
            (Some(pid), Some(pidfd)) => Ok(Process::new(pid, pidfd)),
            _ => Err(LaunchError::Died),
        }
    }

    /// Waits until the child has executed its program. Returns the other end of
    /// the terminal that the child opened, if it did. Gives up when `give_up` is
    /// readable.
    pub(super) fn await_exec(
        &self,
        give_up: Option<BorrowedFd<'_>>,
    ) -> Result<Option<OwnedFd>, LaunchError> {
        let mut terminal = None;
        loop {
            if let Some(give_up) = give_up {
                self.await_message(give_up)?;
            }
            let (message, descriptor) = self.receive(RecvFlags::empty())?;
            match message.as_slice() {
                // CLOEXEC closed the child's end; without a console it died.
                [] => return Ok(terminal),
                TERMINAL => terminal = descriptor,
                failure => return Err(parse_failure(failure)),
            }
        }
    }

    /// The failure that the child has reported up to now.
    pub(super) fn reported_failure(&self) -> Option<LaunchError> {
        // Open until the end: without its other end, the child's terminal fails.
        let mut terminals = Vec::new();
        loop {
            let (message, descriptor) = self.receive(RecvFlags::DONTWAIT).ok()?;
            match message.as_slice() {
                [] => return None,
                TERMINAL => terminals.extend(descriptor),
                failure => return Some(parse_failure(failure)),
            }
        }
    }

    fn await_message(&self, give_up: BorrowedFd<'_>) -> Result<(), LaunchError> {
        let input = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds = [input(self.0.as_fd()), input(give_up)];
        retry_on_intr(|| poll(&mut fds, None)).map_err(io::Error::from)?;
        if fds[0].revents().is_empty() {
            return Err(LaunchError::GivenUp);
        }
        Ok(())
    }

    /// The next message and its descriptor. An empty message is the last.
    fn receive(&self, flags: RecvFlags) -> Result<(Vec<u8>, Option<OwnedFd>), LaunchError> {
        let mut message = vec![0; LONGEST_MESSAGE];
        let received = seqpacket::receive(self.0.as_fd(), &mut message, flags)?;
        message.truncate(received.length);
        Ok((message, received.descriptors.into_iter().next()))
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn parse_failure(message: &[u8]) -> LaunchError {
    let message = String::from_utf8_lossy(message);
    let (errno, what) = message.split_once(' ').unwrap_or(("0", &message));
    match errno.parse() {
        Ok(0) | Err(_) => match what.rsplit_once(": ") {
            Some((step, cause)) => LaunchError::Step {
                step: step.to_owned(),
                cause: io::Error::other(cause.to_owned()),
            },
            None => LaunchError::Died,
        },
        Ok(errno) => LaunchError::Step {
            step: what.to_owned(),
            cause: io::Error::from_raw_os_error(errno),
        },
    }
}
