//! The words of commands that change nothing.

use clap::Args;

use crate::name::ContainerName;

pub const LIST: &str = "Examples:
  nixos-container list
  nixos-container list --long --running
  nixos-container list --json | jq -r '.[] | select(.state == \"down\") | .name'

With --json, an array of objects with the keys name; state, as `status` says it; address and
address6, without prefix length; since, as 2026-11-22T00:54:50Z; memory, in bytes; auto_start.
What there is not is null.";

pub const EXPLAIN: &str = "Examples:
  nixos-container explain foo
  nixos-container explain --json foo | jq '.steps[] | select(.step == \"bind\")'

With --json, an object with the keys container, the name; namespaces, the names of those that
are new; host_steps and network, what the supervisor does; steps, what the child does until it
executes init. The last three are arrays of objects in the order in which they are done: step
names what is done, further keys say with what.";

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
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The container
    pub name: ContainerName,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
