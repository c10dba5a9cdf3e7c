//! Links: finding, setting up, naming, removing.

use futures_util::TryStreamExt;
use netlink_packet_route::{
    AddressFamily,
    link::{LinkAttribute, LinkExtentMask, LinkMessage, Prop},
};
use rtnetlink::{Handle, LinkUnspec};
use rustix::io::Errno;
use rustix::net::{AddressFamily as SocketFamily, SocketFlags, SocketType};

use crate::{Cause, Error, HostLink, netlink};

/// Removes the container's link from the host, and with it, for a veth pair,
/// the end in the container. `false` if there is none.
///
/// The kernel takes tens of milliseconds for a removal, and does it by itself
/// some time after the last process in the container's namespace has gone, so
/// this is for what a start finds in its way.
///
/// A link that has the shortened name but the alternative name of another
/// container is not touched.
///
/// # Errors
///
/// [`Error::Link`] if the kernel refuses, [`Error::Prepare`] if it cannot be
/// asked.
pub fn remove_link(link: &HostLink) -> Result<bool, Error> {
    if !has_interface(link)? {
        return Ok(false);
    }
    netlink::block_on(async {
        let netlink = netlink::connect()?;
        let Some(index) = find_own(&netlink, link).await? else {
            return Ok(false);
        };
        match netlink
            .link()
            .del(index)
            .execute()
            .await
            .map_err(Cause::from)
        {
            Ok(()) => Ok(true),
            // The container's namespace has died meanwhile and taken it along.
            Err(cause) if cause.is(Errno::NODEV) => Ok(false),
            Err(cause) => Err(link_error("remove", link, cause)),
        }
    })
}

/// Whether there is any link of that name: the cheap question that each start
/// asks (`man 7 netdevice`, SIOCGIFINDEX).
fn has_interface(link: &HostLink) -> Result<bool, Error> {
    let ask = || {
        let socket = rustix::net::socket_with(
            SocketFamily::INET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::net::netdevice::name_to_index(&socket, link.interface())
    };
    match ask() {
        Ok(_) => Ok(true),
        Err(Errno::NODEV) => Ok(false),
        Err(errno) => Err(link_error("look for", link, Cause::from(errno))),
    }
}

/// Whether the container's link is on the host.
///
/// # Errors
///
/// [`Error::Link`] if the kernel refuses, [`Error::Prepare`] if it cannot be
/// asked.
pub fn link_exists(link: &HostLink) -> Result<bool, Error> {
    netlink::block_on(async {
        let netlink = netlink::connect()?;
        Ok(find_own(&netlink, link).await?.is_some())
    })
}

/// The index of the container's link, if there is one.
async fn find_own(netlink: &Handle, link: &HostLink) -> Result<Option<u32>, Error> {
    match get(netlink, link.interface()).await {
        Ok(found) => Ok(is_own(&found, link).then_some(found.header.index)),
        Err(cause) if cause.is(Errno::NODEV) => Ok(None),
        Err(cause) => Err(link_error("look for", link, cause)),
    }
}

/// Whether `found`, which the kernel has under the name of `link`, is that link.
fn is_own(found: &LinkMessage, link: &HostLink) -> bool {
    let name_is = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if name == link.interface());
    // The kernel also finds a link by its alternative names.
    if !found.attributes.iter().any(name_is) {
        return false;
    }
    let Some(expected) = link.altname() else {
        return true;
    };
    // A link without any is one whose maker was killed before it could add it.
    let altnames = altnames(found);
    altnames.is_empty() || altnames.contains(&expected)
}

fn altnames(link: &LinkMessage) -> Vec<&str> {
    let mut altnames = Vec::new();
    for attribute in &link.attributes {
        if let LinkAttribute::PropList(properties) = attribute {
            altnames.extend(properties.iter().filter_map(|property| match property {
                Prop::AltIfName(name) => Some(name.as_str()),
                _ => None,
            }));
        }
    }
    altnames
}

/// The index of the link with this name.
pub async fn index(netlink: &Handle, name: &str) -> Result<u32, Cause> {
    Ok(get(netlink, name).await?.header.index)
}

/// Sets a link up.
pub async fn set_up(netlink: &Handle, name: &str) -> Result<(), Cause> {
    let message = LinkUnspec::new_with_name(name).up().build();
    Ok(netlink.link().set(message).execute().await?)
}

/// Gives a link one more name.
pub async fn add_altname(netlink: &Handle, index: u32, altname: &str) -> Result<(), Cause> {
    let request = netlink.link().property_add(index).alt_ifname(&[altname]);
    Ok(request.execute().await?)
}

async fn get(netlink: &Handle, name: &str) -> Result<LinkMessage, Cause> {
    let request = netlink
        .link()
        .get()
        .match_name(name)
        .set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::SkipStats]);
    let answer = request.execute().try_next().await?;
    answer.ok_or_else(|| Errno::NODEV.into())
}

fn link_error(operation: &'static str, link: &HostLink, cause: Cause) -> Error {
    Error::Link {
        operation,
        link: link.to_string(),
        cause,
    }
}
