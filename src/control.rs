//! The protocol between a supervisor and the commands: JSON messages on a
//! `SOCK_SEQPACKET` socket (`man 7 unix`).
//!
//! A client receives the container's state when it connects and at every change.
//! The socket closes when the container is gone, and earlier for a client that does
//! not read; such a client may connect again. Root's clients receive two
//! descriptors with the state of a running container: the pidfd of its init, so
//! that no command acts on a recycled pid, and the filter of system calls that init
//! was started with, which also applies to the commands that enter.

use std::fs::Permissions;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::sockopt::PeerCredentials;
use runtime::sys::seqpacket;
use runtime::sys::untrusted_socket::{Closers, UntrustedSocket};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The state of a container that has a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its init is not running, or has not finished booting.
    Starting,
    /// It has booted.
    Up,
    /// It is being halted.
    Stopping,
}

impl State {
    /// The word that `status` and `list` print.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Stopping => "stopping",
        }
    }
}

/// A message of a supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The container is in this state.
    State {
        /// The state.
        state: State,
        /// Pid of its init as the supervisor sees it; 0 before there is one.
        leader: i32,
        /// The last status that init reported.
        status: Option<String>,
        /// Its addresses on the link to the host, as it was started with them. A
        /// supervisor of an earlier version does not send them.
        #[serde(default)]
        addresses: Vec<IpAddr>,
    },
    /// A sentence about the host for the administrator: a setting that the start
    /// changed, a firewall rule that is in the way.
    Notice(String),
    /// A line of the supervisor's log, for a command that has requested the log.
    Log(String),
    /// Another supervisor starts, runs or stops the container.
    Busy,
    /// The container has ended, and nothing is left of it on the host.
    Gone,
    /// A login prompt is ready; the pty's main end comes with this message.
    Terminal,
    /// The container did not start, or a request was refused.
    Failed {
        /// The reason.
        why: String,
        /// The last lines of its console, whose log may be gone.
        console: String,
    },
}

impl Event {
    /// A refused request, and the reason.
    pub fn failed(why: String) -> Self {
        let console = String::new();
        Self::Failed { why, console }
    }
}

/// A request of one of root's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Halt the container. Processes that run after the timeout are killed.
    Stop {
        /// In seconds.
        timeout: u64,
    },
    /// Send this signal to init.
    Signal(i32),
    /// This client has started a process in the container, which ends with the client.
    /// It does not read events.
    Entered {
        /// Its pid.
        pid: i32,
    },
}

/// A request that every user of the host may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicRequest {
    /// Open a login prompt.
    Login,
}

/// Longest message in bytes. A failure with the messages of several programs fits.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// A connection to a supervisor, or the supervisor's to the command that started it.
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

    /// Makes both ends, for a supervisor that is about to be started.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = seqpacket::pair()?;
        Ok((Self(ours), theirs))
    }

    /// Pid of the process at the other end, at the moment when it began to listen.
    pub fn peer_pid(&self) -> io::Result<i32> {
        Ok(nix::sys::socket::getsockopt(&self.0, PeerCredentials)?.pid())
    }

    /// Waits for an event or the end of the connection; `false` if the time is over
    /// before.
    pub fn await_event(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(timeout).ok();
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        Ok(rustix::event::poll(&mut fds, timeout.as_ref())? > 0)
    }

    /// Whether the other end is closed.
    pub fn is_closed(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        let now = Timespec::default();
        rustix::event::poll(&mut fds, Some(&now))?;
        Ok(fds[0].revents().contains(PollFlags::HUP))
    }

    /// Duplicates the descriptor of this end.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Takes the end that a supervisor was started with.
    pub fn from_descriptor(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Sends an event with its descriptors. Never waits for a slow reader.
    pub fn send_event(&self, event: &Event, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_event(self.as_fd(), event, descriptors, SendFlags::DONTWAIT)
    }

    /// Sends an event, and waits for a slow reader.
    pub fn send_last_event(&self, event: &Event) -> io::Result<()> {
        send_event(self.as_fd(), event, &[], SendFlags::empty())
    }

    /// The next event and its descriptors; `None` when the container is gone, or
    /// this end has not read for too long.
    pub fn next_event(&self) -> io::Result<Option<(Event, Vec<OwnedFd>)>> {
        let mut message = vec![0; LONGEST_MESSAGE];
        let received = seqpacket::receive(self.as_fd(), &mut message, RecvFlags::empty())?;
        if received.length == 0 {
            return Ok(None);
        }
        let event = serde_json::from_slice(&message[..received.length])?;
        Ok(Some((event, received.descriptors)))
    }

    /// Sends a [`Request`] or a [`PublicRequest`].
    pub fn send_request(&self, request: &impl Serialize) -> io::Result<()> {
        let message = serde_json::to_vec(request)?;
        rustix::net::send(&self.0, &message, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn send_event(
    socket: BorrowedFd<'_>,
    event: &Event,
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<()> {
    let message = serde_json::to_vec(event)?;
    seqpacket::send(socket, &message, descriptors, flags)
}

/// A connection that a supervisor has accepted.
#[derive(Debug)]
pub struct ClientConnection(UntrustedSocket);

impl ClientConnection {
    /// Uid of the process at the other end, at the moment when it connected.
    pub fn peer_uid(&self) -> io::Result<u32> {
        // rustix cannot return the pid 0 of a process in another pid namespace.
        Ok(nix::sys::socket::getsockopt(&self.0, PeerCredentials)?.uid())
    }

    /// Sends an event with its descriptors. Never waits for a slow reader.
    pub fn send_event(&self, event: &Event, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_event(self.as_fd(), event, descriptors, SendFlags::DONTWAIT)
    }

    /// Receives a pending request; `None` when the other end is closed, or has sent
    /// descriptors.
    pub fn next_request<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let mut buffer = [0; 256];
        let Some(message) = self.0.receive(&mut buffer)? else {
            return Ok(None);
        };
        Ok(Some(serde_json::from_slice(&buffer[..message.length])?))
    }
}

impl AsFd for ClientConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The socket at which a supervisor accepts connections.
#[derive(Debug)]
pub struct Listener(UntrustedSocket);

/// Connections that may wait for the supervisor to accept them.
const BACKLOG: i32 = 64;

impl Listener {
    /// Listens at `path`, which must not exist.
    pub fn bind(path: &Path, closers: &Closers) -> io::Result<Self> {
        let socket = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        let socket = UntrustedSocket::new(socket, closers)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Self(socket))
    }

    /// Like [`Listener::bind`], for every user of the host.
    pub fn bind_public(path: &Path, closers: &Closers) -> io::Result<Self> {
        let listener = Self::bind(path, closers)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
        Ok(listener)
    }

    /// Accepts a connection; `None` if none is waiting.
    pub fn accept(&self) -> io::Result<Option<ClientConnection>> {
        let none = [io::ErrorKind::WouldBlock, io::ErrorKind::ConnectionAborted];
        match self.0.accept() {
            Ok(socket) => Ok(Some(ClientConnection(socket))),
            Err(error) if none.contains(&error.kind()) => Ok(None),
            Err(error) => Err(error),
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
