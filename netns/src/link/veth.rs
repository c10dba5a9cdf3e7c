//! Pairs of virtual Ethernet links, veth(4).

use std::os::fd::{AsRawFd, BorrowedFd};

use futures_util::StreamExt;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoVeth, LinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::{Cause, MacAddress};

/// The properties of a pair.
pub struct Pair<'a> {
    /// Name of the end on the host.
    pub host: &'a str,
    /// Name of the end in the container.
    pub peer: &'a str,
    /// Hardware address of the peer.
    pub mac_address: Option<MacAddress>,
    /// MTU of both ends.
    pub mtu: Option<u32>,
    /// Group of the end on the host.
    pub group: u32,
    /// Index of the bridge that the end on the host is a port of.
    pub bridge: Option<u32>,
}

/// Creates a pair with the end `host` in the namespace of `netlink`, up, and
/// the end `peer`, down, in `peer_netns`. Returns the kernel's message about the
/// end on the host, which Linux sends since 6.2 (`NLM_F_ECHO` in netlink(7)) and
/// which has the indexes of both ends.
///
/// The peer is created in its namespace under its final name, since moving a link
/// between namespaces takes the kernel many milliseconds. It cannot be created
/// up: the kernel configures it before it connects the two ends, and an end
/// without the other does not go up (`veth_newlink` and `veth_open` in
/// drivers/net/veth.c).
pub async fn create(
    netlink: &Handle,
    pair: &Pair<'_>,
    peer_netns: BorrowedFd<'_>,
) -> Result<Option<LinkMessage>, Cause> {
    let mut peer = LinkUnspec::new_with_name(pair.peer).setns_by_fd(peer_netns.as_raw_fd());
    if let Some(address) = pair.mac_address {
        peer = peer.address(address.octets().to_vec());
    }
    let peer = with_mtu(peer, pair.mtu).build();
    let mut host = LinkVeth::new(pair.host, pair.peer)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .link_group(pair.group)
        .up();
    if let Some(bridge) = pair.bridge {
        host = host.controller(bridge);
    }
    add(netlink, with_mtu(host, pair.mtu).build()).await
}

async fn add(netlink: &Handle, link: LinkMessage) -> Result<Option<LinkMessage>, Cause> {
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewLink(link));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
    let mut answers = netlink.clone().request(request)?;
    let mut created = None;
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                created = Some(link);
            }
            NetlinkPayload::Error(refusal) if refusal.code.is_some() => {
                return Err(Cause::from(refusal.to_io()));
            }
            _ => {}
        }
    }
    Ok(created)
}

fn with_mtu<T>(link: LinkMessageBuilder<T>, mtu: Option<u32>) -> LinkMessageBuilder<T> {
    match mtu {
        Some(mtu) => link.mtu(mtu),
        None => link,
    }
}
