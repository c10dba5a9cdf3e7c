//! Starting and stopping containers.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::container::Container;
use crate::control::Request;
use crate::lifecycle::{self, Begun, ephemeral};
use crate::report::{self, exit_codes, log};
use crate::supervisor::{self, Misconfigured, daemon};

/// `start NAME…`
pub fn start(container: &Container) -> Result<()> {
    match lifecycle::start(container)? {
        Begun::Here => {}
        Begun::Elsewhere => say!("note: another command has started {container}"),
        Begun::Before => say!("note: {container} is already running"),
    }
    Ok(())
}

/// `stop NAME…`
pub fn stop(container: &Container, timeout: u64) -> Result<()> {
    container.require()?;
    let was_running = container.is_supervised();
    let lock = lifecycle::stop(container, Duration::from_secs(timeout))?;
    lifecycle::remove_bare_run_dir(container, lock);
    if !was_running {
        say!("note: {container} was not running");
    }
    Ok(())
}

/// `restart NAME…`
pub fn restart(container: &Container) -> Result<()> {
    // A container that is destroyed when it stops is not, this time.
    ephemeral::forget_start(container)?;
    container.require_configured()?;
    lifecycle::stop(
        container,
        Duration::from_secs(lifecycle::DEFAULT_TIMEOUT_STOP),
    )?;
    start(container)
}

/// `terminate NAME`: init handles signals other than SIGKILL itself.
pub fn terminate(container: &Container, signal: i32) -> Result<()> {
    if signal == libc::SIGKILL && container.is_supervised() {
        let lock = lifecycle::kill(container)?;
        lifecycle::remove_bare_run_dir(container, lock);
        return Ok(());
    }
    let running = container.require_running()?;
    running
        .connection
        .send_request(&Request::Signal(signal))
        .with_context(|| format!("cannot send a request to the supervisor of {container}"))
}

/// `supervise NAME`
pub fn supervise(container: &Container, detached: bool) -> Result<ExitCode> {
    log::become_supervisor();
    let report = if detached {
        daemon::leave_session()?;
        let stdin = std::io::stdin();
        let report = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3);
        Some(report.context("cannot duplicate standard input")?)
    } else {
        None
    };
    with_own_code(supervisor::supervise(container, report).map(ExitCode::from))
}

/// `check NAME`
pub fn check(container: &Container) -> Result<ExitCode> {
    container.require()?;
    let checked = supervisor::check(container).with_context(|| would_not_start(container));
    with_own_code(checked.and_then(|notices| {
        for notice in notices {
            say!("note: {notice}");
        }
        answer!("{container} would start").map(|()| ExitCode::SUCCESS)
    }))
}

/// The beginning of a sentence that says why a container cannot start.
pub fn would_not_start(container: &Container) -> String {
    format!("{container} would not start")
}

/// A wrong configuration has an exit code of its own.
fn with_own_code(ended: Result<ExitCode>) -> Result<ExitCode> {
    match ended {
        Err(error) if error.is::<Misconfigured>() => {
            report::print_error(&error);
            Ok(ExitCode::from(exit_codes::MISCONFIGURED))
        }
        ended => ended,
    }
}
