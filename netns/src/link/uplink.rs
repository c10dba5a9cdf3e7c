//! The host's way to the outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::link::LinkFlags;
use rtnetlink::Handle;

use super::{netlink, route};
use crate::{Cause, Error, link};

/// Addresses that no network has a route of its own to, so that the kernel
/// shows the default route when asked for them: those for documentation
/// (RFC 5737, RFC 3849, RFC 9637). Nothing is sent to them. A host that has one
/// of them itself, as examples have it, is asked for the next.
const OUTSIDE: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)),
];

/// The least MTU, in bytes, that IPv6 works with (RFC 8200, 5): the kernel takes
/// no IPv6 address on a link with less.
const LEAST: u32 = 1280;

/// The MTU, in bytes, for links behind the one that the default route of IPv4,
/// or else that of IPv6, leads through: its own, but not so little that there
/// could be no IPv6 behind it. `None` where there is no such route.
///
/// # Errors
///
/// [`Error::List`] if the kernel refuses, [`Error::Prepare`] if it cannot be
/// asked.
pub fn uplink_mtu() -> Result<Option<u32>, Error> {
    netlink::block_on(async {
        let netlink = netlink::connect()?;
        let found = find(&netlink).await;
        found.map_err(|cause| Error::List {
            objects: "default route",
            cause,
        })
    })
}

async fn find(netlink: &Handle) -> Result<Option<u32>, Cause> {
    for address in OUTSIDE {
        let Some(index) = route::link_towards(netlink, address).await? else {
            continue;
        };
        let link = link::find_by_index(netlink, index).await?;
        let uplink = link.filter(|link| !link.header.flags.contains(LinkFlags::Loopback));
        if let Some(mtu) = uplink.as_ref().and_then(link::mtu_of) {
            return Ok(Some(mtu.max(LEAST)));
        }
    }
    Ok(None)
}
