//! Addresses of links, ip-address(8).

use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use rtnetlink::Handle;

use crate::Cause;

/// Adds an address to a link, to be used at once.
pub async fn add(netlink: &Handle, link: u32, address: IpNet) -> Result<(), Cause> {
    let mut request = netlink
        .address()
        .add(link, address.addr(), address.prefix_len());
    if address.addr().is_ipv6() {
        // With duplicate address detection (RFC 4862, 5.4) the address would be
        // unusable for a second or two: services that bind it while the container
        // starts would fail. Both ends of a veth pair are ours, and in a bridge's
        // network the user has chosen an address that is free.
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
    }
    Ok(request.execute().await?)
}

/// The IPv4 addresses of all links, with their prefix lengths.
pub async fn list_v4(netlink: &Handle) -> Result<Vec<IpNet>, Cause> {
    let mut request = netlink.address().get();
    request.message_mut().header.family = AddressFamily::Inet;
    let messages: Vec<AddressMessage> = request.execute().try_collect().await?;
    Ok(messages.iter().flat_map(networks).collect())
}

/// The addresses of all links that other hosts can reach (`scope global` of
/// ip-address(8)), those of IPv4 first, and then in the order of links.
pub async fn list_global(netlink: &Handle) -> Result<Vec<IpAddr>, Cause> {
    let messages = netlink.address().get().execute();
    let mut messages: Vec<AddressMessage> = messages.try_collect().await?;
    messages.retain(|message| message.header.scope == AddressScope::Universe);
    messages.sort_by_key(|message| {
        (
            message.header.family == AddressFamily::Inet6,
            message.header.index,
        )
    });
    Ok(messages.iter().filter_map(own).collect())
}

/// The link's own address: `IFA_LOCAL`, which IPv6 has only with a peer, or else
/// `IFA_ADDRESS`.
fn own(message: &AddressMessage) -> Option<IpAddr> {
    let attributes = || message.attributes.iter();
    let local = attributes().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        attributes().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

/// The addresses of a link.
pub async fn list_of(netlink: &Handle, link: u32) -> Result<Vec<IpAddr>, Cause> {
    let messages = netlink
        .address()
        .get()
        .set_link_index_filter(link)
        .execute();
    let messages: Vec<AddressMessage> = messages.try_collect().await?;
    let own = messages
        .iter()
        .filter(|message| message.header.index == link);
    Ok(own
        .flat_map(networks)
        .map(|network| network.addr())
        .collect())
}

/// The link's own address and, on a point-to-point link, that of its other end,
/// to which the prefix length belongs (`IFA_LOCAL` and `IFA_ADDRESS` in
/// rtnetlink(7)).
fn networks(message: &AddressMessage) -> impl Iterator<Item = IpNet> + '_ {
    message.attributes.iter().filter_map(|attribute| {
        let address: &IpAddr = match attribute {
            AddressAttribute::Address(address) | AddressAttribute::Local(address) => address,
            _ => return None,
        };
        IpNet::new(*address, message.header.prefix_len).ok()
    })
}
