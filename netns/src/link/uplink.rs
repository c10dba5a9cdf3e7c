//! The link of the host's default route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::link::LinkFlags;
use rtnetlink::Handle;

use super::{netlink, route};
use crate::{Cause, Error, link};

/// Addresses to which only the default route leads: those for documentation
/// (RFC 5737, RFC 3849, RFC 9637). Nothing is sent to them. If the host itself has
/// one of them, as in examples, the next one is tried.
const OUTSIDE: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)),
];

/// The smallest MTU for IPv6, in bytes (RFC 8200, 5): a link with a smaller one
/// can have no IPv6 address.
const SMALLEST: u32 = 1280;

/// The MTU, in bytes, for links behind the link of the default route of IPv4, or
/// else of IPv6: that link's own, but at least the smallest for IPv6. `None`
/// without a default route.
///
/// # Errors
///
/// [`Error::List`] if the kernel refuses, [`Error::Prepare`] if it cannot be
/// asked.
pub fn uplink_mtu() -> Result<Option<u32>, Error> {
    netlink::block_on(async {
        let netlink = netlink::connect()?;
        find(&netlink).await.map_err(Error::list("default route"))
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
            return Ok(Some(mtu.max(SMALLEST)));
        }
    }
    Ok(None)
}
