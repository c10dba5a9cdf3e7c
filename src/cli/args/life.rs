//! The words of commands that start, stop and remove containers.

use clap::{Args, Subcommand};

use super::Names;
use crate::config::values;
use crate::container::name::ContainerName;

/// Seconds that a halt may take: systemd's `DefaultTimeoutStopSec=`, which
/// holds for nixpkgs' unit.
pub const DEFAULT_TIMEOUT_STOP: u64 = 90;

#[derive(Debug, Subcommand)]
pub enum Life {
    /// Start containers; returns when they have reached multi-user.target
    #[command(after_help = "Example: nixos-container start foo")]
    Start(Names),
    /// Halt containers cleanly
    #[command(after_help = "Example: nixos-container stop --timeout 10 foo bar")]
    Stop(Stop),
    /// Kill a container at once
    #[command(after_help = "Example: nixos-container terminate foo")]
    Terminate(Terminate),
    /// Stop containers and start them again
    #[command(after_help = "Example: nixos-container restart foo")]
    Restart(Names),
    /// Stop containers and remove them with all their files
    #[command(after_help = "Example: nixos-container destroy foo
Data of the host that is mounted below a container's root directory stays.")]
    Destroy(Destroy),
    /// Run a container in the foreground: what `start` starts
    #[command(hide = true, after_help = "Example: nixos-container supervise foo")]
    Supervise(Supervise),
}

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
