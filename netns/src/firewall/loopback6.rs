//! The route for answers to `::1`.
//!
//! The destination of a packet from the host to `::1` is replaced by the
//! container's address, and its source by the link's. In the answer, netfilter
//! replaces the link's address by `::1` before the kernel looks up the route, and
//! for a loopback address the kernel accepts only a route through the link that
//! received the packet (`rt6_need_strict` in net/ipv6/route.c). So the link gets
//! such a route. It opens nothing: a packet that has `::1` when it arrives is
//! dropped before (`ip6_rcv_core` in net/ipv6/ip6_input.c).

use std::net::Ipv6Addr;

use netlink_packet_route::route::{RouteMessage, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};
use rustix::io::Errno;

use super::Error;
use crate::Cause;
use crate::link::{self, netlink};

/// Higher than that of the route through lo, which is 0, so that the host's own
/// packets to `::1` still take that.
const METRIC: u32 = 4096;

/// `RT_TABLE_LOCAL` of rtnetlink(7).
const LOCAL_TABLE: u32 = 255;

/// Adds the route, unless it exists.
pub fn add_route(link: &str) -> Result<(), Error> {
    change(link, "add", &[Errno::EXIST], async |netlink, route| {
        netlink.route().add(route).execute().await
    })
}

/// Removes the route, if link and route exist.
pub fn remove_route(link: &str) -> Result<(), Error> {
    change(
        link,
        "remove",
        &[Errno::SRCH, Errno::NODEV],
        async |netlink, route| netlink.route().del(route).execute().await,
    )
}

/// `fine` are the answers to an operation that has been done before.
fn change(
    link: &str,
    operation: &'static str,
    fine: &[Errno],
    request: impl AsyncFnOnce(&Handle, RouteMessage) -> Result<(), rtnetlink::Error>,
) -> Result<(), Error> {
    let changed = netlink::block_on(async {
        let netlink = netlink::connect()?;
        let changed = match link::index(&netlink, link).await {
            Ok(index) => request(&netlink, route(index)).await.map_err(Cause::from),
            Err(cause) => Err(cause),
        };
        match changed {
            Err(cause) if fine.iter().any(|errno| cause.is(*errno)) => Ok(()),
            changed => changed.map_err(crate::Error::link("change the routes of", link)),
        }
    });
    changed.map_err(|error| Error::LoopbackRoute {
        operation,
        link: link.to_owned(),
        source: Box::new(error),
    })
}

fn route(link: u32) -> RouteMessage {
    RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(Ipv6Addr::LOCALHOST, 128)
        .output_interface(link)
        .priority(METRIC)
        .table_id(LOCAL_TABLE)
        .kind(RouteType::Local)
        .build()
}
