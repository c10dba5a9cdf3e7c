//! A running container, reached through its supervisor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use runtime::process::enter::Confinement;
use runtime::rootfs::Root;
use runtime::sys::proc::Status;
use runtime::sys::seccomp::FilterProgram;
use rustix::fs::{Gid, Uid};

use super::Container;
use crate::control::{Connection, Event, State};

/// What everybody may know of a container that runs.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Where it is in its life.
    pub state: State,
    /// Pid of its init.
    pub leader: i32,
}

/// A container that runs.
#[derive(Debug)]
pub struct Running {
    /// The talk with its supervisor.
    pub connection: Connection,
    /// Where it is in its life.
    pub state: State,
    /// Pid of its init.
    pub leader: i32,
    /// Pidfd of its init.
    pub leader_fd: OwnedFd,
    /// The filter of system calls that init was started with, as a file.
    system_calls: OwnedFd,
}

/// How long a supervisor may take to answer. In the middle of a start, it has
/// other things to do.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

impl Running {
    /// Its root directory, with all that is mounted there, as its processes
    /// see it.
    pub fn root(&self) -> Result<Root> {
        let path = format!("/proc/{}/root", self.leader);
        let opened = Root::open(Path::new(&path)).with_context(|| format!("cannot open {path}"))?;
        // Alive now, init cannot have left its pid to somebody else before.
        runtime::sys::pidfd::send_signal(self.leader_fd.as_fd(), 0)
            .context("the container has just stopped")?;
        Ok(opened)
    }

    /// What init is confined to, and who enters is to be.
    pub fn confinement(&self) -> Result<Confinement> {
        let cannot = "cannot read what the container is confined to";
        let system_calls = FilterProgram::from_file(self.system_calls.as_fd()).context(cannot)?;
        Confinement::of(self.leader, system_calls).context(cannot)
    }

    /// Makes a file of the host's one of the container's root.
    pub fn give_to_root(&self, file: BorrowedFd<'_>) -> Result<()> {
        let ids = Status::of(self.leader).and_then(|init| Ok((init.user()?, init.group()?)));
        let (uid, gid) = ids.context("cannot read the user that init runs as")?;
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .context("cannot change its owner")
    }
}

impl Container {
    /// A talk with its supervisor, as everybody on the host may have it.
    pub fn visit(&self) -> Result<Connection> {
        self.require()?;
        match self.connect(&self.places.public(&self.name))? {
            Some(connection) => Ok(connection),
            None => Err(self.is_not_running()),
        }
    }

    /// What everybody may know of it while it runs; `None` if it does not.
    pub fn life(&self) -> Result<Option<Life>> {
        let Some(connection) = self.connect(&self.places.public(&self.name))? else {
            return Ok(None);
        };
        match self.hear(&connection)? {
            Some((Event::State { state, leader, .. }, _)) => Ok(Some(Life { state, leader })),
            Some((Event::Failed { why, .. }, _)) => Err(anyhow!(why)).context(self.cannot_talk()),
            // It went while we asked.
            _ => Ok(None),
        }
    }

    fn connect(&self, path: &Path) -> Result<Option<Connection>> {
        Connection::open(path).with_context(|| self.cannot_talk())
    }

    /// What a supervisor says to whoever has just connected.
    fn hear(&self, connection: &Connection) -> Result<Option<(Event, Vec<OwnedFd>)>> {
        if !connection
            .await_event(ANSWER_TIMEOUT)
            .with_context(|| self.cannot_talk())?
        {
            let pid = connection.peer_pid().with_context(|| self.cannot_talk())?;
            bail!(
                "{}: it has not answered for {} s; if it was stopped, `kill -CONT {pid}` lets it go \
                 on, and `kill -KILL {pid}` ends it and the container",
                self.cannot_talk(),
                ANSWER_TIMEOUT.as_secs(),
            );
        }
        connection.next_event().with_context(|| self.cannot_talk())
    }

    fn cannot_talk(&self) -> String {
        format!(
            "cannot talk with the supervisor of container '{}'",
            self.name
        )
    }

    fn is_not_running(&self) -> anyhow::Error {
        anyhow!(
            "container '{0}' is not running; start it with `nixos-container start {0}`",
            self.name
        )
    }

    /// The running container; `None` if it does not run. Only root can reach it.
    pub fn running(&self) -> Result<Option<Running>> {
        let Some(connection) = self.connect(&self.run().control())? else {
            return Ok(None);
        };
        match self.hear(&connection)? {
            Some((Event::State { state, leader, .. }, descriptors)) => {
                // None are there before its init is.
                let handles = <[OwnedFd; 2]>::try_from(descriptors).ok();
                Ok(handles.map(|[leader_fd, system_calls]| Running {
                    connection,
                    state,
                    leader,
                    leader_fd,
                    system_calls,
                }))
            }
            // It went while we asked.
            _ => Ok(None),
        }
    }

    /// The running container, or an error that says it does not run.
    pub fn require_running(&self) -> Result<Running> {
        self.require()?;
        match self.running()? {
            Some(running) => Ok(running),
            None => Err(self.is_not_running()),
        }
    }
}
