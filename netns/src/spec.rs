//! The description of a container's network: resolved data, without defaults.

use std::path::PathBuf;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::{ContainerName, InterfaceName, MacAddress, ZoneName};

/// The network of one container. It has a loopback link, and what is named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The container's name, from which names of links on the host derive.
    pub container: ContainerName,
    /// The directory for files of running containers, such as
    /// `/run/nixos-containers`: only root can write to it, and a reboot empties
    /// it. It holds the lock of zones and, in the existing directory `NAME`, the
    /// files with which `interfaces` are given back.
    pub run_directory: PathBuf,
    /// The host's machine-id(5). Links in the container without a given hardware
    /// address derive one from it, which is the same at each start and differs
    /// from other machines'. Without it, the kernel picks one at each start.
    pub machine_id: Option<[u8; 16]>,
    /// What the host drops of the packets that the container sends through veth
    /// pairs.
    pub spoof_check: SpoofCheck,
    /// The veth pair that ends in `eth0`.
    pub veth: Option<Veth>,
    /// Further veth pairs.
    pub extra_veths: Vec<ExtraVeth>,
    /// Interfaces of the host on which the container gets a macvlan link: a link
    /// with a hardware address of its own in the same network.
    pub macvlans: Vec<HostInterface>,
    /// Interfaces of the host on which the container gets an ipvlan link: a link
    /// with the hardware address of the interface.
    pub ipvlans: Vec<HostInterface>,
    /// Interfaces of the host that move into the container while it runs.
    pub interfaces: Vec<HostInterface>,
}

impl Spec {
    /// A network with a loopback link only.
    #[must_use]
    pub fn new(container: ContainerName, run_directory: impl Into<PathBuf>) -> Self {
        Self {
            container,
            run_directory: run_directory.into(),
            machine_id: None,
            spoof_check: SpoofCheck::All,
            veth: None,
            extra_veths: Vec::new(),
            macvlans: Vec::new(),
            ipvlans: Vec::new(),
            interfaces: Vec::new(),
        }
    }
}

/// What the host drops of the packets that a container sends through veth pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoofCheck {
    /// Packets with a hardware address that is not the container's, or an address
    /// that is not its own as far as that is known; what only routers and DHCP
    /// servers send; frames other than ARP, IPv4 and IPv6.
    All,
    /// Packets from and to 127.0.0.0/8. For a container that is a router, and has
    /// [ports](crate::firewall::Spec::forwards) that the host's loopback leads to.
    Loopback,
    /// Nothing.
    Nothing,
}

/// A veth pair: `ve-NAME` on the host, or `vb-NAME` in a bridge, and `eth0` in
/// the container.
///
/// The addresses are those of the NixOS options
/// `containers.<name>.hostAddress`, `hostAddress6`, `localAddress` and
/// `localAddress6`, and each may be missing. An address that the user gives
/// without a prefix length has the full length: `/32`, `/128`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Veth {
    /// IPv4 address of `ve-NAME`, the container's default gateway. With a bridge,
    /// it is the address of a router in the bridge's network, and no link of the
    /// host gets it.
    pub host_address: Option<Ipv4Net>,
    /// Likewise in IPv6.
    pub host_address6: Option<Ipv6Net>,
    /// IPv4 address of the container's end.
    pub local_address: Option<Ipv4Net>,
    /// IPv6 address of the container's end.
    pub local_address6: Option<Ipv6Net>,
    /// Hardware address of the container's end; without one, it derives from
    /// [`Spec::machine_id`].
    pub mac_address: Option<MacAddress>,
    /// The MTU of both ends, in bytes, such as
    /// [`uplink_mtu`](crate::uplink_mtu); without one, the kernel's default of
    /// 1500. In an existing bridge, both ends get the bridge's MTU.
    pub mtu: Option<u32>,
    /// The bridge that the host's end is a port of.
    pub bridge: Option<Bridge>,
    /// Whether the bridge also sends frames back through the port that they came
    /// from. If [netfilter sees them](crate::netfilter_sees_bridges), a container
    /// needs it to reach itself through a forwarded port of the host.
    pub hairpin: bool,
}

/// A virtual switch of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bridge {
    /// A bridge that exists without this crate.
    Existing(InterfaceName),
    /// A bridge that is created for its first container and removed with its
    /// last.
    Zone(ZoneName),
}

impl Bridge {
    /// The bridge's name on the host.
    #[must_use]
    pub fn interface(&self) -> &InterfaceName {
        match self {
            Self::Existing(bridge) => bridge,
            Self::Zone(zone) => zone.bridge(),
        }
    }
}

/// A further veth pair. The container's default route never leads through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraVeth {
    /// Name of the end in the container.
    pub name: InterfaceName,
    /// Name of the end on the host; without one,
    /// [`HostLink::extra_veth`](crate::HostLink::extra_veth).
    pub host_name: Option<InterfaceName>,
    /// All other properties.
    pub veth: Veth,
}

/// An interface of the host that the container gets, or gets a link on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterface {
    /// Its name on the host.
    pub interface: InterfaceName,
    /// Name of the link in the container; without one, `mv-IF` for a macvlan
    /// link, `iv-IF` for an ipvlan link, and the same as on the host for the
    /// interface itself.
    pub name: Option<InterfaceName>,
}
