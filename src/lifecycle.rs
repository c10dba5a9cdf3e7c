//! Who keeps containers running: the host's systemd where it knows their unit,
//! else each supervisor by itself.

pub mod destroy;
mod direct;
pub mod ephemeral;
pub mod reclaim;
pub mod replacement;

use std::time::Duration;

use anyhow::{Context, Result};

use crate::container::Container;
use crate::container::files;
use crate::container::lock::Lock;
use crate::container::unit;
use crate::control::{Request, State};
use crate::report::log::LogRequest;
use crate::systemd::manager::Unit;

/// How often a lock is tried that the supervisor is about to release.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Starts a container, and returns when it has booted. `false` if it had
/// already, which is no error to `systemctl start` either.
pub fn start(container: &Container) -> Result<bool> {
    container.require()?;
    let running = container.running()?;
    if running
        .as_ref()
        .is_some_and(|running| running.state == State::Up)
    {
        return Ok(false);
    }
    if let Some(request) = LogRequest::of_this_command() {
        container.create_run_dir()?;
        let path = container.run().log_request();
        std::fs::write(&path, request.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    match Unit::find(container)? {
        Some(unit) => unit.start(container)?,
        None if running.is_some() => return Err(direct::busy(container)),
        None => direct::start(container)?,
    }
    Ok(true)
}

/// Halts a container and waits until it is gone, and all it had; what is left
/// after `timeout` is killed. As long as the lock is held, nobody starts it.
pub fn stop(container: &Container, timeout: Duration) -> Result<Lock> {
    let seconds = timeout.as_secs();
    let ask = || direct::end(container, &Request::Stop { timeout: seconds });
    end(container, |unit| unit.stop(container, timeout), ask)
}

/// Kills a container and waits until it is gone, and all it had. As long as the
/// lock is held, nobody starts it.
pub fn kill(container: &Container) -> Result<Lock> {
    let ask = || direct::end(container, &Request::Signal(libc::SIGKILL));
    end(container, |unit| unit.kill(container), ask)
}

/// Has the unit of a running container reload it; `false` if it has none.
pub fn reload(container: &Container) -> Result<bool> {
    match managing(container)? {
        Some(unit) => unit.reload(container).map(|()| true),
        None => Ok(false),
    }
}

/// Has the container ended by its unit or by its supervisor, which says whether
/// it left nothing behind. Whoever starts it in between is asked anew.
fn end(
    container: &Container,
    by_unit: impl Fn(&Unit) -> Result<()>,
    by_supervisor: impl Fn() -> Result<bool>,
) -> Result<Lock> {
    loop {
        let gone = match managing(container)? {
            Some(unit) => by_unit(&unit).map(|()| false)?,
            None => by_supervisor()?,
        };
        container.create_run_dir()?;
        let lock = Lock::try_lock(&container.run().lock())
            .with_context(|| format!("cannot lock container '{}'", container.name()))?;
        if let Some(lock) = lock {
            if !gone {
                reclaim::print(&reclaim::after_end(container)?);
            }
            if !container.exists() {
                // It was destroyed when it stopped, and all that is left is our
                // lock.
                files::remove_tree(container.run().path())?;
            }
            return Ok(lock);
        }
        std::thread::sleep(LOCK_RETRY);
    }
}

/// The unit that the container's supervisor runs in, or would be restarted by.
fn managing(container: &Container) -> Result<Option<Unit>> {
    if let Some(running) = container.running()?
        && unit::cgroup_of(container.name(), running.leader).is_none()
    {
        return Ok(None);
    }
    Unit::find(container)
}
