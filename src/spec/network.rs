//! A container's network: which one it is, and what the host's part of it is.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use netns::firewall::{self, Watch};
use netns::{Bridge, ContainerName, HostLink};
use runtime::Id128;

use crate::config::ContainerConfig;
use crate::container::Container;

pub mod hosts_file;
pub mod resolv_conf;

use hosts_file::Entry;

/// A private network, resolved: its links, and what leads into it and out.
#[derive(Debug)]
pub struct PrivateNetwork {
    container: Container,
    links: netns::Spec,
    firewall: firewall::Spec,
    /// What leads to the container in the host's `/etc/hosts`.
    names: Vec<Entry>,
    /// What all containers need while they run.
    run_directory: PathBuf,
}

/// One step of the host's part, with its manual page, for who shows a plan.
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

/// Which network the container's processes see.
pub fn kind(config: &ContainerConfig) -> Result<runtime::Network> {
    let links = has_links(config);
    if let Some(path) = &config.network_namespace {
        if links || config.private_network {
            bail!(
                "NETWORK_NAMESPACE_PATH goes with none of PRIVATE_NETWORK, HOST_ADDRESS, \
                 LOCAL_ADDRESS, LOCAL_MAC_ADDRESS, HOST_BRIDGE, EXTRA_VETHS, INTERFACES, \
                 MACVLANS and their flags: who made {} set it up",
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

/// Ports lead to a network that is the container's own and made by us.
fn refuse_ports(config: &ContainerConfig) -> Result<()> {
    if config.host_ports.is_empty() {
        return Ok(());
    }
    bail!(
        "HOST_PORT and --port need PRIVATE_NETWORK=1: without a network of its own, the \
         container's ports are where its processes open them"
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

/// What the host's end of the link is put into.
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
        container: container.clone(),
        links,
        firewall,
        names: names(container, config),
        run_directory: run_directory.to_owned(),
    })
}

/// The host's own, which hosts that are containers may lack.
fn machine_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/etc/machine-id").ok()?;
    Id128::parse(&text).map(Id128::bytes)
}

/// None where the host's names are not ours to change.
fn names(container: &Container, config: &ContainerConfig) -> Vec<Entry> {
    let addresses = [
        config.local_address.map(|address| address.addr().into()),
        config.local_address6.map(|address| address.addr().into()),
    ];
    let mut entries: Vec<_> = addresses
        .into_iter()
        .flatten()
        .map(|address| Entry::new(container.name(), address))
        .collect();
    entries.retain(|_| hosts_file::is_changeable());
    entries
}

/// A port leads to an address; on a bridge the container may have got its own
/// from somebody else, whom nobody here knows.
fn require_address(firewall: &firewall::Spec) -> Result<()> {
    if !firewall.forwards.is_empty() && firewall.address.is_none() && firewall.address6.is_none() {
        bail!("HOST_PORT needs LOCAL_ADDRESS or LOCAL_ADDRESS6, where the ports lead to");
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
    /// Looks whether the host has what the network needs. Changes nothing.
    pub fn check(&self) -> Result<()> {
        netns::check(&self.links)?;
        Ok(self.container.firewall()?.conflict(&self.firewall)?)
    }

    /// What [`PrivateNetwork::connect`] and [`PrivateNetwork::open`] will do, in
    /// this order.
    pub fn plan(&self) -> Vec<Step> {
        let links = netns::plan(&self.links).into_iter().map(Step::Link);
        let rules = firewall::plan(&self.firewall)
            .into_iter()
            .map(Step::Firewall);
        let names = self.names.iter().cloned().map(Step::Name);
        links.chain(rules).chain(names).collect()
    }

    /// Furnishes the network namespace of the container with its links.
    pub fn connect(&self, container: BorrowedFd<'_>) -> Result<()> {
        Ok(netns::apply(&netns::plan(&self.links), container)?)
    }

    /// The host's ends of the container's links, by the indices that the kernel
    /// gave them.
    pub fn link_indices(&self) -> Vec<i32> {
        let name = &self.firewall.container;
        let links = [HostLink::veth(name), HostLink::bridge_port(name)];
        links
            .iter()
            .filter_map(|link| nix::net::if_::if_nametoindex(link.interface()).ok())
            .filter_map(|index| index.try_into().ok())
            .collect()
    }

    /// Forwards ports, masquerades and makes the container known by its name.
    /// Returns what the user has to know: the settings of the host that it
    /// changed, what of the host's is in the way of packets, and names that
    /// lead elsewhere.
    pub fn open(&self) -> Result<Vec<String>> {
        let mut notices = self.open_firewall()?;
        notices.extend(self.add_names());
        Ok(notices)
    }

    fn open_firewall(&self) -> Result<Vec<String>> {
        let rules = firewall::plan(&self.firewall);
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let name = &self.firewall.container;
        let firewall = self.container.firewall()?;
        let changes = firewall.apply(name, &rules, &self.run_directory)?;
        let mut notices: Vec<_> = changes.iter().map(ToString::to_string).collect();
        notices.extend(firewall.obstacles(&self.firewall));
        Ok(notices)
    }

    fn has_rules(&self) -> Result<bool> {
        let rules = firewall::plan(&self.firewall);
        let firewall = self.container.firewall()?;
        Ok(firewall.has(&self.firewall.container, &rules)?)
    }

    fn close_firewall(&self) -> Result<bool> {
        let firewall = self.container.firewall()?;
        Ok(firewall.remove(&self.firewall.container, &self.run_directory)?)
    }

    /// Watches over what [`PrivateNetwork::open`] puts into the host's rules;
    /// nothing if that is nothing.
    pub fn watch(&self) -> Result<Option<WatchedRules<'_>>> {
        if firewall::plan(&self.firewall).is_empty() {
            return Ok(None);
        }
        let watch = Watch::open()?;
        Ok(Some(WatchedRules {
            network: self,
            watch,
        }))
    }

    /// A container without a name on the host is found by its address still.
    fn add_names(&self) -> Vec<String> {
        let lock = self.container.places().hosts_lock();
        hosts_file::add(self.container.name(), &self.names, &lock)
            .unwrap_or_else(|error| vec![format!("the host does not know its name: {error:#}")])
    }
}

/// The rules of a running container, which somebody may take away with his own.
/// There may be something to read whenever rules of the host change; not because
/// of other containers.
pub struct WatchedRules<'a> {
    network: &'a PrivateNetwork,
    watch: Watch,
}

impl WatchedRules<'_> {
    /// Puts them back if they are gone. Returns what the user has to know.
    ///
    /// # Errors
    ///
    /// What the user has to know if they cannot be put back. It must not be
    /// called again then: what was done of it is removed, with which the table
    /// may go, and this is heard as a loss by other containers and by this one.
    /// If any of them then tried once more what fails, there would be no end.
    pub fn keep(&self) -> Result<Vec<String>> {
        const LOST: &str = "forwarded ports and NAT were removed with the host's rules";
        if !self.are_lost()? {
            return Ok(Vec::new());
        }
        loop {
            match self.network.open_firewall() {
                Ok(notices) => {
                    let mut said = vec![format!("{LOST}, and are there again")];
                    said.extend(notices);
                    return Ok(said);
                }
                // Somebody removed them meanwhile, which can make that fail.
                Err(_) if self.are_lost()? => {}
                Err(error) => {
                    let lost = format!("{LOST}, and the container goes on without them");
                    return Err(self.give_up(error).context(lost));
                }
            }
        }
    }

    /// Whether they were removed and are not there again. They are if the last
    /// container but this one went while this one came, or if who removed them
    /// had saved them.
    fn are_lost(&self) -> Result<bool> {
        let heard = self.watch.rules_are_lost().context(
            "forwarded ports and NAT will not be put back if they are removed with the host's rules",
        )?;
        Ok(heard && !self.network.has_rules().unwrap_or(false))
    }

    /// Without the rules, nothing guards the host's loopback.
    fn give_up(&self, error: anyhow::Error) -> anyhow::Error {
        match self.network.close_firewall() {
            Ok(_) => error,
            Err(left) => error.context(format!("what was put back cannot be removed ({left:#})")),
        }
    }
}

impl AsFd for WatchedRules<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

impl Step {
    /// The page that describes it.
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

/// Takes back what does not go with the container's network namespace: moved
/// interfaces, zones, rules and settings of the host, names. Returns what the
/// user has to know: what is not as it was and has to be mended by hand.
pub fn release(container: &Container) -> Result<Vec<String>> {
    take_back(container, netns::release)
}

/// Takes back all that an earlier life has left, its links included; like
/// [`release`].
pub fn reclaim(container: &Container) -> Result<Vec<String>> {
    take_back(container, netns::reclaim)
}

type Reclaim = fn(&ContainerName, &Path) -> Result<Vec<netns::Error>, netns::Error>;

fn take_back(container: &Container, links: Reclaim) -> Result<Vec<String>> {
    let name = container.name();
    let run_directory = container.places().run_dir();
    let mut notices = Vec::new();
    if let Err(error) = hosts_file::remove(container.name(), &container.places().hosts_lock()) {
        notices.push(format!("the host still knows its name: {error:#}"));
    }
    let lost = links(name, run_directory)?;
    notices.extend(lost.iter().map(ToString::to_string));
    container.firewall()?.remove(name, run_directory)?;
    Ok(notices)
}
