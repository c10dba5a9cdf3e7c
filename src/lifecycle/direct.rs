//! Containers without a unit: on hosts without systemd, and in directories that the
//! host's unit does not know.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use runtime::process::sealed::SealedProgram;

use crate::container::Container;
use crate::container::console_log;
use crate::control::{Connection, Event, Request, State};
use crate::report::progress::Progress;

/// Starts a container, and returns when it has booted.
pub fn spawn_and_await(container: &Container) -> Result<()> {
    let connection =
        spawn_supervisor(container).with_context(|| format!("cannot start {container}"))?;
    await_boot(container, &connection)
}

/// Spawns the supervisor, which leaves this session and outlives this process. Its
/// events come through the returned connection. It continues in
/// `cli/commands/lifecycle.rs:supervise`.
fn spawn_supervisor(container: &Container) -> Result<Connection> {
    log::debug!("spawn the supervisor");
    let (connection, report) = Connection::pair().context("cannot make a socket")?;
    let program = SealedProgram::make().context("cannot seal this program")?;
    Command::new(program.path())
        .arg0("nixos-container")
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
    let stopped = || anyhow!("{container} was stopped while it started");
    let next = || connection.next_event();
    while let Some((event, _)) = next().context("lost the connection to the supervisor")? {
        match event {
            Event::State { state, status, .. } => match state {
                State::Up => return Ok(()),
                State::Stopping => return Err(stopped()),
                State::Starting => progress.say(status.as_deref()),
            },
            Event::Gone => return Err(stopped()),
            Event::Notice(text) => progress.print(&format!("note: {text}")),
            Event::Log(line) => progress.print(&line),
            Event::Terminal => {}
            Event::Busy => return Err(busy_error(container)),
            Event::Failed { why, console } => {
                drop(progress);
                return Err(start_error(container, &why, &console));
            }
        }
    }
    let console = console_log::tail(&container.run().console_log());
    let why = "its supervisor was killed";
    Err(start_error(container, why, &console))
}

/// The error while another command starts or stops the container.
pub fn busy_error(container: &Container) -> anyhow::Error {
    anyhow!(
        "container '{0}' is already starting or stopping; try again when `nixos-container status \
         {0}` prints up or down",
        container.name()
    )
}

fn start_error(container: &Container, why: &str, console: &str) -> anyhow::Error {
    let name = container.name();
    if console.is_empty() {
        return anyhow!("cannot start {container}: {why}");
    }
    let all = match container.exists() {
        true => format!(" (all of it: `nixos-container logs {name}`)"),
        false => String::new(),
    };
    anyhow!("cannot start {container}: {why}\nThe end of its console{all}:\n{console}")
}

/// Requests the end of the container from its supervisor, if there is one, and waits
/// until both are gone. Returns whether the supervisor has removed all resources.
pub fn request_end(container: &Container, request: &Request) -> Result<bool> {
    match container.running()? {
        Some(running) => await_end(container, &running.connection, request),
        None => Ok(false),
    }
}

fn await_end(container: &Container, supervisor: &Connection, request: &Request) -> Result<bool> {
    let mut is_clean = false;
    let progress = Progress::new(format!("stopping {}", container.name()));
    // If the supervisor is gone, the next event tells it.
    let _ = supervisor.send_request(request);
    while let Some((event, _)) = supervisor
        .next_event()
        .context("lost the connection to the supervisor")?
    {
        match event {
            Event::State { status, .. } => progress.say(status.as_deref()),
            Event::Notice(text) => progress.print(&format!("note: {text}")),
            Event::Gone => is_clean = true,
            Event::Busy | Event::Failed { .. } | Event::Log(_) | Event::Terminal => {}
        }
    }
    Ok(is_clean)
}
