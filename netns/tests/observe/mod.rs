//! The kernel's state of a network namespace, read through netlink dumps.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::HashMap;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, Prop};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol,
};
use rtnetlink::{Handle, RouteMessageBuilder};

/// Links, addresses and routes, as words.
pub struct Observed {
    /// `NAME up` or `NAME down`, by index.
    pub links: Vec<String>,
    altnames: HashMap<String, Vec<String>>,
    addresses: HashMap<String, Vec<String>>,
    routes: HashMap<String, Vec<String>>,
}

impl Observed {
    pub fn altnames(&self, link: &str) -> &[String] {
        self.altnames.get(link).map_or(&[], Vec::as_slice)
    }

    /// Addresses with their prefix lengths, sorted, without those that the kernel
    /// itself adds (fe80::/10).
    pub fn addresses(&self, link: &str) -> &[String] {
        self.addresses.get(link).map_or(&[], Vec::as_slice)
    }

    /// `DESTINATION` or `DESTINATION via GATEWAY` in the main table, sorted, without
    /// those that the kernel itself adds.
    pub fn routes(&self, link: &str) -> &[String] {
        self.routes.get(link).map_or(&[], Vec::as_slice)
    }
}

/// Reads the state of the calling thread's namespace.
pub fn observe() -> Observed {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime")
        .block_on(async {
            let (connection, netlink, _) = rtnetlink::new_connection().expect("a netlink socket");
            tokio::spawn(connection);
            observe_through(&netlink).await
        })
}

async fn observe_through(netlink: &Handle) -> Observed {
    let links: Vec<LinkMessage> = netlink
        .link()
        .get()
        .execute()
        .try_collect()
        .await
        .expect("links");
    let names: HashMap<u32, String> = links
        .iter()
        .map(|link| (link.header.index, link_name(link)))
        .collect();
    Observed {
        links: links.iter().map(name_and_state).collect(),
        altnames: links
            .iter()
            .map(|link| (link_name(link), altnames(link)))
            .collect(),
        addresses: addresses(netlink, &names).await,
        routes: routes(netlink, &names).await,
    }
}

fn link_name(link: &LinkMessage) -> String {
    let name = link
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        });
    name.expect("every link has a name")
}

fn name_and_state(link: &LinkMessage) -> String {
    let up = link.header.flags.contains(LinkFlags::Up);
    format!("{} {}", link_name(link), if up { "up" } else { "down" })
}

fn altnames(link: &LinkMessage) -> Vec<String> {
    let properties = link
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            LinkAttribute::PropList(properties) => Some(properties),
            _ => None,
        });
    properties
        .flatten()
        .filter_map(|property| match property {
            Prop::AltIfName(name) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

async fn addresses(netlink: &Handle, names: &HashMap<u32, String>) -> HashMap<String, Vec<String>> {
    let messages: Vec<_> = netlink
        .address()
        .get()
        .execute()
        .try_collect()
        .await
        .expect("addresses");
    let found = messages.iter().filter_map(|message| {
        let address = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            })?;
        if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
            return None;
        }
        let network = IpNet::new(address, message.header.prefix_len).expect("a prefix length");
        Some((names[&message.header.index].clone(), network.to_string()))
    });
    grouped(found)
}

async fn routes(netlink: &Handle, names: &HashMap<u32, String>) -> HashMap<String, Vec<String>> {
    let mut messages = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut any = RouteMessageBuilder::<IpAddr>::new().build();
        any.header.address_family = family;
        let more: Vec<RouteMessage> = netlink
            .route()
            .get(any)
            .execute()
            .try_collect()
            .await
            .expect("routes");
        messages.extend(more);
    }
    let added = messages
        .iter()
        .filter(|route| route.header.table == RouteHeader::RT_TABLE_MAIN)
        .filter(|route| route.header.protocol != RouteProtocol::Kernel);
    grouped(added.filter_map(|route| route_words(route, names)))
}

/// The link and the words for a route.
fn route_words(route: &RouteMessage, names: &HashMap<u32, String>) -> Option<(String, String)> {
    let v6 = route.header.address_family == AddressFamily::Inet6;
    let mut destination: IpAddr = if v6 { [0; 16].into() } else { [0; 4].into() };
    let mut gateway = String::new();
    let mut link = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(to)) => destination = (*to).into(),
            RouteAttribute::Destination(RouteAddress::Inet6(to)) => destination = (*to).into(),
            RouteAttribute::Gateway(RouteAddress::Inet(via)) => gateway = format!(" via {via}"),
            RouteAttribute::Gateway(RouteAddress::Inet6(via)) => gateway = format!(" via {via}"),
            RouteAttribute::Oif(index) => link = names.get(index),
            _ => {}
        }
    }
    let length = route.header.destination_prefix_length;
    Some((link?.clone(), format!("{destination}/{length}{gateway}")))
}

fn grouped(pairs: impl Iterator<Item = (String, String)>) -> HashMap<String, Vec<String>> {
    let mut groups: HashMap<String, Vec<String>> = HashMap::new();
    for (link, words) in pairs {
        groups.entry(link).or_default().push(words);
    }
    groups.values_mut().for_each(|words| words.sort());
    groups
}
