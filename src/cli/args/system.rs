//! The words of commands that build and change systems.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Create, Name, create, expected};
use crate::config::flake::FlakeRef;
use crate::container::name::ContainerName;
use crate::nix::options::NixArguments;

pub const UPDATE: &str = "Examples:
  nixos-container update foo
  nixos-container update foo --config 'services.httpd.enable = true;'
  nixos-container update foo --flake ./mine#web

Without --config, --config-file or --flake, the system is built from the container's own
/etc/nixos/configuration.nix, or from the flake that it was built from before; with them, that
file is overwritten, or the flake remembered. The host's Nix evaluates it: whoever may change the
file decides what it reads of the host. It sees a copy of /etc/nixos, so relative paths lead to
what is in there. Nothing changes before the build has succeeded. Exits with 4 if a unit of the
container failed when the system was activated.";

pub const PULL_CONFIG: &str = "Example: nixos-container pull-config foo --switch

A container that was created from a file of the host gets a copy of it as its
/etc/nixos/configuration.nix, one that was created from a flake gets that as its /etc/nixos, so
that it can rebuild itself. What was there is kept beside it, with a number.";

#[derive(Debug, Subcommand)]
pub enum System {
    /// Create a container and build its system; `start` starts it
    #[command(after_help = create::EXAMPLES)]
    Create(Create),
    /// Build a container's system anew, and activate it if the container runs
    #[command(after_help = UPDATE)]
    Update(Update),
    /// Go back to the system that a container had before
    #[command(after_help = "Example: nixos-container rollback foo
If the container runs, the system is activated at once.")]
    Rollback(Name),
    /// Bring a container's configuration up to date from the file or flake on the host
    #[command(after_help = PULL_CONFIG)]
    PullConfig(PullConfig),
    /// Have a running container activate its system again
    #[command(after_help = "Example: nixos-container reload foo")]
    Reload(Name),
    /// Have the container of a unit activate its system: what reloads the unit
    #[command(hide = true, after_help = "Example: nixos-container activate foo")]
    Activate(Name),
}

/// What a system is built from.
#[derive(Debug, Args)]
pub struct SystemArguments {
    /// NixOS options of the container, as they stand in a configuration.nix
    #[arg(long, value_name = "OPTIONS", conflicts_with_all = ["config_file", "flake"])]
    pub config: Option<String>,
    /// A NixOS module that the container's configuration imports
    #[arg(long, value_name = "PATH", conflicts_with = "flake")]
    pub config_file: Option<PathBuf>,
    /// A flake with the system, as ./mine or github:me/mine#web: the NAME of its
    /// nixosConfigurations, else "container"
    #[arg(
        long,
        value_name = "FLAKE[#NAME]",
        conflicts_with = "nixos_path",
        value_parser = flake
    )]
    pub flake: Option<FlakeRef>,
    /// The NixOS expression to build with, instead of <nixpkgs/nixos>
    #[arg(long, value_name = "PATH")]
    pub nixos_path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Update {
    /// The container
    pub name: ContainerName,
    #[command(flatten)]
    pub system: SystemArguments,
    #[command(flatten)]
    pub nix: NixArguments,
}

#[derive(Debug, Args)]
pub struct PullConfig {
    /// The container
    pub name: ContainerName,
    /// Build it then, and activate it in the container
    #[arg(long)]
    pub switch: bool,
    #[command(flatten)]
    pub nix: NixArguments,
}

fn flake(text: &str) -> Result<FlakeRef, String> {
    text.parse().map_err(expected)
}
