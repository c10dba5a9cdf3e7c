//! Pairs of virtual Ethernet links, veth(4).

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};

use crate::Cause;

/// Creates a pair with the end `host` in the namespace of `netlink`, up, and
/// the end `peer`, down, in `peer_netns`.
///
/// The peer is made where it belongs and under its final name, since moving a
/// link between namespaces costs the kernel many milliseconds. It cannot be
/// made up: the kernel configures it before it ties the two ends together, and
/// an end without the other does not go up (`veth_newlink` and `veth_open` in
/// drivers/net/veth.c).
pub async fn create(
    netlink: &Handle,
    host: &str,
    peer: &str,
    peer_netns: BorrowedFd<'_>,
) -> Result<(), Cause> {
    let peer_message = LinkUnspec::new_with_name(peer)
        .setns_by_fd(peer_netns.as_raw_fd())
        .build();
    let message = LinkVeth::new(host, peer)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer_message)))
        .up()
        .build();
    Ok(netlink.link().add(message).execute().await?)
}
