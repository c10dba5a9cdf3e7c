//! A container's network, resolved: its kind, and the plan of the host's part of it.
//! `lifecycle/network.rs` performs that plan.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use netns::firewall;
use netns::{Bridge, HostLink, SpoofCheck};
use runtime::Id128;

use crate::config::ContainerConfig;
use crate::container::Container;
use crate::container::name::ContainerName;

pub mod hosts_file;
pub mod resolv_conf;

use hosts_file::Entry;

/// A private network, resolved.
#[derive(Debug)]
pub struct PrivateNetwork {
    pub(crate) container: ContainerName,
    pub(crate) links: netns::Spec,
    pub(crate) firewall: firewall::Spec,
    /// Lines for the host's `/etc/hosts`.
    pub(crate) host_names: Vec<Entry>,
    /// The lock of `/etc/hosts`.
    pub(crate) hosts_lock: PathBuf,
    /// The directory for the records of all running containers.
    pub(crate) run_directory: PathBuf,
}

/// One step of the host's part, as `explain` shows it.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Step {
    /// A link, an address or a route.
    Link(netns::Step),
    /// A rule or a setting of the host.
    Firewall(firewall::Step),
    /// A name by which the host finds the container.
    Name(Entry),
}

/// The kind of network that the container's processes see.
pub fn kind(config: &ContainerConfig) -> Result<runtime::Network> {
    let links = has_links(config);
    if let Some(path) = &config.network_namespace {
        if links || config.private_network {
            bail!(
                "NETWORK_NAMESPACE_PATH cannot be combined with PRIVATE_NETWORK, HOST_ADDRESS, \
                 LOCAL_ADDRESS, LOCAL_MAC_ADDRESS, HOST_BRIDGE, EXTRA_VETHS, INTERFACES, \
                 MACVLANS or their flags: the network of {} was set up elsewhere",
                path.display()
            );
        }
        refuse_ports(config)?;
        return Ok(runtime::Network::Namespace(path.clone()));
    }
    // As with systemd-nspawn, a link implies a network to have it in.
    if links || config.private_network {
        return Ok(runtime::Network::Private);
    }
    refuse_ports(config)?;
    Ok(runtime::Network::Host)
}

/// Ports are forwarded to private networks only.
fn refuse_ports(config: &ContainerConfig) -> Result<()> {
    if config.host_ports.is_empty() {
        return Ok(());
    }
    bail!(
        "HOST_PORT and --port need PRIVATE_NETWORK=1: without a network of its own, the \
         container opens its ports on the host"
    )
}

fn has_links(config: &ContainerConfig) -> bool {
    has_veth(config)
        || !config.extra_veths.is_empty()
        || !config.interfaces.is_empty()
        || !config.macvlans.is_empty()
        || !config.ipvlans.is_empty()
}

fn has_veth(config: &ContainerConfig) -> bool {
    config.veth
        || config.addresses().next().is_some()
        || config.local_mac_address.is_some()
        || config.host_bridge.is_some()
        || config.zone.is_some()
}

/// The bridge that the host's end of the veth pair is a port of.
fn bridge(config: &ContainerConfig) -> Result<Option<Bridge>> {
    match (&config.host_bridge, &config.zone) {
        (Some(bridge), Some(zone)) => bail!(
            "HOST_BRIDGE (or --network-bridge) is {bridge} and the bridge of --network-zone is \
             {}, but a link ends in one bridge; remove one of them",
            zone.bridge()
        ),
        (Some(bridge), None) => Ok(Some(Bridge::Existing(bridge.clone()))),
        (None, zone) => Ok(zone.clone().map(Bridge::Zone)),
    }
}

/// The private network of a container as configured.
pub fn resolve(container: &Container, config: &ContainerConfig) -> Result<PrivateNetwork> {
    let name = container.name().clone();
    let run_directory = container.places().run_dir();
    let bridge = bridge(config)?;
    let mut links = netns::Spec::new(name.clone(), run_directory);
    links.machine_id = machine_id();
    links.spoof_check = spoof_check(config);
    if has_veth(config) {
        links.veth = Some(netns::Veth {
            host_address: config.host_address,
            host_address6: config.host_address6,
            local_address: config.local_address,
            local_address6: config.local_address6,
            mac_address: config.local_mac_address,
            mtu: netns::uplink_mtu()?,
            bridge: bridge.clone(),
            hairpin: !config.host_ports.is_empty() && netns::netfilter_sees_bridges(),
        });
    }
    links.extra_veths = config.extra_veths.clone();
    links.interfaces = config.interfaces.clone();
    links.macvlans = config.macvlans.clone();
    links.ipvlans = config.ipvlans.clone();
    let link = match &bridge {
        Some(bridge) => bridge.interface().to_string(),
        None => HostLink::veth(&name).interface().to_owned(),
    };
    let firewall = firewall::Spec {
        container: name,
        link,
        address: config.local_address,
        address6: config.local_address6,
        forwards: config.host_ports.clone(),
        bind_host: config.bind_host.clone(),
        nat: config.nat && bridge.is_none(),
    };
    require_address(&firewall)?;
    Ok(PrivateNetwork {
        container: container.name().clone(),
        links,
        firewall,
        host_names: host_names(container.name(), config),
        hosts_lock: container.places().hosts_lock(),
        run_directory: run_directory.to_owned(),
    })
}

/// With forwarded ports, the host's link accepts packets to 127.0.0.0/8, which have to
/// be answers.
fn spoof_check(config: &ContainerConfig) -> SpoofCheck {
    match config.spoof_check {
        Some(false) if config.host_ports.is_empty() => SpoofCheck::Nothing,
        Some(false) => SpoofCheck::Loopback,
        _ => SpoofCheck::All,
    }
}

/// The host's machine-id(5), which hosts that are containers may lack.
fn machine_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/etc/machine-id").ok()?;
    Id128::parse(&text).map(Id128::bytes)
}

/// The lines for `/etc/hosts`; none if that is not to be changed.
fn host_names(container: &ContainerName, config: &ContainerConfig) -> Vec<Entry> {
    if !hosts_file::is_changeable() {
        return Vec::new();
    }
    let addresses = [
        config.local_address.map(|address| address.addr().into()),
        config.local_address6.map(|address| address.addr().into()),
    ];
    addresses
        .into_iter()
        .flatten()
        .map(|address| Entry::new(container, address))
        .collect()
}

/// Ports are forwarded to an address. In a bridge, a container can get one from
/// a DHCP server, which is not known here.
fn require_address(firewall: &firewall::Spec) -> Result<()> {
    if !firewall.forwards.is_empty() && firewall.address.is_none() && firewall.address6.is_none() {
        bail!("HOST_PORT needs LOCAL_ADDRESS or LOCAL_ADDRESS6, to which the ports are forwarded");
    }
    let unreachable = |host: &&IpAddr| match host {
        IpAddr::V4(_) => firewall.address.is_none(),
        IpAddr::V6(_) => firewall.address6.is_none(),
    };
    if let Some(host) = firewall.bind_host.iter().find(unreachable) {
        bail!("BIND_HOST is {host}, but the container has no address of that family");
    }
    Ok(())
}

impl PrivateNetwork {
    /// The container's addresses on its link to the host.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let four = self.firewall.address.map(|address| address.addr().into());
        let six = self.firewall.address6.map(|address| address.addr().into());
        four.into_iter().chain(six).collect()
    }

    /// The steps of the host's part, in the order in which a start performs them.
    pub fn plan(&self) -> Vec<Step> {
        let links = netns::plan(&self.links).into_iter().map(Step::Link);
        let rules = firewall::plan(&self.firewall)
            .into_iter()
            .map(Step::Firewall);
        let names = self.host_names.iter().cloned().map(Step::Name);
        links.chain(rules).chain(names).collect()
    }
}

impl Step {
    /// The manual page that describes the step.
    pub fn manual(&self) -> &'static str {
        match self {
            Self::Link(step) => step.manual(),
            Self::Firewall(step) => step.manual(),
            Self::Name(_) => "hosts(5)",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(step) => step.fmt(f),
            Self::Firewall(step) => step.fmt(f),
            Self::Name(entry) => write!(f, "add {entry} to {}", hosts_file::PATH),
        }
    }
}
