//! Addresses in a bridge that belong to the bridge itself or to one of the
//! containers in it, kept from the other containers.
//!
//! A container's addresses are in the alias of its port (`ip link show`). The container
//! that joins gives each port its program anew; when a port is gone, the supervisors of
//! the others do ([`crate::BridgeWatch`]).

use std::net::IpAddr;

use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::{Handle, LinkUnspec};
use rustix::io::Errno;

use super::ingress::{self, Place};
use super::{address, attribute};
use crate::spoof_check::taken::{MOST, program};
use crate::spoof_check::{Taken, joined};
use crate::{Cause, link};

/// Sets a link's alias to these addresses.
pub async fn record(netlink: &Handle, link: u32, addresses: &[IpAddr]) -> Result<(), Cause> {
    let message = LinkUnspec::new_with_index(link)
        .append_extra_attribute(LinkAttribute::IfAlias(joined(addresses)))
        .build();
    Ok(netlink.link().set(message).execute().await?)
}

/// The addresses in a link's alias.
fn recorded(link: &LinkMessage) -> Vec<IpAddr> {
    let alias = attribute!(link, LinkAttribute::IfAlias).map_or("", String::as_str);
    let words = alias.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The ports that get programs.
#[derive(Clone, Copy)]
pub enum Ports<'a> {
    /// All.
    All,
    /// These.
    Only(&'a [u32]),
}

/// Keeps containers in a bridge from the addresses of the others and of the bridge.
///
/// Others may do the same with what they have seen. The last of them all sees, after
/// its programs are there, that they are right.
pub async fn reserve(netlink: &Handle, bridge: u32, ports: Ports<'_>) -> Result<(), Cause> {
    let mut seen = Seen::in_bridge(netlink, bridge).await?;
    loop {
        seen.install(netlink, ports).await?;
        let now = Seen::in_bridge(netlink, bridge).await?;
        if now == seen {
            return Ok(());
        }
        seen = now;
    }
}

/// Addresses in a bridge.
#[derive(PartialEq, Eq)]
struct Seen {
    /// The containers' ports, with their addresses.
    ports: Vec<(u32, Vec<IpAddr>)>,
    /// The addresses of the bridge itself.
    bridge: Vec<IpAddr>,
}

impl Seen {
    async fn in_bridge(netlink: &Handle, bridge: u32) -> Result<Self, Cause> {
        let mut found = link::list_ports(netlink, bridge).await?;
        found.retain(link::is_ours);
        let ports: Vec<_> = found
            .iter()
            .map(|port| (port.header.index, recorded(port)))
            .collect();
        let bridge = match ports.is_empty() {
            true => Vec::new(),
            false => address::list_of(netlink, bridge).await?,
        };
        Ok(Self { ports, bridge })
    }

    async fn install(&self, netlink: &Handle, ports: Ports<'_>) -> Result<(), Cause> {
        for (port, _) in &self.ports {
            if !matches!(ports, Ports::Only(wanted) if !wanted.contains(port)) {
                install(netlink, *port, &self.taken_for(*port)).await?;
            }
        }
        Ok(())
    }

    fn taken_for(&self, port: u32) -> Taken {
        let addresses_of = |own: bool| {
            let ports = self
                .ports
                .iter()
                .filter(move |(other, _)| (*other == port) == own);
            ports.flat_map(|(_, addresses)| addresses).copied()
        };
        let own: Vec<_> = addresses_of(true).collect();
        let mut taken = Taken::default();
        for address in addresses_of(false).chain(self.bridge.iter().copied()) {
            match address {
                // Its own program permits no other than its own then.
                IpAddr::V4(_) if own.iter().any(IpAddr::is_ipv4) => {}
                _ if own.contains(&address) => {}
                IpAddr::V4(address) => taken.ipv4.push(address),
                IpAddr::V6(address) => taken.ipv6.push(address),
            }
        }
        taken
    }
}

/// Replaces the programs of a port, several if the addresses do not fit into one. A
/// port without any is not checked.
async fn install(netlink: &Handle, port: u32, taken: &Taken) -> Result<(), Cause> {
    let count = taken.ipv4.len().max(taken.ipv6.len()).div_ceil(MOST).max(1);
    for number in 0..count {
        let part = Taken {
            ipv4: chunk(&taken.ipv4, number),
            ipv6: chunk(&taken.ipv6, number),
        };
        let place = Place::Taken(number);
        match ingress::replace(netlink, port, place, &program(&part)).await {
            // The port has no such program, no programs at all, or is gone.
            Err(cause) if number == 0 && cause.is_any(&[Errno::NOENT, Errno::INVAL]) => {
                return Ok(());
            }
            Err(cause) if cause.is(Errno::NODEV) => return Ok(()),
            installed => installed?,
        }
    }
    Ok(())
}

fn chunk<A: Clone>(addresses: &[A], number: usize) -> Vec<A> {
    let chunk = addresses.chunks(MOST).nth(number);
    chunk.unwrap_or_default().to_vec()
}
