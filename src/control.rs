//! How a supervisor and the commands talk: a socket of messages, JSON each.
//!
//! Whoever connects is told the container's state, at once and whenever it
//! changes, until the container is gone and the socket closes. For who does not
//! listen it closes before that; they may connect anew. To root, the messages of
//! a running container carry the pidfd of its init, so that no command ever acts
//! on a recycled pid, and the filter of system calls that init was started with,
//! which holds for whoever enters.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::sockopt::PeerCredentials;
use runtime::sys::seqpacket;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its init does not run or has not finished booting.
    Starting,
    /// It has booted.
    Up,
    /// It was asked to halt.
    Stopping,
}

impl State {
    /// The word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Stopping => "stopping",
        }
    }
}

/// What a supervisor says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The container is in this state.
    State {
        /// The state.
        state: State,
        /// Pid of its init as the supervisor sees it; 0 before there is one.
        leader: i32,
        /// What init says it is doing.
        status: Option<String>,
    },
    /// What the user has to know of the host: settings that the start changed,
    /// rules that are in the way.
    Notice(String),
    /// A line of the supervisor's log, for a command that asked for it.
    Log(String),
    /// Somebody else starts, runs or stops the container.
    Busy,
    /// The container has ended, and nothing is left of it on the host.
    Gone,
    /// The other end of a terminal with a login prompt, which comes along.
    Terminal,
    /// The container did not start, or what was asked for cannot be done.
    Failed {
        /// Why not.
        why: String,
        /// The end of its console; its log may be gone.
        console: String,
    },
}

impl Event {
    /// What was asked for cannot be done, and why.
    pub fn failed(why: String) -> Self {
        let console = String::new();
        Self::Failed { why, console }
    }
}

/// What root's commands ask of a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// A clean halt; what still runs after this time is killed.
    Stop {
        /// Seconds.
        timeout: u64,
    },
    /// A signal to init.
    Signal(i32),
}

/// What everybody may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicRequest {
    /// A login prompt.
    Login,
}

/// Longest message in bytes. A failure with the words of several programs fits.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// One end of a talk.
#[derive(Debug)]
pub struct Connection(OwnedFd);

impl Connection {
    /// Connects to the supervisor that listens at `path`; `None` if none does.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let socket = seqpacket(SocketFlags::CLOEXEC)?;
        match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
            Ok(()) => Ok(Some(Self(socket))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Both ends, for a supervisor that is about to be started.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = seqpacket::pair()?;
        Ok((Self(ours), theirs))
    }

    /// The user at the other end, when it connected.
    pub fn peer(&self) -> io::Result<u32> {
        // Not rustix's, which cannot hold the pid 0 of who is in another pid
        // namespace.
        Ok(nix::sys::socket::getsockopt(&self.0, PeerCredentials)?.uid())
    }

    /// The pid of the process at the other end, when it connected or began to
    /// listen.
    pub fn peer_pid(&self) -> io::Result<i32> {
        Ok(nix::sys::socket::getsockopt(&self.0, PeerCredentials)?.pid())
    }

    /// Whether there is an event, or an end, to hear within this time.
    pub fn await_event(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(timeout).ok();
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        Ok(rustix::event::poll(&mut fds, timeout.as_ref())? > 0)
    }

    /// Another descriptor of this end.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// The end that a supervisor was started with.
    pub fn from_descriptor(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Sends an event, and what belongs to it. Never waits for a slow reader.
    pub fn send_event(&self, event: &Event, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send(event, descriptors, SendFlags::DONTWAIT)
    }

    /// Sends an event, and waits for a slow reader.
    pub fn send_last_event(&self, event: &Event) -> io::Result<()> {
        self.send(event, &[], SendFlags::empty())
    }

    fn send(
        &self,
        event: &Event,
        descriptors: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) -> io::Result<()> {
        let message = serde_json::to_vec(event)?;
        seqpacket::send(self.as_fd(), &message, descriptors, flags)
    }

    /// The next event, and what belongs to it; `None` when the container is
    /// gone, or too much has happened while nobody listened here.
    pub fn next_event(&self) -> io::Result<Option<(Event, Vec<OwnedFd>)>> {
        let mut message = vec![0; LONGEST_MESSAGE];
        let received = seqpacket::receive(self.as_fd(), &mut message, RecvFlags::empty())?;
        if received.length == 0 {
            return Ok(None);
        }
        let event = serde_json::from_slice(&message[..received.length])?;
        Ok(Some((event, received.descriptors)))
    }

    /// Asks for something: a [`Request`], or a [`PublicRequest`].
    pub fn send_request(&self, request: &impl Serialize) -> io::Result<()> {
        let message = serde_json::to_vec(request)?;
        rustix::net::send(&self.0, &message, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// A request that is waiting; `None` when the other end is closed.
    pub fn next_request<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let mut message = [0; 256];
        let (length, _) = rustix::net::recv(&self.0, &mut message[..], RecvFlags::DONTWAIT)?;
        if length == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&message[..length])?))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where a supervisor is found.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// Connections that may wait to be accepted; a supervisor accepts at once.
const BACKLOG: i32 = 64;

impl Listener {
    /// Listens at `path`, where nothing must be.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let socket = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Self(socket))
    }

    /// Like [`Listener::bind`], and everybody can connect.
    pub fn bind_for_all(path: &Path) -> io::Result<Self> {
        let listener = Self::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
        Ok(listener)
    }

    /// Somebody who has connected; `None` if nobody is waiting.
    pub fn accept(&self) -> io::Result<Option<Connection>> {
        match rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC) {
            Ok(socket) => Ok(Some(Connection(socket))),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn seqpacket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}
