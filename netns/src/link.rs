//! Links: looking up, creating, setting up, naming, removing.

pub mod address;
pub mod bridge;
pub mod ingress;
pub mod interface;
pub mod mac;
pub mod macvlan;
pub mod netlink;
pub mod networks;
pub mod pin;
pub mod record;
pub mod reservation;
pub mod route;
pub mod settings;
pub mod uplink;
pub mod veth;

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage, Prop,
};
use rtnetlink::packet_core::DefaultNla;
use rtnetlink::{Handle, LinkGetRequest, LinkUnspec};
use rustix::io::Errno;

use crate::{Cause, HostLink, MacAddress};

/// The group (`IFLA_GROUP`, "group" in ip-link(8)) of every link that this crate
/// creates on the host, so that no other link is taken for one of them, whatever
/// its name: `ip link show group 7235960` lists them. The letters are "nix".
pub const GROUP: u32 = 0x006e_6978;

/// The same for links with a shortened name, which may be the full name of another
/// container's link.
pub const GROUP_OF_SHORTENED: u32 = GROUP + 1;

/// The group of the host's end of a veth pair with this name.
pub fn group_of(name: &HostLink) -> u32 {
    match name.altname() {
        Some(_) => GROUP_OF_SHORTENED,
        None => GROUP,
    }
}

/// Finds a link by either kind of name, of up to 127 bytes (`rtnl_dev_get` in the
/// kernel's net/core/rtnetlink.c).
const IFLA_ALT_IFNAME: u16 = 53;

fn get_request(netlink: &Handle) -> LinkGetRequest {
    let masks = vec![LinkExtentMask::SkipStats];
    netlink
        .link()
        .get()
        .set_filter_mask(AddressFamily::Unspec, masks)
}

/// The link with this name or alternative name.
pub async fn find(netlink: &Handle, name: &str) -> Result<Option<LinkMessage>, Cause> {
    // No link has the index 0: it asks for one link instead of all.
    let mut request = get_request(netlink).match_index(0);
    let name = [name.as_bytes(), b"\0"].concat();
    let name = LinkAttribute::Other(DefaultNla::new(IFLA_ALT_IFNAME, name));
    request.message_mut().attributes.push(name);
    answer_or_none(request.execute().try_next().await)
}

/// The link with this index.
pub async fn find_by_index(netlink: &Handle, index: u32) -> Result<Option<LinkMessage>, Cause> {
    let request = get_request(netlink).match_index(index);
    answer_or_none(request.execute().try_next().await)
}

fn answer_or_none(
    answer: Result<Option<LinkMessage>, rtnetlink::Error>,
) -> Result<Option<LinkMessage>, Cause> {
    match answer.map_err(Cause::from) {
        Err(cause) if cause.is(Errno::NODEV) => Ok(None),
        other => other,
    }
}

/// The link with this name, which has to exist.
pub async fn get(netlink: &Handle, name: &str) -> Result<LinkMessage, Cause> {
    let found = find(netlink, name).await?;
    found.ok_or_else(|| Errno::NODEV.into())
}

/// The index of the link with this name, which has to exist.
pub async fn index(netlink: &Handle, name: &str) -> Result<u32, Cause> {
    Ok(get(netlink, name).await?.header.index)
}

/// The links of this kind.
pub async fn list_kind(netlink: &Handle, kind: InfoKind) -> Result<Vec<LinkMessage>, Cause> {
    let mut request = get_request(netlink);
    // The kernel does not filter by a kind whose module is not loaded yet.
    let filter = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind.clone())]);
    request.message_mut().attributes.push(filter);
    let mut links: Vec<LinkMessage> = request.execute().try_collect().await?;
    links.retain(|link| kind_of(link) == Some(&kind));
    Ok(links)
}

/// The ports of a bridge.
pub async fn list_ports(netlink: &Handle, bridge: u32) -> Result<Vec<LinkMessage>, Cause> {
    let mut request = get_request(netlink);
    let filter = LinkAttribute::Controller(bridge);
    request.message_mut().attributes.push(filter);
    Ok(request.execute().try_collect().await?)
}

/// Removes a link. `false` if it is gone already, such as with the namespace
/// of its peer.
///
/// The kernel takes tens of milliseconds for it.
pub async fn remove(netlink: &Handle, index: u32) -> Result<bool, Cause> {
    let removed = netlink.link().del(index).execute().await;
    match removed.map_err(Cause::from) {
        Ok(()) => Ok(true),
        Err(cause) if cause.is(Errno::NODEV) => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Sets a link up.
pub async fn set_up(netlink: &Handle, name: &str) -> Result<(), Cause> {
    let message = LinkUnspec::new_with_name(name).up().build();
    Ok(netlink.link().set(message).execute().await?)
}

/// Adds an alternative name to a link.
pub async fn add_altname(netlink: &Handle, index: u32, altname: &str) -> Result<(), Cause> {
    let request = netlink.link().property_add(index).alt_ifname(&[altname]);
    Ok(request.execute().await?)
}

/// The value of a message's first attribute of a variant.
macro_rules! attribute {
    ($message:expr, $variant:path) => {
        $message.attributes.iter().find_map(|found| match found {
            $variant(value) => Some(value),
            _ => None,
        })
    };
}
pub(crate) use attribute;

/// A link's name.
pub fn name_of(link: &LinkMessage) -> Option<&str> {
    attribute!(link, LinkAttribute::IfName).map(String::as_str)
}

/// A link's alternative names.
pub fn altnames_of(link: &LinkMessage) -> Vec<&str> {
    let properties = attribute!(link, LinkAttribute::PropList);
    let properties = properties.into_iter().flatten();
    properties
        .filter_map(|property| match property {
            Prop::AltIfName(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

/// The kind of a virtual link; `None` for a physical one.
pub fn kind_of(link: &LinkMessage) -> Option<&InfoKind> {
    let info = attribute!(link, LinkAttribute::LinkInfo)?;
    info.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    })
}

/// The hardware address of a link.
pub fn hardware_address_of(link: &LinkMessage) -> Option<&[u8]> {
    attribute!(link, LinkAttribute::Address).map(Vec::as_slice)
}

/// The hardware address of an Ethernet link.
pub fn mac_address_of(link: &LinkMessage) -> Result<MacAddress, Cause> {
    let octets = hardware_address_of(link).and_then(|octets| octets.try_into().ok());
    let octets = octets.ok_or(Errno::NODEV)?;
    MacAddress::new(octets).map_err(|error| std::io::Error::other(error).into())
}

/// The MTU of a link, in bytes.
pub fn mtu_of(link: &LinkMessage) -> Option<u32> {
    attribute!(link, LinkAttribute::Mtu).copied()
}

/// The index of the bridge, bond or the like that a link is a port of.
pub fn master_of(link: &LinkMessage) -> Option<u32> {
    attribute!(link, LinkAttribute::Controller).copied()
}

/// The index of a veth link's other end, in its namespace.
pub fn peer_of(link: &LinkMessage) -> Option<u32> {
    attribute!(link, LinkAttribute::Link).copied()
}

/// Whether this crate created a link.
pub fn is_ours(link: &LinkMessage) -> bool {
    is_of_group(link, GROUP) || is_of_group(link, GROUP_OF_SHORTENED)
}

/// Whether a link is in a group.
pub fn is_of_group(link: &LinkMessage, group: u32) -> bool {
    link.attributes.contains(&LinkAttribute::Group(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udev_knows_the_groups() {
        let rules = include_str!("../../systemd/udev/70-nixos-container.rules");
        let groups = format!("ATTR{{netdev_group}}==\"{GROUP}|{GROUP_OF_SHORTENED}\"");
        assert!(rules.contains(&groups));
    }
}
