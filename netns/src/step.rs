//! The single changes that make up a container's network, as data.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Serialize;

use crate::MacAddress;
use crate::spoof_check::{Sources, joined};

/// The network namespace that a step changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The namespace of the process that applies the plan.
    Host,
    /// The container's own namespace.
    Container,
}

/// One change: a single request to the kernel, except for steps about interfaces
/// that move.
///
/// Its `Display` is a line in the imperative: `create veth ve-web, up, with
/// peer eth0 inside the container`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Mount the container's network namespace on a file, so that it outlives
    /// its last process with the interfaces in it.
    PinNamespace {
        /// The file, which is created.
        path: PathBuf,
    },
    /// Record the settings, addresses and routes of interfaces, which are
    /// restored when the interfaces are given back to the host.
    RecordInterfaces {
        /// Their names on the host.
        interfaces: Vec<String>,
        /// The file, which is created or replaced.
        path: PathBuf,
    },
    /// Move an interface of the host into the container.
    MoveInterface {
        /// Its name on the host.
        interface: String,
        /// Its name in the container.
        name: String,
    },
    /// Take the lock under which containers join and leave zones, until the plan
    /// has been performed.
    LockZones {
        /// The file that is locked. It is created if it is missing.
        path: PathBuf,
    },
    /// Create a bridge, up, that ignores router advertisements, unless it
    /// exists.
    CreateBridge {
        /// Its name.
        bridge: String,
        /// Its MTU, in bytes; without one, the kernel's default of 1500.
        mtu: Option<u32>,
    },
    /// Create a veth pair: one end on the host, up, and the other in the
    /// container, down, under its final name.
    CreateVeth {
        /// Name of the end on the host.
        host: String,
        /// Name of the end in the container.
        peer: String,
        /// Hardware address of the end in the container; without one, the kernel
        /// picks it.
        mac_address: Option<MacAddress>,
        /// The MTU of both ends, in bytes; without one, the kernel's default of
        /// 1500, or that of the bridge.
        mtu: Option<u32>,
        /// The group of the end on the host, by which it is known as this crate's.
        group: u32,
        /// The bridge that the end on the host is a port of.
        bridge: Option<String>,
    },
    /// Create a macvlan link in the container, in the mode `bridge`: links on
    /// the same interface reach each other.
    CreateMacvlan {
        /// The host's interface.
        parent: String,
        /// Name of the link in the container.
        name: String,
        /// Its hardware address; without one, the kernel picks it.
        mac_address: Option<MacAddress>,
    },
    /// Create an ipvlan link in the container, in the mode `l2`.
    CreateIpvlan {
        /// The host's interface.
        parent: String,
        /// Name of the link in the container.
        name: String,
    },
    /// Ignore router advertisements from a link of the host.
    RefuseAdvertisements {
        /// Name of the link.
        link: String,
    },
    /// Drop packets from a link with a hardware address or an address that the
    /// container must not send from, and what only routers, DHCP servers and
    /// switches send.
    CheckSources {
        /// Name of the link on the host.
        link: String,
        /// Name of its other end, in the container.
        peer: String,
        /// The hardware address of the other end; without one, that which it has.
        mac_address: Option<MacAddress>,
        /// The addresses that the container may send from.
        sources: Sources,
    },
    /// Drop packets from a link with an address of 127.0.0.0/8.
    CloseLoopback {
        /// Name of the link on the host.
        link: String,
    },
    /// Record the addresses of a container in the alias of its port of a bridge.
    RecordAddresses {
        /// Name of the port.
        link: String,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// Drop packets with an address of a bridge, or a recorded address, that come
    /// from another port of the bridge.
    ReserveAddresses {
        /// Name of the port that is new.
        link: String,
        /// Name of the bridge.
        bridge: String,
    },
    /// Let a bridge send frames back through the port that they came from.
    SetHairpin {
        /// Name of the port.
        link: String,
    },
    /// Give a link an alternative name.
    AddAltname {
        /// Where the link is.
        side: Side,
        /// Name of the link.
        link: String,
        /// Its additional name.
        altname: String,
    },
    /// Set a link up.
    SetUp {
        /// Where the link is.
        side: Side,
        /// Name of the link.
        link: String,
    },
    /// Give a link an address.
    AddAddress {
        /// Where the link is.
        side: Side,
        /// Name of the link.
        link: String,
        /// The address, with the length of the prefix that is directly reachable
        /// through the link.
        address: IpNet,
    },
    /// Add a route through a link to the main table.
    AddRoute {
        /// Where the link is.
        side: Side,
        /// Name of the link.
        link: String,
        /// The destination, without host bits.
        destination: IpNet,
        /// The next hop; without one, the destination is a neighbour.
        gateway: Option<IpAddr>,
    },
}

impl Step {
    /// The manual page that explains what this step does.
    #[must_use]
    pub fn manual(&self) -> &'static str {
        match self {
            Self::PinNamespace { .. } | Self::MoveInterface { .. } => "network_namespaces(7)",
            Self::RecordInterfaces { .. } => "rtnetlink(7)",
            Self::LockZones { .. } => "flock(2)",
            Self::CreateVeth { .. } => "veth(4)",
            Self::CreateBridge { .. }
            | Self::CreateMacvlan { .. }
            | Self::CreateIpvlan { .. }
            | Self::AddAltname { .. }
            | Self::RecordAddresses { .. }
            | Self::SetUp { .. } => "ip-link(8)",
            Self::RefuseAdvertisements { .. } => "sysctl(8)",
            Self::SetHairpin { .. } => "bridge(8)",
            Self::CheckSources { .. }
            | Self::CloseLoopback { .. }
            | Self::ReserveAddresses { .. } => "tc-bpf(8)",
            Self::AddAddress { .. } => "ip-address(8)",
            Self::AddRoute { .. } => "ip-route(8)",
        }
    }
}

impl fmt::Display for Side {
    /// Follows a link's name: nothing for a link of the host.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => Ok(()),
            Self::Container => f.write_str(" inside the container"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PinNamespace { path } => write!(
                f,
                "mount the container's network namespace on {}",
                path.display()
            ),
            Self::RecordInterfaces { interfaces, path } => write!(
                f,
                "record the settings of {} in {}",
                interfaces.join(", "),
                path.display()
            ),
            Self::MoveInterface { interface, name } => {
                write!(f, "move {interface} to {name}{}", Side::Container)
            }
            Self::LockZones { path } => write!(f, "lock {}", path.display()),
            Self::CreateBridge { bridge, mtu } => {
                write!(f, "create bridge {bridge}, up")?;
                write_mtu(f, *mtu)?;
                f.write_str(", ignoring router advertisements, unless it exists")
            }
            Self::CreateVeth {
                host,
                peer,
                mac_address,
                mtu,
                bridge,
                ..
            } => {
                write!(f, "create veth {host}, up")?;
                match bridge {
                    Some(bridge) => write!(f, ", in bridge {bridge}, with its MTU")?,
                    None => write_mtu(f, *mtu)?,
                }
                write!(f, ", with peer {peer}")?;
                write_address(f, *mac_address)?;
                Side::Container.fmt(f)
            }
            Self::CreateMacvlan {
                parent,
                name,
                mac_address,
            } => {
                write!(f, "create macvlan {name} on {parent}")?;
                write_address(f, *mac_address)?;
                Side::Container.fmt(f)
            }
            Self::CreateIpvlan { parent, name } => {
                write!(f, "create ipvlan {name} on {parent}{}", Side::Container)
            }
            Self::RefuseAdvertisements { link } => {
                write!(f, "ignore router advertisements from {link}")
            }
            Self::CheckSources {
                link,
                peer,
                mac_address,
                sources,
            } => {
                write!(f, "drop packets from {link} that are not from ")?;
                match mac_address {
                    Some(address) => write!(f, "{address}, ")?,
                    None => write!(f, "{peer}'s hardware address, ")?,
                }
                sources.fmt(f)
            }
            Self::CloseLoopback { link } => write!(
                f,
                "drop packets from {link} that have an address of 127.0.0.0/8"
            ),
            Self::RecordAddresses { link, addresses } => {
                write!(f, "set the alias of {link} to {}", joined(addresses))
            }
            Self::ReserveAddresses { bridge, .. } => write!(
                f,
                "drop packets from containers in {bridge} that have an address of {bridge} or of \
                 another container there"
            ),
            Self::SetHairpin { link } => write!(f, "set hairpin mode of port {link}"),
            Self::AddAltname {
                side,
                link,
                altname,
            } => {
                write!(f, "add alternative name {altname} to {link}{side}")
            }
            Self::SetUp { side, link } => write!(f, "set {link} up{side}"),
            Self::AddAddress {
                side,
                link,
                address,
            } => write!(f, "add address {address} to {link}{side}"),
            Self::AddRoute {
                side,
                link,
                destination,
                gateway,
            } => {
                if destination.prefix_len() == 0 {
                    f.write_str("add default route")?;
                } else {
                    write!(f, "add route to {destination}")?;
                }
                if let Some(gateway) = gateway {
                    write!(f, " via {gateway}")?;
                }
                write!(f, " through {link}{side}")
            }
        }
    }
}

fn write_mtu(f: &mut fmt::Formatter<'_>, mtu: Option<u32>) -> fmt::Result {
    match mtu {
        Some(mtu) => write!(f, ", MTU {mtu}"),
        None => Ok(()),
    }
}

fn write_address(f: &mut fmt::Formatter<'_>, address: Option<MacAddress>) -> fmt::Result {
    match address {
        Some(address) => write!(f, ", address {address},"),
        None => Ok(()),
    }
}
