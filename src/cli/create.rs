//! The words of `create`.

use std::path::PathBuf;

use clap::Args;
use netns::InterfaceName;
use netns::firewall::Forward;
use netns::ipnet::Ipv4Net;

use crate::config::values;
use crate::name::ContainerName;

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
    /// Empty its root at every start, and destroy it when it stops
    #[arg(long)]
    pub ephemeral: bool,
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

fn ipv4(text: &str) -> Result<Ipv4Net, String> {
    values::address4(text).map_err(expected)
}

fn interface(text: &str) -> Result<InterfaceName, String> {
    values::interface(text).map_err(expected)
}

fn port(text: &str) -> Result<Forward, String> {
    values::port(text).map_err(expected)
}

fn expected(what: &str) -> String {
    format!("expected {what}")
}
