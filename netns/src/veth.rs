//! Pairs of virtual Ethernet links, veth(4).

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::link::{InfoData, InfoVeth, LinkMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::{Cause, MacAddress, link};

/// What a pair shall be.
pub struct Pair<'a> {
    /// Name of the end on the host.
    pub host: &'a str,
    /// Name of the end in the container.
    pub peer: &'a str,
    /// Hardware address of the peer.
    pub mac_address: Option<MacAddress>,
    /// MTU of both ends.
    pub mtu: Option<u32>,
    /// Index of the bridge that the end on the host is put into.
    pub bridge: Option<u32>,
}

/// Creates a pair with the end `host` in the namespace of `netlink`, up, and
/// the end `peer`, down, in `peer_netns`. Returns what
/// [`link::create`] returns.
///
/// The peer is made where it belongs and under its final name, since moving a
/// link between namespaces costs the kernel many milliseconds. It cannot be
/// made up: the kernel configures it before it ties the two ends together, and
/// an end without the other does not go up (`veth_newlink` and `veth_open` in
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
        .link_group(link::GROUP)
        .up();
    if let Some(bridge) = pair.bridge {
        host = host.controller(bridge);
    }
    link::create(netlink, with_mtu(host, pair.mtu).build()).await
}

fn with_mtu<T>(link: LinkMessageBuilder<T>, mtu: Option<u32>) -> LinkMessageBuilder<T> {
    match mtu {
        Some(mtu) => link.mtu(mtu),
        None => link,
    }
}
