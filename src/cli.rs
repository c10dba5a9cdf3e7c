//! The command line, as clap reads it, a file for each group of commands.
//! Nothing here does anything.

mod create;
mod inside;
mod life;
mod look;
mod system;

use clap::{Args, Parser, Subcommand};

pub use create::Create;
pub use inside::{Enter, Run};
pub use life::{DEFAULT_TIMEOUT_STOP, Destroy, Stop, Supervise, Terminate};
pub use look::{Explain, Logs};
pub use system::{NixArguments, PullConfig, SystemArguments, Update};

use crate::name::ContainerName;

/// NixOS systems as containers, on a runtime of their own.
///
/// A container is a whole NixOS system, built by Nix from a configuration and
/// run in namespaces of the Linux kernel, on any host with Nix.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Examples:
  nixos-container create foo --config 'services.openssh.enable = true;'
  nixos-container start foo
  nixos-container run foo -- uname -a
  ssh root@$(nixos-container show-ip foo)
  nixos-container destroy foo

Exit codes: 0, done; 1, failed; 2, used wrongly; for `run`, the command's own.
Set NIXOS_CONTAINER_CONF_DIR, …_STATE_DIR, …_PROFILE_DIR, …_GCROOT_DIR and …_RUN_DIR to
keep containers in other places, and NIXOS_CONTAINER_ADDRESS_POOL to a network such as
172.20.0.0/14, of length 22 or less, to take their addresses from it instead of 10.233.0.0/16."
)]
pub struct Cli {
    /// Have Nix tell where in the configuration an error comes from
    #[arg(long, global = true)]
    pub show_trace: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the names of all containers
    List,
    /// Create a container and build its system; `start` starts it
    Create(Create),
    /// Start containers; returns when they have reached multi-user.target
    Start(Names),
    /// Halt containers cleanly
    Stop(Stop),
    /// Kill a container at once
    Terminate(Terminate),
    /// Stop containers and start them again
    Restart(Names),
    /// Have a running container activate its system again
    Reload(Name),
    /// Build a container's system anew, and activate it if the container runs
    Update(Update),
    /// Go back to the system that a container had before
    Rollback(Name),
    /// List the systems that a container has had
    Generations(Name),
    /// Bring a container's configuration up to date from the file or flake on the host
    PullConfig(PullConfig),
    /// Say whether a container is up, down, starting, stopping or gone
    Status(Name),
    /// Run a command in a container as root, with root's login environment
    #[command(after_help = "Example: nixos-container run foo -- systemctl status sshd")]
    Run(Run),
    /// Log in to a container as root, without a password
    RootLogin(Name),
    /// Get a shell in a container, or run a command, as the user who calls
    #[command(after_help = "Examples:
  sudo nixos-container enter foo                      as the user of foo with your name
  nixos-container enter foo --root -- /bin/bash
  nixos-container enter foo --user git --set-env LANG=C -- git gc")]
    Enter(Enter),
    /// Print a container's address
    ShowIp(Name),
    /// Print the public key by which a container's SSH server is known
    ShowHostKey(Name),
    /// Print what a container has written to its console since it was started
    Logs(Logs),
    /// Show, step by step, how a container is started, and the man page of each step
    Explain(Explain),
    /// Stop containers and remove them with all their files
    Destroy(Destroy),
    /// Have the container of a unit activate its system: what reloads the unit
    #[command(hide = true)]
    Activate(Name),
    /// Run a container in the foreground: what `start` starts
    #[command(hide = true)]
    Supervise(Supervise),
}

#[derive(Debug, Args)]
pub struct Name {
    /// The container
    pub name: ContainerName,
}

#[derive(Debug, Args)]
pub struct Names {
    /// The containers
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<ContainerName>,
}

/// What clap says of a wrong value.
fn expected(what: &str) -> String {
    format!("expected {what}")
}
