//! A running container, reached through its supervisor.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use runtime::process::enter::Confinement;
use runtime::rootfs::Root;
use runtime::sys::proc::{Stat, Status};
use runtime::sys::seccomp::FilterProgram;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Gid, Uid};

use super::Container;
use super::name::ContainerName;
use crate::control::{Connection, Event, State};

/// The part of a running container's state that every user of the host may read.
#[derive(Debug, Clone)]
pub struct PublicStatus {
    /// Its state.
    pub state: State,
    /// Pid of its init.
    pub leader: i32,
    /// Its addresses on the link to the host.
    pub addresses: Vec<IpAddr>,
}

/// A running container.
#[derive(Debug)]
pub struct Running {
    /// The connection to its supervisor.
    pub connection: Connection,
    /// Its state.
    pub state: State,
    /// Pid of its init.
    pub leader: i32,
    /// Pidfd of its init.
    pub leader_fd: OwnedFd,
    /// The filter of system calls that init was started with, as a file.
    system_calls: OwnedFd,
}

/// How long a supervisor may take to send its greeting. In the middle of a start, it
/// does other work first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// How often it is checked meanwhile whether a signal has stopped the supervisor.
const STOPPED_CHECK: Duration = Duration::from_millis(100);

/// The word of `status` and `list` for a container whose supervisor does not answer.
pub const UNRESPONSIVE: &str = "unresponsive";

/// A supervisor that does not answer.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}; `nixos-container terminate {name}` ends it and the container",
    if *.is_stopped {
        format!("a signal has stopped it; `kill -CONT {pid}` lets it go on")
    } else {
        format!("it has not answered for {} s", ANSWER_TIMEOUT.as_secs())
    }
)]
pub struct Unresponsive {
    name: ContainerName,
    /// Its pid.
    pub pid: i32,
    is_stopped: bool,
    connection: Connection,
}

impl Unresponsive {
    /// Kills the supervisor, and its container with it. Returns when it is gone.
    pub fn kill(&self) -> io::Result<()> {
        let pidfd = runtime::sys::pidfd::open(self.pid)?;
        // It was alive after that, so the pidfd is its own.
        if self.connection.is_closed()? {
            return Ok(());
        }
        runtime::sys::pidfd::send_signal(pidfd.as_fd(), libc::SIGKILL)?;
        let mut end = [PollFd::new(&pidfd, PollFlags::IN)];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut end, None))?;
        Ok(())
    }
}

impl Running {
    /// Its root directory, with the mounts that its processes see.
    pub fn root(&self) -> Result<Root> {
        let path = format!("/proc/{}/root", self.leader);
        let opened = Root::open(Path::new(&path)).with_context(|| format!("cannot open {path}"))?;
        // Init is alive, so its pid was not another process' when it was used.
        runtime::sys::pidfd::send_signal(self.leader_fd.as_fd(), 0)
            .context("the container has just stopped")?;
        Ok(opened)
    }

    /// The confinement of init, which also applies to processes that enter.
    pub fn confinement(&self) -> Result<Confinement> {
        let cannot = "cannot read the container's confinement";
        let system_calls = FilterProgram::from_file(self.system_calls.as_fd()).context(cannot)?;
        Confinement::of(self.leader, system_calls).context(cannot)
    }

    /// Changes the owner of an open file to the container's root.
    pub fn chown_to_root(&self, file: BorrowedFd<'_>) -> Result<()> {
        let ids = Status::of(self.leader).and_then(|init| Ok((init.user()?, init.group()?)));
        let (uid, gid) = ids.context("cannot read the user that init runs as")?;
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .context("cannot change its owner")
    }
}

impl Container {
    /// Connects to the public socket of its supervisor.
    pub fn connect_public(&self) -> Result<Connection> {
        self.require()?;
        let connection = Connection::open(&self.places.public(&self.name));
        connection
            .with_context(|| self.cannot_connect())?
            .ok_or_else(|| self.not_running_error())
    }

    /// Its state as every user of the host may read it; `None` if it is not running.
    /// Root asks at its own socket, which other users cannot keep busy.
    pub fn public_status(&self) -> Result<Option<PublicStatus>> {
        let socket = match rustix::process::geteuid().is_root() {
            true => self.run().control(),
            false => self.places.public(&self.name),
        };
        match self.greeting(&socket)? {
            Some((
                _,
                Event::State {
                    state,
                    leader,
                    addresses,
                    ..
                },
                _,
            )) => Ok(Some(PublicStatus {
                state,
                leader,
                addresses,
            })),
            Some((_, Event::Failed { why, .. }, _)) => {
                Err(anyhow!(why)).context(self.cannot_connect())
            }
            _ => Ok(None),
        }
    }

    /// Connects to the running container as root; `None` if it is not running.
    pub fn running(&self) -> Result<Option<Running>> {
        let Some((connection, Event::State { state, leader, .. }, descriptors)) =
            self.greeting(&self.run().control())?
        else {
            return Ok(None);
        };
        // Without an init, a state comes without descriptors.
        let descriptors = <[OwnedFd; 2]>::try_from(descriptors).ok();
        Ok(descriptors.map(|[leader_fd, system_calls]| Running {
            connection,
            state,
            leader,
            leader_fd,
            system_calls,
        }))
    }

    /// Connects to the running container as root; an error if it is not running.
    pub fn require_running(&self) -> Result<Running> {
        self.require()?;
        self.running()?.ok_or_else(|| self.not_running_error())
    }

    fn greeting(&self, socket: &Path) -> Result<Option<Greeting>> {
        self.receive_greeting(socket)
            .with_context(|| self.cannot_connect())
    }

    /// Connects to a supervisor, and receives its first message; `None` if there is no
    /// supervisor, or it ends before it answers.
    fn receive_greeting(&self, socket: &Path) -> Result<Option<Greeting>> {
        let Some(connection) = Connection::open(socket)? else {
            return Ok(None);
        };
        let asked = Instant::now();
        while !connection.await_event(STOPPED_CHECK)? {
            let pid = connection.peer_pid()?;
            let is_stopped = Stat::of(pid).is_ok_and(Stat::is_stopped);
            if is_stopped || asked.elapsed() > ANSWER_TIMEOUT {
                return Err(Unresponsive {
                    name: self.name.clone(),
                    pid,
                    is_stopped,
                    connection,
                }
                .into());
            }
        }
        let greeting = connection.next_event()?;
        Ok(greeting.map(|(event, descriptors)| (connection, event, descriptors)))
    }

    fn cannot_connect(&self) -> String {
        let name = &self.name;
        format!("cannot connect to the supervisor of container '{name}'")
    }

    fn not_running_error(&self) -> anyhow::Error {
        anyhow!(
            "container '{0}' is not running; start it with `nixos-container start {0}`",
            self.name
        )
    }
}

/// A connection, and the first message on it with its descriptors.
type Greeting = (Connection, Event, Vec<OwnedFd>);
