//! The words of commands that start, stop and remove containers.

use clap::Args;

use super::Names;
use crate::config::values;
use crate::name::ContainerName;

/// Seconds that a halt may take: systemd's `DefaultTimeoutStopSec=`, which
/// holds for nixpkgs' unit.
pub const DEFAULT_TIMEOUT_STOP: u64 = 90;

#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    pub names: Names,
    /// Kill what still runs after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT_STOP)]
    pub timeout: u64,
}

#[derive(Debug, Args)]
pub struct Terminate {
    /// The container
    pub name: ContainerName,
    /// The signal for its init, by name or number
    #[arg(long, default_value = "KILL", value_parser = signal)]
    pub signal: i32,
}

#[derive(Debug, Args)]
pub struct Destroy {
    #[command(flatten)]
    pub names: Names,
    /// Kill it at once, and go on past what cannot be removed
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Supervise {
    /// The container
    pub name: ContainerName,
    /// In a session of its own, reporting to the socket that is standard input
    #[arg(long)]
    pub detached: bool,
}

fn signal(text: &str) -> Result<i32, String> {
    values::signal(text).map_err(|expected| format!("expected {expected}"))
}
