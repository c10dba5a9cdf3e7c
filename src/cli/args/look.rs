//! The words of commands that change nothing.

use clap::{Args, Subcommand};

use super::Name;
use crate::container::name::ContainerName;

pub const LIST: &str = "Examples:
  nixos-container list
  nixos-container list --long --running
  nixos-container list --json | jq -r '.[] | select(.state == \"down\") | .name'

With --json, an array of objects with the keys name; state, as `status` says it; address and
address6, without prefix length; since, as 2026-11-22T00:54:50Z; memory, in bytes; auto_start.
What there is not is null.";

pub const LOGS: &str = "Examples:
  nixos-container logs --follow foo
  nixos-container logs --supervisor foo

The supervisor logs what happens to the container; of a start with --debug, or with
NIXOS_CONTAINER_LOG=debug in the environment of its unit, each step and its time.";

pub const EXPLAIN: &str = "Examples:
  nixos-container explain foo
  nixos-container explain --json foo | jq '.steps[] | select(.step == \"bind\")'

With --json, an object with the keys container, the name; namespaces, the names of those that
are new; host_steps and network, what the supervisor does; steps, what the child does until it
executes init. The last three are arrays of objects in the order in which they are done: step
names what is done, further keys say with what.";

#[derive(Debug, Subcommand)]
pub enum Look {
    /// List the names of all containers
    #[command(after_help = LIST)]
    List(List),
    /// Say whether a container is up, down, starting, stopping or gone
    #[command(after_help = "Example: [ $(nixos-container status foo) = up ]
Exits with 1 if there is no such container.")]
    Status(Name),
    /// Print a container's address
    #[command(after_help = "Example: curl http://$(nixos-container show-ip foo)/")]
    ShowIp(Name),
    /// Print the public key by which a container's SSH server is known
    #[command(
        after_help = "Example: echo foo $(nixos-container show-host-key foo) >>~/.ssh/known_hosts"
    )]
    ShowHostKey(Name),
    /// List the systems that a container has had
    #[command(after_help = "Example: nixos-container generations foo")]
    Generations(Name),
    /// Print what a container has written to its console since it was started
    #[command(after_help = LOGS)]
    Logs(Logs),
    /// Show, step by step, how a container is started, and the man page of each step
    #[command(after_help = EXPLAIN)]
    Explain(Explain),
}

#[derive(Debug, Args)]
pub struct List {
    /// A table: state, address, when it was started, memory
    #[arg(short, long, conflicts_with = "json")]
    pub long: bool,
    /// All of that and more as JSON
    #[arg(long)]
    pub json: bool,
    /// Those that run, and no others
    #[arg(long)]
    pub running: bool,
}

#[derive(Debug, Args)]
pub struct Logs {
    /// The container
    pub name: ContainerName,
    /// Go on while it runs
    #[arg(short, long)]
    pub follow: bool,
    /// What the supervisor did and when, instead of the console
    #[arg(long)]
    pub supervisor: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The container
    pub name: ContainerName,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
