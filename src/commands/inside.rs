//! Processes in a running container.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::{Context, Result};
use runtime::capabilities::CapabilitySet;
use runtime::enter::{Entry, enter};

use crate::container::Container;
use crate::terminal;

/// Where programs are before the login shell has read its profile.
const PATH: &str = "/run/wrappers/bin:/run/current-system/sw/bin:/usr/bin:/bin";

/// `run NAME -- COMMAND…`, and `root-login NAME` for no command.
pub fn run(container: &Container, command: Vec<OsString>) -> Result<ExitCode> {
    let running = container.require_running()?;
    let entry = Entry {
        command,
        environment: environment(),
        terminal_streams: terminal_streams(),
        capabilities: CapabilitySet::bounding_of(running.leader)
            .context("cannot read the container's capabilities")?,
    };
    let cgroup = container.cgroup()?;
    let cgroup = cgroup
        .create_entered()
        .context("cannot make a cgroup in the container's")?;
    let signals = terminal::signals()?;
    // SAFETY: this process has one thread, and makes no other child.
    let entered = unsafe { enter(running.leader_fd.as_fd(), cgroup.as_fd(), &entry) }
        .with_context(|| format!("cannot enter container '{}'", container.name()))?;
    let exit = match entered.terminal {
        Some(main) => terminal::relay(&entered.process, main, &signals)?,
        None => terminal::wait(&entered.process, &signals)?,
    };
    // A wait status has eight bits (man 2 wait).
    Ok(ExitCode::from((exit.status() & 0xff) as u8))
}

/// A terminal inside stands for the caller's if that is this command's alone.
/// In a pipeline, the program at its end may read keys and set the terminal up,
/// as pagers do; then all streams are handed over as they are.
fn terminal_streams() -> [bool; 3] {
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let error = std::io::stderr().is_terminal();
    [interactive, interactive, interactive && error]
}

fn environment() -> Vec<(String, String)> {
    let term = std::env::var("TERM").map(|term| ("TERM".to_owned(), term));
    std::iter::once(("PATH".to_owned(), PATH.to_owned()))
        .chain(term)
        .collect()
}
