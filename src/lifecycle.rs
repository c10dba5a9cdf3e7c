//! Starts and stops containers: through the host's systemd if it knows their unit, else
//! directly through their supervisors.

pub mod destroy;
mod direct;
pub mod ephemeral;
pub mod limits;
pub mod network;
pub mod reclaim;
pub mod replacement;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::container::Container;
use crate::container::files;
use crate::container::lock::Lock;
use crate::container::running::{Running, Unresponsive};
use crate::container::unit;
use crate::control::{Request, State};
use crate::nix::install;
use crate::report::log::LogRequest;
use crate::systemd::manager::Unit;

/// Default time for a clean halt, in seconds: systemd's `DefaultTimeoutStopSec=`, which
/// nixpkgs' unit has.
pub const DEFAULT_TIMEOUT_STOP: u64 = 90;

/// How often the lock is tried while the supervisor is about to release it.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// The start of a container that has booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// This command started it.
    Here,
    /// Another command was starting it, and this one has waited for that.
    Elsewhere,
    /// It was up already, which is not an error, as with `systemctl start`.
    Before,
}

/// Starts a container, and returns when it has booted.
pub fn start(container: &Container) -> Result<Begun> {
    container.require()?;
    loop {
        let running = container.running()?;
        if running
            .as_ref()
            .is_some_and(|running| running.state == State::Up)
        {
            return Ok(Begun::Before);
        }
        container.require_configured()?;
        let unit = Unit::find(container)?;
        match running.filter(|_| unit.is_none()) {
            Some(Running {
                state: State::Starting,
                connection,
                ..
            }) => {
                direct::await_boot(container, &connection)?;
                return Ok(Begun::Elsewhere);
            }
            Some(_) => return Err(direct::stopping_error(container)),
            None => {}
        }
        if unit.is_none() {
            // The supervisor has no terminal to show the build.
            install::build_unbuilt(container)
                .with_context(|| format!("cannot start {container}"))?;
        }
        let request = write_log_request(container)?;
        let started = match unit {
            Some(unit) => unit.start(container).map(|()| true),
            None => direct::spawn_and_await(container),
        };
        // A supervisor that was turned away has not read it.
        if let Some(request) = request {
            files::remove_file(&request)?;
        }
        if started? {
            return Ok(Begun::Here);
        }
        // The other supervisor has its lock before its socket.
        std::thread::sleep(LOCK_RETRY);
    }
}

/// Leaves this command's request, if it logs, for the supervisor that is about to
/// start, possibly in a unit. Returns its path.
fn write_log_request(container: &Container) -> Result<Option<PathBuf>> {
    let Some(request) = LogRequest::of_this_command() else {
        return Ok(None);
    };
    container.create_run_dir()?;
    let path = container.run().log_request();
    std::fs::write(&path, request.to_string())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(path))
}

/// Halts a container, and waits until it is gone with its resources. Processes that
/// run after `timeout` are killed. The container cannot start while the returned lock is
/// held.
pub fn stop(container: &Container, timeout: Duration) -> Result<Lock> {
    let seconds = timeout.as_secs();
    let stop = || match container.running()? {
        Some(running) => {
            direct::request_end(container, &running, &Request::Stop { timeout: seconds })
        }
        None => Ok(false),
    };
    end(container, |unit| unit.stop(container, timeout), stop)
}

/// Kills a container, and waits until it is gone with its resources. The container
/// cannot start while the returned lock is held.
pub fn kill(container: &Container) -> Result<Lock> {
    let kill = || match container.running() {
        Ok(Some(running)) => {
            direct::request_end(container, &running, &Request::Signal(libc::SIGKILL))
        }
        Ok(None) => Ok(false),
        Err(error) => {
            let supervisor = error.downcast::<Unresponsive>()?;
            let pid = supervisor.pid;
            let killed = supervisor.kill().map(|()| false);
            killed.with_context(|| format!("cannot kill process {pid}, the supervisor"))
        }
    };
    end(container, |unit| unit.kill(container), kill)
}

/// Removes the directory of a stopped container, unless there is more in it than its
/// lock.
pub fn remove_bare_run_dir(container: &Container, lock: Lock) {
    let run = container.run();
    let is_bare = fs::read_dir(run.path()).is_ok_and(|entries| entries.count() == 1);
    if is_bare && fs::remove_file(run.lock()).is_ok() {
        // Another command may have put a file there just now.
        let _ = fs::remove_dir(run.path());
    }
    drop(lock);
}

/// Reloads a running container through its unit; `false` if it has none.
pub fn reload(container: &Container) -> Result<bool> {
    match managing_unit(container)? {
        Some(unit) => unit.reload(container).map(|()| true),
        None => Ok(false),
    }
}

/// Ends a container through its unit or its supervisor, again if it is started before
/// the lock is held. The supervisor returns whether it has removed all resources.
fn end(
    container: &Container,
    by_unit: impl Fn(&Unit) -> Result<()>,
    by_supervisor: impl Fn() -> Result<bool>,
) -> Result<Lock> {
    loop {
        let is_clean = match managing_unit(container)? {
            Some(unit) => by_unit(&unit).map(|()| false)?,
            None => by_supervisor()?,
        };
        if let Some(lock) = container.try_lock()? {
            if !is_clean {
                reclaim::print_notices(&reclaim::clean_up(container)?);
            }
            if !container.exists() {
                // It was destroyed when it stopped; only the lock is left.
                files::remove_tree(container.run().path())?;
            }
            return Ok(lock);
        }
        std::thread::sleep(LOCK_RETRY);
    }
}

/// The unit that runs the container's supervisor, or might restart it.
fn managing_unit(container: &Container) -> Result<Option<Unit>> {
    let process = match container.running() {
        Ok(running) => running.map(|running| running.leader),
        Err(error) => Some(error.downcast::<Unresponsive>()?.pid),
    };
    if process.is_some_and(|pid| unit::cgroup_of(container.name(), pid).is_none()) {
        return Ok(None);
    }
    Unit::find(container)
}
