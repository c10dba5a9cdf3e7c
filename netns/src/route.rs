//! Routes, ip-route(8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use ipnet::{IpNet, Ipv4Net};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::Cause;

/// Adds a route through a link: to neighbours, or to what lies beyond `gateway`,
/// which must be of the family of `destination`.
///
/// Its protocol is `static`, which routing daemons respect (rtnetlink(7)).
pub async fn add(
    netlink: &Handle,
    link: u32,
    destination: IpNet,
    gateway: Option<IpAddr>,
) -> Result<(), Cause> {
    let message = match destination {
        IpNet::V4(destination) => {
            let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(destination.addr(), destination.prefix_len());
            match gateway {
                Some(IpAddr::V4(gateway)) => {
                    route = route.gateway(gateway);
                }
                _ => {
                    route = route.scope(RouteScope::Link);
                }
            };
            route.output_interface(link).build()
        }
        IpNet::V6(destination) => {
            let mut route = RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(destination.addr(), destination.prefix_len());
            if let Some(IpAddr::V6(gateway)) = gateway {
                route = route.gateway(gateway);
            }
            route.output_interface(link).build()
        }
    };
    Ok(netlink.route().add(message).execute().await?)
}

/// The IPv4 destinations in all routing tables.
pub async fn list_v4(netlink: &Handle) -> Result<Vec<IpNet>, Cause> {
    let any = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let messages: Vec<RouteMessage> = netlink.route().get(any).execute().try_collect().await?;
    Ok(messages.iter().filter_map(destination_v4).collect())
}

/// A default route has no destination attribute, only a prefix length of 0.
fn destination_v4(message: &RouteMessage) -> Option<IpNet> {
    let address = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
            _ => None,
        })
        .unwrap_or(Ipv4Addr::UNSPECIFIED);
    let network = Ipv4Net::new(address, message.header.destination_prefix_length).ok()?;
    Some(network.into())
}
