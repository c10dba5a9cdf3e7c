//! Starting and stopping.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::args::DEFAULT_TIMEOUT_STOP;
use crate::container::Container;
use crate::control::Request;
use crate::lifecycle::{self, ephemeral};
use crate::report::log;
use crate::supervisor::Misconfigured;
use crate::supervisor::{self, daemon};

/// `start NAME…`
pub fn start(container: &Container) -> Result<()> {
    if !lifecycle::start(container)? {
        say!("note: container '{}' runs already", container.name());
    }
    Ok(())
}

/// `stop NAME…`
pub fn stop(container: &Container, timeout: u64) -> Result<()> {
    container.require()?;
    let ran = container.running()?.is_some();
    lifecycle::stop(container, Duration::from_secs(timeout))?;
    if !ran {
        say!("note: container '{}' did not run", container.name());
    }
    Ok(())
}

/// `restart NAME…`
pub fn restart(container: &Container) -> Result<()> {
    // It is to be there after its stop.
    ephemeral::forget_start(container)?;
    container.require()?;
    lifecycle::stop(container, Duration::from_secs(DEFAULT_TIMEOUT_STOP))?;
    start(container)
}

/// `terminate NAME`: other signals than SIGKILL are init's to understand.
pub fn terminate(container: &Container, signal: i32) -> Result<()> {
    let running = container.require_running()?;
    if signal == libc::SIGKILL {
        lifecycle::kill(container)?;
        return Ok(());
    }
    running
        .connection
        .send_request(&Request::Signal(signal))
        .context("cannot talk with the supervisor")
}

/// Exit status of a supervisor whose container is configured wrongly: what
/// sysexits.h calls `EX_CONFIG`, and `RestartPreventExitStatus=` of the unit has
/// systemd leave alone.
const MISCONFIGURED: u8 = 78;

/// `supervise NAME`
pub fn supervise(container: &Container, detached: bool) -> Result<ExitCode> {
    log::become_supervisor();
    let report = if detached {
        daemon::leave_session()?;
        let stdin = std::io::stdin();
        let report = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3);
        Some(report.context("cannot take over standard input")?)
    } else {
        None
    };
    match supervisor::supervise(container, report) {
        Err(error) if error.is::<Misconfigured>() => {
            crate::report::print_error(&error);
            Ok(ExitCode::from(MISCONFIGURED))
        }
        ended => ended.map(ExitCode::from),
    }
}
