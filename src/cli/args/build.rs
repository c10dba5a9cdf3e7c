//! The arguments of commands that make and change containers and their systems.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Create, Name, create, expecting};
use crate::config::flake::FlakeRef;
use crate::container::name::ContainerName;
use crate::nix::options::NixArguments;

pub const UPDATE: &str = "Examples:
  nixos-container update foo
  nixos-container update foo --config 'services.httpd.enable = true;'
  nixos-container update foo --flake ./mine#web

Without --config, --config-file or --flake, the system is built from the container's
/etc/nixos/configuration.nix, or from the flake of the last build. With --config or --config-file,
that file is overwritten; with --flake, the flake is remembered. The host's Nix evaluates a copy of
/etc/nixos, so relative paths refer to files there. If these are not what root of the host gave, Nix
runs in a sandbox: it sees no files of the host but programs, the store and NIX_PATH. With
--trusted, it has root's rights, and can read any file and run any program of the host at the word
of the configuration. Nothing is changed before the build has succeeded. If a unit of the container
fails during the activation, the exit code is 4.";

pub const EDIT: &str = "Examples:
  nixos-container edit foo
  EDITOR='sed -i s/^AUTO_START=0/AUTO_START=1/' nixos-container edit foo

The file counts once the editor has ended and each of its lines is valid; man nixos-container.conf
describes them. If the container runs and the change needs a restart, the command says so.";

pub const PULL_CONFIG: &str = "Example: nixos-container pull-config foo --switch

A container that was created from a file of the host gets a copy of that file as its
/etc/nixos/configuration.nix. A container that was created from a flake gets a copy of the flake as
its /etc/nixos, so that it can rebuild itself. The earlier files are kept beside it, with a number.";

#[derive(Debug, Subcommand)]
pub enum Build {
    /// Create a container and build its system
    #[command(after_help = create::EXAMPLES)]
    Create(Create),
    /// Build the system of a container again, and activate it if the container runs
    #[command(after_help = UPDATE)]
    Update(Update),
    /// Edit the configuration file of a container in $VISUAL or $EDITOR
    #[command(after_help = EDIT)]
    Edit(Name),
    /// Return a container to its previous system
    #[command(after_help = "Example: nixos-container rollback foo

If the container runs, the system is activated.")]
    Rollback(Name),
    /// Update a container's configuration from the file or flake on the host
    #[command(after_help = PULL_CONFIG)]
    PullConfig(PullConfig),
    /// Activate the system of a running container again
    #[command(after_help = "Example: nixos-container reload foo")]
    Reload(Name),
    /// Activate the system of a container if it runs; a reload of its unit starts this
    #[command(hide = true, after_help = "Example: nixos-container activate foo")]
    Activate(Name),
}

/// The source of a system.
#[derive(Debug, Args)]
pub struct SystemArguments {
    /// NixOS options of the container, as in a configuration.nix
    #[arg(long, value_name = "OPTIONS", conflicts_with_all = ["config_file", "flake"])]
    pub config: Option<String>,
    /// A file with a NixOS module for the container's configuration to import
    #[arg(long, value_name = "PATH", conflicts_with = "flake")]
    pub config_file: Option<PathBuf>,
    /// A flake with the system, as ./mine or github:me/mine#web; NAME is one of its
    /// nixosConfigurations [default: container]
    #[arg(
        long,
        value_name = "FLAKE[#NAME]",
        conflicts_with = "nixos_path",
        value_parser = expecting(str::parse::<FlakeRef>)
    )]
    pub flake: Option<FlakeRef>,
    /// The NixOS expression to build with [default: <nixpkgs/nixos>]
    #[arg(long, value_name = "PATH")]
    pub nixos_path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Update {
    /// The container
    pub name: ContainerName,
    #[command(flatten)]
    pub system: SystemArguments,
    /// Evaluate the configuration as root of the host, even if the container could have changed
    /// it. Later updates do so, too, while it stays the same
    #[arg(long)]
    pub trusted: bool,
    #[command(flatten)]
    pub nix: NixArguments,
}

#[derive(Debug, Args)]
pub struct PullConfig {
    /// The container
    pub name: ContainerName,
    /// Then build the system, and activate it in the container
    #[arg(long)]
    pub switch: bool,
    #[command(flatten)]
    pub nix: NixArguments,
}
