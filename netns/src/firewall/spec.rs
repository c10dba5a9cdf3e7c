//! The description of a container's forwarded ports and NAT: resolved data.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

use crate::ContainerName;

/// Forwarded ports and NAT of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The container's name, the comment of its elements.
    pub container: ContainerName,
    /// The host's link with the routes to the container: `ve-NAME`, or the
    /// container's bridge.
    pub link: String,
    /// The container's IPv4 address, with the length of the prefix that the
    /// container reaches without the host. Without one, nothing is done in IPv4.
    pub address: Option<Ipv4Net>,
    /// The container's IPv6 address, likewise. Without one, nothing is done in
    /// IPv6.
    pub address6: Option<Ipv6Net>,
    /// Ports of the host that lead to the container.
    pub forwards: Vec<Forward>,
    /// The host's addresses with these ports; an empty list stands for all
    /// addresses, `0.0.0.0` and `::` for all of their family.
    pub bind_host: Vec<IpAddr>,
    /// Whether packets of the container to the outside get an address of the host
    /// as their source. For a container with a link `ve-NAME`.
    pub nat: bool,
}

/// A port of the host that leads to a port of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The protocol of both ports.
    pub protocol: Protocol,
    /// The port on the host.
    pub host_port: u16,
    /// The port in the container.
    pub container_port: u16,
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// tcp(7)
    Tcp,
    /// udp(7)
    Udp,
    /// sctp(7)
    Sctp,
}

impl Protocol {
    /// All protocols.
    pub(crate) const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its number in /etc/protocols.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol with this number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.number() == number)
    }

    /// Its name in /etc/protocols and nft(8).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A version of the Internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Family {
    /// ip(7)
    #[serde(rename = "ipv4")]
    V4,
    /// ipv6(7)
    #[serde(rename = "ipv6")]
    V6,
}

impl Family {
    /// The family of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Its number in netfilter, `NFPROTO_…` of `linux/netfilter.h`.
    pub(crate) fn nfproto(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    /// Its name in nft(8).
    pub(crate) fn nft_name(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// The host's loopback addresses.
    pub(crate) fn loopback(self) -> IpNet {
        match self {
            Self::V4 => Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
            Self::V6 => Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
        }
    }

    /// The address that stands for all addresses of the family.
    pub(crate) fn any(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}
