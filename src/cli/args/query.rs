//! The arguments of commands that change nothing.

use clap::{Args, Subcommand};

use super::Name;
use crate::container::name::ContainerName;

pub const LIST: &str = "Examples:
  nixos-container list
  nixos-container list --long --running
  nixos-container list --orphaned
  nixos-container list --json | jq -r '.[] | select(.state == \"down\") | .name'

--json prints an array of objects with these keys: name; state, as printed by `status`; address
and address6, without prefix length; since, as 2026-11-22T00:54:50Z; memory, in bytes; auto_start.
A missing value is null.";

pub const LOGS: &str = "Examples:
  nixos-container logs --follow foo
  nixos-container logs --supervisor foo

The supervisor logs the container's events. If the container was started with --debug, or its unit
has NIXOS_CONTAINER_LOG=debug in its environment, the supervisor logs each step with its time.

A terminal gets the console without escape sequences other than colours. A pipe or a file gets all
that the container has written.";

pub const CHECK: &str = "Example: nixos-container check foo && nixos-container restart foo

The checks are those that a start makes before it changes anything: of the configuration, and of
what it needs of the host.";

pub const EXPLAIN: &str = "Examples:
  nixos-container explain foo
  nixos-container explain --json foo | jq '.steps[] | select(.step == \"bind\")'

--json prints an object with these keys: container, the name; given, the directories that change
owner; namespaces, the new namespaces; host_steps and network, the supervisor's steps; steps, the
child's steps up to init. The last three are arrays of objects, in the order of execution: the key
step is the name of the step, further keys are its arguments.";

#[derive(Debug, Subcommand)]
pub enum Query {
    /// List the names of all containers
    #[command(after_help = LIST)]
    List(List),
    /// Print the state of a container: up, down, starting, stopping, unresponsive or gone
    #[command(after_help = "Example: [ $(nixos-container status foo) = up ]

If the container does not exist, the exit code is 2.")]
    Status(Name),
    /// Print the IP address of a container
    #[command(after_help = "Example: curl http://$(nixos-container show-ip foo)/")]
    ShowIp(Name),
    /// Print the public host key of a container's SSH server
    #[command(
        after_help = "Example: echo foo $(nixos-container show-host-key foo) >>~/.ssh/known_hosts"
    )]
    ShowHostKey(Name),
    /// List the earlier systems of a container and the current one
    #[command(after_help = "Example: nixos-container generations foo")]
    Generations(Name),
    /// Print the console output of a container since its last start
    #[command(after_help = LOGS)]
    Logs(Logs),
    /// Say what would prevent a container from starting
    #[command(after_help = CHECK)]
    Check(Name),
    /// Show each step of starting a container, with its man page
    #[command(after_help = EXPLAIN)]
    Explain(Explain),
}

#[derive(Debug, Args)]
pub struct List {
    /// Print a table of states, addresses, start times and memory
    #[arg(short, long, conflicts_with = "json")]
    pub long: bool,
    /// Print all of that as JSON
    #[arg(long)]
    pub json: bool,
    /// List only running containers
    #[arg(long)]
    pub running: bool,
    /// List the names of containers that are gone and have left files, as one that the host's
    /// configuration no longer declares
    #[arg(long, conflicts_with_all = ["long", "json", "running"])]
    pub orphaned: bool,
}

#[derive(Debug, Args)]
pub struct Logs {
    /// The container
    pub name: ContainerName,
    /// Keep printing new output while the container runs
    #[arg(short, long)]
    pub follow: bool,
    /// Print the log of the container's supervisor instead
    #[arg(long)]
    pub supervisor: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The container
    pub name: ContainerName,
    /// Print the steps as JSON
    #[arg(long)]
    pub json: bool,
}
