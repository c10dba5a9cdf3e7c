//! What a container may send through a link of ours, as programs that the kernel
//! runs for each packet (`link/ingress.rs` attaches them).
//!
//! The model is that of switches and of other hosts of virtual machines: libvirt's
//! filter `clean-traffic`, the port security of OVN, `security.mac_filtering` and
//! its kin of LXD, and RA-Guard (RFC 6105, RFC 7113).
//!
//! - Ethernet: the container's own hardware address as the source, and no frames
//!   other than ARP, IPv4 and IPv6: none with a VLAN tag, and none of the protocols
//!   between switches.
//! - ARP and IPv4: the container's address where it is known. Where it is not, as
//!   with DHCP, any address that is not known to be another's.
//! - IPv6: likewise. Where the container's addresses are not known, those that are
//!   made of a hardware address have to be made of its own.
//! - No router advertisements, redirects, answers of DHCP servers and queries of
//!   multicast routers; no source routing.
//! - Nothing from or to 127.0.0.0/8, which also guards the host's loopback while
//!   the rules of [`firewall`](crate::firewall) are away.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::MacAddress;

pub mod code;
pub mod loopback;
pub mod own;
pub mod taken;
#[cfg(test)]
mod tests;

/// The addresses of one family that a container may send from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Senders<A> {
    /// These, which the container was given, and link-local ones in IPv6.
    Only(Vec<A>),
    /// All but some.
    AllBut {
        /// These, which are known to be others'.
        others: Vec<A>,
        /// These, which the container was given, in any case.
        own: Vec<A>,
    },
}

/// The addresses that a container may send from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sources {
    /// In ARP and IPv4.
    pub ipv4: Senders<Ipv4Addr>,
    /// In IPv6.
    pub ipv6: Senders<Ipv6Addr>,
}

/// What a container may send through one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The hardware address of the container's end.
    pub mac_address: MacAddress,
    /// The addresses that it may send from.
    pub sources: Sources,
}

/// Addresses that a container must not send from, since they belong to others in
/// its bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// In ARP and IPv4.
    pub ipv4: Vec<Ipv4Addr>,
    /// In IPv6.
    pub ipv6: Vec<Ipv6Addr>,
}

/// What the kernel does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Asks the next program, or takes the packet after the last one.
    Pass,
    /// Drops the packet.
    Drop,
}

impl Verdict {
    /// `TC_ACT_UNSPEC` and `TC_ACT_SHOT` of `linux/pkt_cls.h`. What a program
    /// returns that reads beyond the end of a packet, 0, is `TC_ACT_OK` there: the
    /// programs have to compare the length first.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Pass => u32::MAX,
            Self::Drop => 2,
        }
    }
}

impl fmt::Display for Sources {
    /// Follows "from".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_senders(f, "IPv4", &self.ipv4)?;
        f.write_str(", ")?;
        write_senders(f, "IPv6", &self.ipv6)
    }
}

fn write_senders<A: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    family: &str,
    senders: &Senders<A>,
) -> fmt::Result {
    match senders {
        Senders::Only(own) if own.is_empty() => write!(f, "no {family} address"),
        Senders::Only(own) => f.write_str(&joined(own)),
        Senders::AllBut { others, .. } if others.is_empty() => write!(f, "any {family} address"),
        Senders::AllBut { others, .. } => {
            write!(f, "any {family} address but {}", joined(others))
        }
    }
}

/// The addresses with blanks between them.
pub fn joined<A: fmt::Display>(addresses: &[A]) -> String {
    let addresses: Vec<_> = addresses.iter().map(A::to_string).collect();
    addresses.join(" ")
}
