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
use rtnetlink::{Handle, RouteMessageBuilder};
use rustix::io::Errno;

use super::Error;
use crate::Cause;
use crate::link::{self, netlink};

/// Above that of the route through lo, which is 0, so that whatever leaves for
/// `::1` still goes there.
const METRIC: u32 = 4096;

/// `RT_TABLE_LOCAL` of rtnetlink(7).
const LOCAL_TABLE: u32 = 255;

/// Adds the route, if it is not there.
pub fn add_route(link: &str) -> Result<(), Error> {
    let added = netlink::block_on(async {
        let netlink = netlink::connect()?;
        Ok(add(&netlink, link).await)
    });
    outcome(added, "add", link, &[Errno::EXIST])
}

/// Removes the route, if link and route are there.
pub fn remove_route(link: &str) -> Result<(), Error> {
    let removed = netlink::block_on(async {
        let netlink = netlink::connect()?;
        Ok(remove(&netlink, link).await)
    });
    outcome(removed, "remove", link, &[Errno::SRCH, Errno::NODEV])
}

async fn add(netlink: &Handle, link: &str) -> Result<(), Cause> {
    let route = route(link::index(netlink, link).await?);
    Ok(netlink.route().add(route).execute().await?)
}

async fn remove(netlink: &Handle, link: &str) -> Result<(), Cause> {
    let route = route(link::index(netlink, link).await?);
    Ok(netlink.route().del(route).execute().await?)
}

/// `fine` are the answers that mean that it has been done before.
fn outcome(
    answer: Result<Result<(), Cause>, crate::Error>,
    operation: &'static str,
    link: &str,
    fine: &[Errno],
) -> Result<(), Error> {
    let cause = match answer {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(cause)) if fine.iter().any(|errno| cause.is(*errno)) => return Ok(()),
        Ok(Err(cause)) => crate::Error::Link {
            operation: "change the routes of",
            link: link.to_owned(),
            cause,
        },
        Err(error) => error,
    };
    Err(Error::LoopbackRoute {
        operation,
        link: link.to_owned(),
        source: Box::new(cause),
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
