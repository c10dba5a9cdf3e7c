//! Containers without a unit: on hosts without systemd, and in directories that the
//! host's unit does not know.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use runtime::process::sealed::SealedProgram;

use crate::container::Container;
use crate::container::console_log;
use crate::container::running::Running;
use crate::control::{Connection, Event, Request, State};
use crate::report::progress::Progress;

/// Starts a container, and returns when it has booted; `false` if it has another
/// supervisor.
pub fn spawn_and_await(container: &Container) -> Result<bool> {
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

/// Waits until a container has booted whose supervisor sends its events through this
/// connection; `false` if it has another supervisor.
pub fn await_boot(container: &Container, connection: &Connection) -> Result<bool> {
    let progress = Progress::new(format!("starting {}", container.name()));
    let stopped = || anyhow!("{container} was stopped while it started");
    let next = || connection.next_event();
    while let Some((event, _)) = next().context("lost the connection to the supervisor")? {
        match event {
            Event::State { state, status, .. } => match state {
                State::Up => return Ok(true),
                State::Stopping => return Err(stopped()),
                State::Starting => progress.say(status.as_deref()),
            },
            Event::Gone => return Err(stopped()),
            Event::Notice(text) => progress.print(&format!("note: {text}")),
            Event::Log(line) => progress.print(&line),
            Event::Terminal => {}
            Event::Busy => return Ok(false),
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

/// The error while the container halts.
pub fn stopping_error(container: &Container) -> anyhow::Error {
    anyhow!(
        "container '{0}' is stopping; try again when `nixos-container status {0}` prints down",
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

/// Requests the end of the container from its supervisor, and waits until both are gone.
/// Returns whether the supervisor has removed all resources.
pub fn request_end(container: &Container, running: &Running, request: &Request) -> Result<bool> {
    let supervisor = &running.connection;
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
