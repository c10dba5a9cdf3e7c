//! The arguments of commands that start, stop and remove containers.

use clap::{Args, Subcommand};

use super::{Names, expecting};
use crate::config::values;
use crate::container::name::ContainerName;
use crate::lifecycle::DEFAULT_TIMEOUT_STOP;

#[derive(Debug, Subcommand)]
pub enum Lifecycle {
    /// Start containers, and wait until they reach multi-user.target
    #[command(after_help = "Example: nixos-container start foo")]
    Start(Names),
    /// Halt containers cleanly
    #[command(after_help = "Example: nixos-container stop --timeout 10 foo bar")]
    Stop(Stop),
    /// Kill a container immediately
    #[command(after_help = "Example: nixos-container terminate foo")]
    Terminate(Terminate),
    /// Stop containers and start them again
    #[command(after_help = "Example: nixos-container restart foo")]
    Restart(Names),
    /// Stop containers and remove them with all their files
    #[command(after_help = "Example: nixos-container destroy foo

Data of the host that is mounted below the container's root directory is kept. If only the
configuration of a container is gone, the files that it has left are removed.")]
    Destroy(Destroy),
    /// Run a container in the foreground; `start` starts this
    #[command(hide = true, after_help = "Example: nixos-container supervise foo")]
    Supervise(Supervise),
}

#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    pub names: Names,
    /// Kill the container if it has not halted within this time
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT_STOP)]
    pub timeout: u64,
}

#[derive(Debug, Args)]
pub struct Terminate {
    /// The container
    pub name: ContainerName,
    /// The signal for the container's init, a name or a number
    #[arg(long, default_value = "KILL", value_parser = expecting(values::signal))]
    pub signal: i32,
}

#[derive(Debug, Args)]
pub struct Destroy {
    #[command(flatten)]
    pub names: Names,
    /// Kill the container immediately, and ignore files that cannot be removed
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Supervise {
    /// The container
    pub name: ContainerName,
    /// Run in a session of its own, and report to the socket on standard input
    #[arg(long)]
    pub detached: bool,
}
