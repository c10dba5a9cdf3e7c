//! The single changes that make up a container's forwarded ports and NAT, as
//! data.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Serialize;

use super::{Family, Protocol};

/// One change on the host: a rule, a sysctl or a route.
///
/// Its `Display` is a line in the imperative: `forward tcp 0.0.0.0:8080 to
/// 10.233.1.2:80`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Drop packets from a link with a loopback address, which
    /// [`Step::RouteLoopback`] would let in.
    GuardLoopback {
        /// Name of the link.
        link: String,
    },
    /// Forward packets to an address and port of the host to the container.
    Forward {
        /// The transport protocol.
        protocol: Protocol,
        /// The host's address and port. The unspecified address stands for all
        /// addresses of its family.
        listen: SocketAddr,
        /// The container's address and port.
        to: SocketAddr,
    },
    /// Replace the source of forwarded connections from these addresses by that
    /// of the container's link: the container cannot answer the host's loopback
    /// addresses, and would answer itself and its neighbours past the host, from
    /// an address that they did not send to.
    Masquerade {
        /// The sources.
        sources: IpNet,
        /// The container's address.
        to: IpAddr,
    },
    /// Replace the container's address, in packets to the outside, by that of the
    /// link that sends them.
    MasqueradeOutside {
        /// The container's address.
        source: IpAddr,
    },
    /// Have the host forward packets until the last container goes.
    EnableForwarding {
        /// The family of the packets.
        family: Family,
    },
    /// Accept packets between the host's loopback addresses and a link.
    RouteLoopback {
        /// The family of the addresses.
        family: Family,
        /// Name of the link.
        link: String,
    },
}

impl Step {
    /// The manual page that explains the step. Sysctls are explained in
    /// `Documentation/networking/ip-sysctl.rst` of the kernel.
    #[must_use]
    pub fn manual(&self) -> &'static str {
        match self {
            Self::GuardLoopback { .. }
            | Self::Forward { .. }
            | Self::Masquerade { .. }
            | Self::MasqueradeOutside { .. } => "nft(8)",
            Self::EnableForwarding { .. }
            | Self::RouteLoopback {
                family: Family::V4, ..
            } => "sysctl(8)",
            Self::RouteLoopback {
                family: Family::V6, ..
            } => "ip-route(8)",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GuardLoopback { link } => write!(
                f,
                "drop packets from {link} that have an address of 127.0.0.0/8"
            ),
            Self::Forward {
                protocol,
                listen,
                to,
            } => write!(f, "forward {protocol} {listen} to {to}"),
            Self::Masquerade { sources, to } => {
                write!(f, "masquerade forwarded connections from {sources} to {to}")
            }
            Self::MasqueradeOutside { source } => write!(
                f,
                "masquerade packets from {source} through links other than those of containers"
            ),
            Self::EnableForwarding { family: Family::V4 } => {
                f.write_str("set net.ipv4.ip_forward to 1 until the last container goes")
            }
            Self::EnableForwarding { family: Family::V6 } => f.write_str(
                "set net.ipv6.conf.all.forwarding to 1, and accept_ra to 2 for uplinks where it \
                 is 1, until the last container goes",
            ),
            Self::RouteLoopback {
                family: Family::V4,
                link,
            } => write!(f, "set net.ipv4.conf.{link}.route_localnet to 1"),
            Self::RouteLoopback {
                family: Family::V6,
                link,
            } => write!(f, "add local route to ::1 through {link}"),
        }
    }
}
