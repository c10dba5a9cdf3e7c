//! The arguments of `create`.

use std::path::PathBuf;

use clap::Args;
use netns::InterfaceName;
use netns::firewall::Forward;
use netns::ipnet::{Ipv4Net, Ipv6Net};

use super::settings::Settings;
use super::{SystemArguments, expecting};
use crate::config::values;
use crate::container::name::ContainerName;
use crate::nix::options::NixArguments;

pub const EXAMPLES: &str = "Examples:
  nixos-container create foo --config 'services.openssh.enable = true;'
  nixos-container create web --config-file ./web.nix --port 8080:80 --auto-start
  nixos-container create web --flake .#web --force
  nixos-container create test --local-address 10.235.1.2 --host-address 10.235.1.1";

#[derive(Debug, Args)]
pub struct Create {
    /// The name of the container: letters, digits, - and _, at most 64 characters
    pub name: ContainerName,
    #[command(flatten)]
    pub system: SystemArguments,
    /// Use a system that is built already. A configuration is not used then
    #[arg(long, value_name = "PATH", conflicts_with = "flake")]
    pub system_path: Option<PathBuf>,
    /// Empty the root directory at every start, and destroy the container when it stops
    #[arg(long)]
    pub ephemeral: bool,
    /// If the name is in use, take NAME-0, NAME-1, …; print the chosen name
    #[arg(long, conflicts_with = "force")]
    pub ensure_unique_name: bool,
    /// Replace a container of this name and all its files. It is stopped and removed once the new
    /// system is built. The new container keeps its addresses, unless others are given
    #[arg(long)]
    pub force: bool,
    /// Take over the files that a container of this name has left: its configuration is gone, its
    /// root directory is not
    #[arg(long)]
    pub reuse_root: bool,
    /// Start the container now, and whenever the host boots
    #[arg(long)]
    pub auto_start: bool,
    /// The host's address on the link to the container [default: the first free 10.233.N.1]
    #[arg(long, value_name = "IP", requires = "local_address", value_parser = expecting(values::address4))]
    pub host_address: Option<Ipv4Net>,
    /// The container's address [default: the first free 10.233.N.2]
    #[arg(long, value_name = "IP", requires = "host_address", value_parser = expecting(values::address4))]
    pub local_address: Option<Ipv4Net>,
    /// The host's IPv6 address on the link
    #[arg(long, value_name = "IP", requires = "local_address6", value_parser = expecting(values::address6))]
    pub host_address6: Option<Ipv6Net>,
    /// The container's IPv6 address
    #[arg(long, value_name = "IP", requires = "host_address6", value_parser = expecting(values::address6))]
    pub local_address6: Option<Ipv6Net>,
    /// Attach the host's end of the link to this bridge of the host
    #[arg(long, value_name = "INTERFACE", value_parser = expecting(values::interface))]
    pub bridge: Option<InterfaceName>,
    /// Forward a port of the host to the container: [PROTOCOL:]HOST[:CONTAINER][,…]
    #[arg(long, value_name = "PORT", value_parser = expecting(values::port), value_delimiter = ',')]
    pub port: Vec<Forward>,
    /// Give the container the host's network, without addresses of its own
    #[arg(
        long,
        conflicts_with_all = [
            "host_address", "local_address", "host_address6", "local_address6", "bridge", "port",
            "untrusted",
        ]
    )]
    pub use_host_network: bool,
    /// Make the safest container that boots: users and a network of its own, no store paths but
    /// those of its system, no Nix daemon, fewer system calls
    #[arg(long)]
    pub untrusted: bool,
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub nix: NixArguments,
}
