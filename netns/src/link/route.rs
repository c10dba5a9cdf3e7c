//! Routes, ip-route(8).

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::Cause;
use crate::link::attribute;

/// Adds a route through a link: to neighbours, or to destinations behind
/// `gateway`.
///
/// Its protocol is `static`, since a routing daemon may purge routes with the
/// protocol `boot` (ip-route(8)).
pub async fn add(
    netlink: &Handle,
    link: u32,
    destination: IpNet,
    gateway: Option<IpAddr>,
) -> Result<(), Cause> {
    let route = RouteMessageBuilder::<IpAddr>::new()
        .output_interface(link)
        .destination_prefix(destination.addr(), destination.prefix_len())
        .map_err(io::Error::other)?;
    let route = match gateway {
        Some(gateway) => route.gateway(gateway).map_err(io::Error::other)?,
        None => route.scope(RouteScope::Link),
    };
    Ok(netlink.route().add(route.build()).execute().await?)
}

/// The index of the link through which packets to `address` leave.
pub async fn link_towards(netlink: &Handle, address: IpAddr) -> Result<Option<u32>, Cause> {
    let length = if address.is_ipv4() { 32 } else { 128 };
    let question = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(address, length)
        .map_err(io::Error::other)?;
    let answer = netlink.route().get(question.build()).execute();
    match pin!(answer).try_next().await.map_err(Cause::from) {
        Ok(route) => Ok(route.and_then(|route| attribute!(route, RouteAttribute::Oif).copied())),
        // There is no route, or its type says so.
        Err(cause) if cause.is_unreachable() => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// The IPv4 destinations in all routing tables.
pub async fn list_v4(netlink: &Handle) -> Result<Vec<IpNet>, Cause> {
    let any = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let messages: Vec<RouteMessage> = netlink.route().get(any).execute().try_collect().await?;
    Ok(messages.iter().filter_map(destination).collect())
}

/// The destination of a route. A default route has no attribute with it, only a
/// prefix length of 0.
pub fn destination(route: &RouteMessage) -> Option<IpNet> {
    let address = match attribute!(route, RouteAttribute::Destination) {
        Some(RouteAddress::Inet(address)) => IpAddr::V4(*address),
        Some(RouteAddress::Inet6(address)) => IpAddr::V6(*address),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    };
    IpNet::new(address, route.header.destination_prefix_length).ok()
}
