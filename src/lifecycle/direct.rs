//! Supervisors that nobody looks after: on hosts without systemd, and for
//! containers in places that the host's unit does not know.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use crate::container::Container;
use crate::container::console_log;
use crate::control::{Connection, Event, Request, State};
use crate::report::progress::Progress;

/// Starts a container, and returns when it has booted.
pub fn start(container: &Container) -> Result<()> {
    let connection = spawn_supervisor(container)
        .with_context(|| format!("cannot start container '{}'", container.name()))?;
    await_boot(container, &connection)
}

/// Spawns the supervisor, which leaves this session and outlives this process. It
/// reports on the connection.
fn spawn_supervisor(container: &Container) -> Result<Connection> {
    log::debug!("spawn the supervisor");
    let (connection, report) = Connection::pair().context("cannot make a socket")?;
    let program = std::env::current_exe().context("cannot find this program")?;
    Command::new(program)
        .args(["supervise", "--detached", container.name().as_str()])
        .stdin(report)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()
        .context("cannot start the supervisor")?;
    Ok(connection)
}

fn await_boot(container: &Container, connection: &Connection) -> Result<()> {
    let progress = Progress::new(format!("starting {}", container.name()));
    loop {
        match connection
            .next_event()
            .context("lost the connection to the supervisor")?
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
            Some((Event::Log(line), _)) => progress.print(&line),
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

/// Another command starts or stops the container.
pub fn busy(container: &Container) -> anyhow::Error {
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
        .context("lost the connection to the supervisor")?
    {
        match event {
            Event::State { status, .. } => progress.say(status.as_deref()),
            Event::Notice(text) => progress.print(&format!("note: {text}")),
            Event::Gone => gone = true,
            Event::Busy | Event::Failed { .. } | Event::Log(_) | Event::Terminal => {}
        }
    }
    Ok(gone)
}
