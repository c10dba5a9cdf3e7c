//! Supervisors that nobody looks after: on hosts without systemd, and for
//! containers in places that the host's unit does not know.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use super::reclaim;
use crate::container::Container;
use crate::container::console_log;
use crate::container::lock::Lock;
use crate::control::{Connection, Event, Request, State};
use crate::report::progress::Progress;
use crate::spec;
use crate::spec::network::PrivateNetwork;

/// Starts a container, and returns when it has booted.
pub fn start(container: &Container) -> Result<()> {
    if container.running()?.is_some() {
        return Err(busy(container));
    }
    let connection = begin(container)
        .with_context(|| format!("cannot start container '{}'", container.name()))?;
    await_boot(container, &connection)
}

/// Has it started by a supervisor, which reports on the connection. Here fails
/// what can be seen before.
fn begin(container: &Container) -> Result<Connection> {
    let config = container.config()?;
    let start = spec::resolve(container, &config)?;
    if let Some(network) = &start.network {
        check(container, network)?;
    }
    let (connection, theirs) = Connection::pair().context("cannot make a socket")?;
    spawn_supervisor(container, theirs)?;
    Ok(connection)
}

/// Looks whether the host has what the network needs. The supervisor does this
/// again; here it fails before anything is made.
fn check(container: &Container, network: &PrivateNetwork) -> Result<()> {
    let lock = container.run().lock();
    let found = network.check();
    if found.is_ok() || !lock.exists() {
        return found;
    }
    // A killed predecessor may still have the interfaces that had moved in.
    if let Some(_lock) = Lock::try_lock(&lock).context("cannot lock the container")? {
        reclaim::print(&reclaim::leftovers(container)?);
    }
    network.check()
}

/// The supervisor, as a session of its own that outlives this process.
fn spawn_supervisor(container: &Container, report: OwnedFd) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    Command::new(program)
        .args(["supervise", "--detached", container.name().as_str()])
        .stdin(report)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()
        .context("cannot start the supervisor")?;
    Ok(())
}

fn await_boot(container: &Container, connection: &Connection) -> Result<()> {
    let progress = Progress::new(format!("starting {}", container.name()));
    loop {
        match connection
            .next_event()
            .context("cannot hear from the supervisor")?
        {
            Some((
                Event::State {
                    state: State::Up, ..
                },
                _,
            )) => return Ok(()),
            Some((
                Event::State {
                    state: State::Stopping,
                    ..
                }
                | Event::Gone,
                _,
            )) => {
                bail!(
                    "container '{}' was stopped while it started",
                    container.name()
                )
            }
            Some((Event::State { status, .. }, _)) => progress.say(status.as_deref()),
            Some((Event::Notice(text), _)) => progress.print(&format!("note: {text}")),
            Some((Event::Terminal, _)) => {}
            Some((Event::Busy, _)) => return Err(busy(container)),
            Some((Event::Failed { why, console }, _)) => {
                drop(progress);
                return Err(failure(container, &why, &console));
            }
            None => {
                let console = console_log::tail(&container.run().console_log());
                return Err(failure(container, "its supervisor was killed", &console));
            }
        }
    }
}

fn busy(container: &Container) -> anyhow::Error {
    anyhow!(
        "container '{0}' is starting or stopping already; try again when `nixos-container status \
         {0}` says up or down",
        container.name()
    )
}

fn failure(container: &Container, why: &str, console: &str) -> anyhow::Error {
    let name = container.name();
    if console.is_empty() {
        return anyhow!("cannot start container '{name}': {why}");
    }
    let all = match container.exists() {
        true => format!(" (all of it: `nixos-container logs {name}`)"),
        false => String::new(),
    };
    anyhow!("cannot start container '{name}': {why}\nThe end of its console{all}:\n{console}")
}

/// Asks the supervisor, if there is one, to end its container, and waits until
/// both are gone. Returns whether it has said that it left nothing behind.
pub fn end(container: &Container, request: &Request) -> Result<bool> {
    match container.running()? {
        Some(running) => ask_to_end(container, &running.connection, request),
        None => Ok(false),
    }
}

fn ask_to_end(container: &Container, supervisor: &Connection, request: &Request) -> Result<bool> {
    let mut gone = false;
    let progress = Progress::new(format!("stopping {}", container.name()));
    // If it went in between, the next event says so.
    let _ = supervisor.send_request(request);
    while let Some((event, _)) = supervisor
        .next_event()
        .context("cannot hear from the supervisor")?
    {
        match event {
            Event::State { status, .. } => progress.say(status.as_deref()),
            Event::Notice(text) => progress.print(&format!("note: {text}")),
            Event::Gone => gone = true,
            Event::Busy | Event::Failed { .. } | Event::Terminal => {}
        }
    }
    Ok(gone)
}
