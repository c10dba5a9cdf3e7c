//! Who keeps a container running: its supervisor, by itself.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::container::Container;
use crate::control::{Connection, Event, Request, State};
use crate::lock::Lock;
use crate::progress::Progress;
use crate::supervisor::console_tail;
use crate::{reclaim, spec};

/// Lines of the console that an error shows.
const TAIL: usize = 10;

/// Starts a container, and returns when it has booted.
pub fn start(container: &Container) -> Result<()> {
    let config = container.config()?;
    // The supervisor does this again; here it fails before anything is made.
    spec::resolve(container.places(), container.name(), &config)?;
    if container.running()?.is_some() {
        bail!("container '{}' is running already", container.name());
    }
    let (connection, theirs) = Connection::pair().context("cannot make a socket")?;
    spawn_supervisor(container, theirs)?;
    await_boot(container, &connection)
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
                },
                _,
            )) => {
                bail!(
                    "container '{}' was stopped while it started",
                    container.name()
                )
            }
            Some((Event::State { status, .. }, _)) => progress.say(status.as_deref()),
            Some((Event::Failed(why), _)) => {
                drop(progress);
                return Err(failure(container, &why));
            }
            None => return Err(failure(container, "its supervisor was killed")),
        }
    }
}

fn failure(container: &Container, why: &str) -> anyhow::Error {
    let name = container.name();
    let log = container.run().console_log();
    let tail = console_tail(&log, TAIL);
    if tail.is_empty() {
        return anyhow::anyhow!("cannot start container '{name}': {why}");
    }
    anyhow::anyhow!(
        "cannot start container '{name}': {why}\nThe end of its console (all of it: \
         `nixos-container logs {name}`):\n{tail}"
    )
}

/// Halts a container cleanly, and returns when it is gone. What still runs
/// after `timeout` is killed.
pub fn stop(container: &Container, timeout: Duration) -> Result<()> {
    let timeout = timeout.as_secs();
    end(container, &Request::Stop { timeout })
}

/// Kills a container, and returns when it is gone.
pub fn kill(container: &Container) -> Result<()> {
    end(container, &Request::Signal(libc::SIGKILL))
}

fn end(container: &Container, request: &Request) -> Result<()> {
    let name = container.name();
    if let Some(running) = container.running()? {
        let progress = Progress::new(format!("stopping {name}"));
        // If it went in between, the next event says so.
        let _ = running.connection.send_request(request);
        while let Some((event, _)) = running
            .connection
            .next_event()
            .context("cannot hear from the supervisor")?
        {
            if let Event::State { status, .. } = event {
                progress.say(status.as_deref());
            }
        }
    }
    let _lock = hold(container)?;
    reclaim::after_end(container)
}

/// Keeps a container from being started for as long as the lock is held. Waits
/// for a supervisor that is about to end.
pub fn hold(container: &Container) -> Result<Option<Lock>> {
    let run = container.run();
    if !run.path().exists() {
        return Ok(None);
    }
    let lock = Lock::wait(&run.lock())
        .with_context(|| format!("cannot lock container '{}'", container.name()))?;
    Ok(Some(lock))
}
