//! A container's network: its kind, and the host's part of it.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use netns::firewall::{self, Firewall, Watch};
use netns::{Bridge, HostLink};
use runtime::Id128;

use crate::config::ContainerConfig;
use crate::container::Container;
use crate::container::name::ContainerName;

pub mod hosts_file;
pub mod resolv_conf;

use hosts_file::Entry;

thread_local! {
    static FIREWALL: OnceCell<Rc<Firewall>> = const { OnceCell::new() };
}

/// The host's firewall. The socket is opened once and closed at the end of the
/// process, since closing it can take tens of milliseconds ([`Firewall`]), for
/// which no start and no stop should wait.
fn host_firewall() -> Result<Rc<Firewall>> {
    FIREWALL.with(|cell| {
        if let Some(open) = cell.get() {
            return Ok(Rc::clone(open));
        }
        let opened = Rc::new(Firewall::open()?);
        Ok(Rc::clone(cell.get_or_init(|| opened)))
    })
}

/// A private network, resolved.
#[derive(Debug)]
pub struct PrivateNetwork {
    container: ContainerName,
    links: netns::Spec,
    firewall: firewall::Spec,
    /// Lines for the host's `/etc/hosts`.
    host_names: Vec<Entry>,
    /// The lock of `/etc/hosts`.
    hosts_lock: PathBuf,
    /// The directory for the records of all running containers.
    run_directory: PathBuf,
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
    /// Fails if the host lacks what the network needs, or another container has
    /// it. Changes nothing.
    pub fn check(&self) -> Result<()> {
        netns::check(&self.links)?;
        Ok(host_firewall()?.conflict(&self.firewall)?)
    }

    /// The steps of [`PrivateNetwork::create_links`],
    /// [`PrivateNetwork::install_rules`] and [`PrivateNetwork::add_host_names`].
    pub fn plan(&self) -> Vec<Step> {
        let links = netns::plan(&self.links).into_iter().map(Step::Link);
        let rules = firewall::plan(&self.firewall)
            .into_iter()
            .map(Step::Firewall);
        let names = self.host_names.iter().cloned().map(Step::Name);
        links.chain(rules).chain(names).collect()
    }

    /// Creates the links, addresses and routes of the container, whose network
    /// namespace is `namespace`.
    pub fn create_links(&self, namespace: BorrowedFd<'_>) -> Result<()> {
        Ok(netns::apply(&netns::plan(&self.links), namespace)?)
    }

    /// The indexes of the container's links on the host.
    pub fn link_indices(&self) -> Vec<i32> {
        let links = [
            HostLink::veth(&self.container),
            HostLink::bridge_port(&self.container),
        ];
        links
            .iter()
            .filter_map(|link| nix::net::if_::if_nametoindex(link.interface()).ok())
            .filter_map(|index| index.try_into().ok())
            .collect()
    }

    /// Installs the rules that forward ports and masquerade. Returns notices for
    /// the user: settings of the host that were changed, and what of the host's
    /// blocks packets all the same.
    pub fn install_rules(&self) -> Result<Vec<String>> {
        let rules = firewall::plan(&self.firewall);
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let firewall = host_firewall()?;
        let changes = firewall.apply(&self.container, &rules, &self.run_directory)?;
        let mut notices: Vec<_> = changes.iter().map(ToString::to_string).collect();
        notices.extend(firewall.diagnose(&self.firewall));
        Ok(notices)
    }

    fn has_rules(&self) -> Result<bool> {
        let rules = firewall::plan(&self.firewall);
        Ok(host_firewall()?.has(&self.container, &rules)?)
    }

    fn remove_rules(&self) -> Result<bool> {
        Ok(host_firewall()?.remove(&self.container, &self.run_directory)?)
    }

    /// Watches the rules that [`PrivateNetwork::install_rules`] installs; `None`
    /// if there are none.
    pub fn watch_rules(&self) -> Result<Option<WatchedRules<'_>>> {
        if firewall::plan(&self.firewall).is_empty() {
            return Ok(None);
        }
        let watch = Watch::open()?;
        Ok(Some(WatchedRules {
            network: self,
            watch,
        }))
    }

    /// Adds the container's names to the host's `/etc/hosts`. Returns notices
    /// for the user: names that are taken, or why there is none. The container
    /// can still be reached by its address.
    pub fn add_host_names(&self) -> Vec<String> {
        hosts_file::add(&self.container, &self.host_names, &self.hosts_lock).unwrap_or_else(
            |error| {
                vec![format!(
                    "cannot add its name to {}: {error:#}",
                    hosts_file::PATH
                )]
            },
        )
    }
}

/// The rules of a running container, which another program may remove together
/// with its own. The descriptor is readable after a change of the host's rules,
/// unless it was a change for another container.
pub struct WatchedRules<'a> {
    network: &'a PrivateNetwork,
    watch: Watch,
}

impl WatchedRules<'_> {
    /// Installs the rules again if they are lost. Returns notices for the user.
    ///
    /// # Errors
    ///
    /// The rules cannot be installed again, and what was installed of them is
    /// removed. This must not be called again then: with the removal our table
    /// may go, which this container and others see as a loss. If any of them
    /// tried again what fails, there would be no end.
    pub fn restore_if_lost(&self) -> Result<Vec<String>> {
        const LOST: &str = "forwarded ports and NAT were removed with the host's rules";
        if !self.are_lost()? {
            return Ok(Vec::new());
        }
        loop {
            match self.network.install_rules() {
                Ok(notices) => {
                    let mut all = vec![format!("{LOST}, and were restored")];
                    all.extend(notices);
                    return Ok(all);
                }
                // They were removed once more meanwhile, which can be the cause.
                Err(_) if self.are_lost()? => {}
                Err(error) => {
                    let lost = format!("{LOST}, and the container goes on without them");
                    return Err(self.give_up(error).context(lost));
                }
            }
        }
    }

    /// Whether the rules were removed and are not there again. They are there
    /// again if this container came while the last other one went, or if the
    /// program that removed them had saved them and put them back.
    fn are_lost(&self) -> Result<bool> {
        let removed = self.watch.rules_are_lost().context(
            "forwarded ports and NAT will not be restored if they are removed with the host's rules",
        )?;
        Ok(removed && !self.network.has_rules().unwrap_or(false))
    }

    /// Removes what is left. Without the rules, nothing guards the host's
    /// loopback.
    fn give_up(&self, error: anyhow::Error) -> anyhow::Error {
        match self.network.remove_rules() {
            Ok(_) => error,
            Err(left) => error.context(format!(
                "what was restored of them cannot be removed ({left:#})"
            )),
        }
    }
}

impl AsFd for WatchedRules<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
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

/// Removes, after the container's end, what does not go with its network
/// namespace: interfaces that had moved in, zones, rules and settings of the
/// host, names. Returns notices for the user: what was not restored.
pub fn release(container: &Container) -> Result<Vec<String>> {
    remove_host_part(container, netns::release)
}

/// Like [`release`], and removes the links, too, in case that they are left by
/// an earlier run of the container.
pub fn reclaim(container: &Container) -> Result<Vec<String>> {
    remove_host_part(container, netns::reclaim)
}

type RemoveLinks = fn(&ContainerName, &Path) -> Result<Vec<netns::Error>, netns::Error>;

fn remove_host_part(container: &Container, remove_links: RemoveLinks) -> Result<Vec<String>> {
    let name = container.name();
    let run_directory = container.places().run_dir();
    let mut notices = Vec::new();
    if let Err(error) = hosts_file::remove(name, &container.places().hosts_lock()) {
        let path = hosts_file::PATH;
        notices.push(format!("cannot remove its name from {path}: {error:#}"));
    }
    let unrestored = remove_links(name, run_directory)?;
    notices.extend(unrestored.iter().map(ToString::to_string));
    host_firewall()?.remove(name, run_directory)?;
    Ok(notices)
}
