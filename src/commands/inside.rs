//! Processes in a running container.

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
pub fn run(container: &Container, command: Vec<String>) -> Result<ExitCode> {
    let running = container.require_running()?;
    let entry = Entry {
        command,
        environment: environment(),
        terminal_streams: [
            std::io::stdin().is_terminal(),
            std::io::stdout().is_terminal(),
            std::io::stderr().is_terminal(),
        ],
        capabilities: CapabilitySet::bounding_of(running.leader)
            .context("cannot read the container's capabilities")?,
    };
    let cgroup = container.cgroup()?;
    let cgroup = cgroup
        .create_entered()
        .context("cannot make a cgroup in the container's")?;
    // SAFETY: this process has one thread, and makes no other child.
    let entered = unsafe { enter(running.leader_fd.as_fd(), cgroup.as_fd(), &entry) }
        .with_context(|| format!("cannot enter container '{}'", container.name()))?;
    let exit = match entered.terminal {
        Some(main) => terminal::relay(&entered.process, &main)?,
        None => entered
            .process
            .wait()
            .context("cannot wait for the command")?,
    };
    // A wait status has eight bits (man 2 wait).
    Ok(ExitCode::from((exit.status() & 0xff) as u8))
}

fn environment() -> Vec<(String, String)> {
    let term = std::env::var("TERM").map(|term| ("TERM".to_owned(), term));
    std::iter::once(("PATH".to_owned(), PATH.to_owned()))
        .chain(term)
        .collect()
}
