//! What a container's network shall be: resolved data, nothing left to guess.

use std::path::PathBuf;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::{ContainerName, InterfaceName, MacAddress, ZoneName};

/// The network of one container. What it does not name, it does not have; the
/// loopback link is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Whose network it is. Names of links on the host derive from it.
    pub container: ContainerName,
    /// The directory of what all containers need while they run, such as
    /// `/run/nixos-containers`: writable for root alone, and emptied by a
    /// reboot. It holds the lock of zones; and in `NAME`, which has to be
    /// there, what is needed to give `interfaces` back.
    pub run_directory: PathBuf,
    /// The host's machine-id(5). From it come the hardware addresses of
    /// links in the container that are given none, so that they stay the same
    /// over the container's starts and differ from other machines'. Without
    /// it, the kernel makes up others each time.
    pub machine_id: Option<[u8; 16]>,
    /// The veth pair that ends in `eth0`.
    pub veth: Option<Veth>,
    /// Further veth pairs.
    pub extra_veths: Vec<ExtraVeth>,
    /// Interfaces of the host on which the container gets a macvlan link: one
    /// with an address of its own in the same network.
    pub macvlans: Vec<HostInterface>,
    /// Interfaces of the host on which the container gets an ipvlan link: one
    /// with the hardware address of the interface itself.
    pub ipvlans: Vec<HostInterface>,
    /// Interfaces of the host that the container gets for itself while it runs.
    pub interfaces: Vec<HostInterface>,
}

impl Spec {
    /// Loopback alone. The other fields are for the caller to fill in.
    #[must_use]
    pub fn new(container: ContainerName, run_directory: impl Into<PathBuf>) -> Self {
        Self {
            container,
            run_directory: run_directory.into(),
            machine_id: None,
            veth: None,
            extra_veths: Vec::new(),
            macvlans: Vec::new(),
            ipvlans: Vec::new(),
            interfaces: Vec::new(),
        }
    }
}

/// A veth pair: `ve-NAME` on the host, or `vb-NAME` in a bridge, and `eth0` in
/// the container.
///
/// The addresses bear the names and the meaning of the options
/// `containers.<name>.hostAddress`, `hostAddress6`, `localAddress` and
/// `localAddress6` of NixOS, and any of them may be missing. An address that
/// the user gave without a prefix length is one with all bits: `/32`, `/128`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Veth {
    /// IPv4 address of `ve-NAME`, the container's way out. With a bridge, it is
    /// that of a router in the bridge's network: nothing on the host gets it.
    pub host_address: Option<Ipv4Net>,
    /// The same in IPv6.
    pub host_address6: Option<Ipv6Net>,
    /// IPv4 address of the container's end.
    pub local_address: Option<Ipv4Net>,
    /// IPv6 address of the container's end.
    pub local_address6: Option<Ipv6Net>,
    /// Hardware address of the container's end; without one, it derives from
    /// [`Spec::machine_id`].
    pub mac_address: Option<MacAddress>,
    /// The longest packet, in bytes, that both ends take, as
    /// [`uplink_mtu`](crate::uplink_mtu) finds it; without one, the kernel's
    /// default of 1500. In a bridge that exists, both ends take over the
    /// bridge's.
    pub mtu: Option<u32>,
    /// What the host's end is put into.
    pub bridge: Option<Bridge>,
    /// Whether the bridge also sends frames out of the port that they came in
    /// by. Where [netfilter sees them](crate::netfilter_sees_bridges), a
    /// container reaches itself by a forwarded port of the host only so.
    pub hairpin: bool,
}

/// A virtual switch of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bridge {
    /// One that somebody else made and keeps.
    Existing(InterfaceName),
    /// One that comes with its first container and goes with its last.
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

/// A further veth pair. Its addresses are for what is at the other end: the
/// container's default route never leads through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraVeth {
    /// Name of the end in the container.
    pub name: InterfaceName,
    /// Name of the end on the host; without one,
    /// [`HostLink::extra_veth`](crate::HostLink::extra_veth).
    pub host_name: Option<InterfaceName>,
    /// Everything else is as with the pair that ends in `eth0`.
    pub veth: Veth,
}

/// An interface of the host, and what is made of it in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterface {
    /// Its name on the host.
    pub interface: InterfaceName,
    /// Name of the link in the container; without one, `mv-IF` for a macvlan
    /// link, `iv-IF` for an ipvlan link, and the same as on the host for the
    /// interface itself.
    pub name: Option<InterfaceName>,
}
