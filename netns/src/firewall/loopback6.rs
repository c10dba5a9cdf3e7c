//! The way back to `::1`.
//!
//! A packet from the host to `::1` becomes one to the container by DNAT, and
//! leaves with the link's address by masquerading. On the answer, netfilter
//! turns the link's address back into `::1` before the kernel looks for a
//! route, and for a loopback address it takes only one through the link that
//! the packet came in by (`rt6_need_strict` in net/ipv6/route.c). So the link
//! gets such a route. A packet that had `::1` when it arrived never comes so
//! far (`ip6_rcv_core` in net/ipv6/ip6_input.c), hence this opens nothing.

use std::net::Ipv6Addr;

use netlink_packet_route::route::{RouteMessage, RouteType};
use rtnetlink::RouteMessageBuilder;
use rustix::io::Errno;

use super::Error;
use crate::{Cause, link, netlink};

/// Above that of the route through lo, which is 0, so that whatever leaves for
/// `::1` still goes there.
const METRIC: u32 = 4096;

/// `RT_TABLE_LOCAL` of rtnetlink(7).
const LOCAL_TABLE: u32 = 255;

/// Adds the route, if it is not there.
pub fn add_route(link: &str) -> Result<(), Error> {
    change(link, "add local route to", async |handle, route| {
        handle.route().add(route).execute().await
    })
}

/// Removes the route, if link and route are there.
pub fn remove_route(link: &str) -> Result<(), Error> {
    change(link, "remove local route to", async |handle, route| {
        handle.route().del(route).execute().await
    })
}

fn change(
    link: &str,
    operation: &'static str,
    request: impl AsyncFnOnce(&rtnetlink::Handle, RouteMessage) -> Result<(), rtnetlink::Error>,
) -> Result<(), Error> {
    let done = netlink::block_on(async {
        let handle = netlink::connect()?;
        let outcome = match link::index(&handle, link).await {
            Ok(index) => request(&handle, route(index)).await.map_err(Cause::from),
            Err(cause) => Err(cause),
        };
        outcome.map_err(|cause| crate::Error::Link {
            operation,
            link: link.to_owned(),
            cause,
        })
    });
    match done {
        Err(crate::Error::Link { cause, .. })
            if cause.is(Errno::EXIST) || cause.is(Errno::SRCH) =>
        {
            Ok(())
        }
        other => other.map_err(|error| Error::LoopbackRoute {
            operation,
            link: link.to_owned(),
            source: Box::new(error),
        }),
    }
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
