//! The command line, as clap reads it. Nothing here does anything.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use netns::InterfaceName;
use netns::firewall::Forward;
use netns::ipnet::Ipv4Net;

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
    /// Say whether a container is up, down, starting, stopping or gone
    Status(Name),
    /// Run a command in a container as root, with root's login environment
    #[command(after_help = "Example: nixos-container run foo -- systemctl status sshd")]
    Run(Run),
    /// Log in to a container as root, without a password
    RootLogin(Name),
    /// Print a container's address
    ShowIp(Name),
    /// Print what a container has written to its console since it was started
    Logs(Logs),
    /// Show, step by step, how a container is started, and the man page of each step
    Explain(Explain),
    /// Stop containers and remove them with all their files
    Destroy(Destroy),
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

#[derive(Debug, Args)]
pub struct Create {
    /// The container: letters, digits, - and _, at most 64 of them
    pub name: ContainerName,
    /// NixOS options of the container, as they stand in a configuration.nix
    #[arg(long, value_name = "OPTIONS", conflicts_with = "config_file")]
    pub config: Option<String>,
    /// A NixOS module that the container's configuration imports
    #[arg(long, value_name = "PATH")]
    pub config_file: Option<PathBuf>,
    /// The NixOS expression to build with, instead of <nixpkgs/nixos>
    #[arg(long, value_name = "PATH")]
    pub nixos_path: Option<PathBuf>,
    /// A system that is built already, instead of a configuration
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = ["config", "config_file", "nixos_path"]
    )]
    pub system_path: Option<PathBuf>,
    /// If there is such a container, take NAME-0, NAME-1, …; print the name taken
    #[arg(long)]
    pub ensure_unique_name: bool,
    /// The host's address on the link to the container; else the first free 10.233.N.1
    #[arg(long, value_name = "IP", requires = "local_address", value_parser = ipv4)]
    pub host_address: Option<Ipv4Net>,
    /// The container's address; else the first free 10.233.N.2
    #[arg(long, value_name = "IP", requires = "host_address", value_parser = ipv4)]
    pub local_address: Option<Ipv4Net>,
    /// A bridge of the host to put the host's end of the link into
    #[arg(long, value_name = "INTERFACE", value_parser = interface)]
    pub bridge: Option<InterfaceName>,
    /// A port of the host that leads to the container: [PROTOCOL:]HOST[:CONTAINER][,…]
    #[arg(long, value_name = "PORT", value_parser = port, value_delimiter = ',')]
    pub port: Vec<Forward>,
}

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
pub struct Run {
    /// The container
    pub name: ContainerName,
    /// The command and its words
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
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

fn ipv4(text: &str) -> Result<Ipv4Net, String> {
    crate::config::values::address4(text).map_err(expected)
}

fn interface(text: &str) -> Result<InterfaceName, String> {
    crate::config::values::interface(text).map_err(expected)
}

fn port(text: &str) -> Result<Forward, String> {
    crate::config::values::port(text).map_err(expected)
}

fn expected(what: &str) -> String {
    format!("expected {what}")
}

fn signal(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse::<i32>() {
        return Some(number)
            .filter(|number| (1..=libc::SIGRTMAX()).contains(number))
            .ok_or_else(|| format!("signals have numbers from 1 to {}", libc::SIGRTMAX()));
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") {
        name
    } else {
        format!("SIG{name}")
    };
    name.parse::<nix::sys::signal::Signal>()
        .map(|signal| signal as i32)
        .map_err(|_| "expected the name or number of a signal, as TERM or 15".to_owned())
}
