//! Links that share an interface of the host: macvlan and ipvlan.
//!
//! They are created in the container's namespace under their final names, and
//! down, as systemd-nspawn leaves them: the container configures them.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::link::{IpVlanMode, MacVlanMode};
use rtnetlink::{Handle, LinkIpVlan, LinkMacVlan};

use crate::{Cause, MacAddress};

/// Creates a macvlan link on the link with the index `parent` in the namespace
/// of `netlink`.
pub async fn create(
    netlink: &Handle,
    parent: u32,
    name: &str,
    mac_address: Option<MacAddress>,
    netns: BorrowedFd<'_>,
) -> Result<(), Cause> {
    let mut message =
        LinkMacVlan::new(name, parent, MacVlanMode::Bridge).setns_by_fd(netns.as_raw_fd());
    if let Some(address) = mac_address {
        message = message.address(address.octets().to_vec());
    }
    Ok(netlink.link().add(message.build()).execute().await?)
}

/// Creates an ipvlan link, like [`create`].
pub async fn create_ipvlan(
    netlink: &Handle,
    parent: u32,
    name: &str,
    netns: BorrowedFd<'_>,
) -> Result<(), Cause> {
    let message = LinkIpVlan::new(name, parent, IpVlanMode::L2)
        .setns_by_fd(netns.as_raw_fd())
        .build();
    Ok(netlink.link().add(message).execute().await?)
}
