//! The settings of an interface before it moved into a container: reading them,
//! and restoring them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol,
};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteProtocol};
use rtnetlink::packet_core::{Emitable, Parseable};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{attribute, route};
use crate::{Cause, Error, link, sysctl};

/// The settings of an interface that a move resets or a container can change.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Its name on the host.
    pub name: String,
    /// Its index, which it keeps in the container.
    pub index: u32,
    /// The kind of a virtual link; `None` for a physical one.
    pub kind: Option<String>,
    /// Whether it was up.
    pub up: bool,
    /// Its MTU, in bytes.
    pub mtu: Option<u32>,
    /// Its hardware address.
    pub hardware_address: Option<Vec<u8>>,
    /// Its alternative names.
    pub altnames: Vec<String>,
    /// The name of the bridge, bond or the like that it was a port of.
    pub master: Option<String>,
    /// Its addresses (`RTM_NEWADDR` in rtnetlink(7)).
    pub addresses: Vec<Message>,
    /// The routes that lead through it (`RTM_NEWROUTE`).
    pub routes: Vec<Message>,
    /// Values by file below `/proc/sys`.
    pub sysctls: BTreeMap<String, String>,
}

impl Settings {
    /// Whether this link can be the interface: its name can have changed.
    pub fn is_of(&self, link: &LinkMessage) -> bool {
        link.header.index == self.index && kind(link) == self.kind
    }
}

/// The kernel's own description of an address or a route, which is sent back to
/// it without a loss.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// A description for people.
    pub words: String,
    /// The message without its header, as this machine's kernel lays it out.
    pub bytes: Vec<u8>,
}

/// Reads the settings of an interface of the host.
pub async fn read(host: &Handle, name: &str) -> Result<Settings, Cause> {
    let link = link::get(host, name).await?;
    let index = link.header.index;
    let master = match link::master_of(&link) {
        Some(master) => link::find_by_index(host, master).await?,
        None => None,
    };
    Ok(Settings {
        name: name.to_owned(),
        index,
        kind: kind(&link),
        up: link.header.flags.contains(LinkFlags::Up),
        mtu: link::mtu_of(&link),
        hardware_address: link::hardware_address_of(&link).map(<[u8]>::to_vec),
        altnames: link::altnames_of(&link)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        master: master.as_ref().and_then(link::name_of).map(str::to_owned),
        addresses: addresses(host, index).await?,
        routes: routes(host, index).await?,
        sysctls: sysctl_files(name)
            .into_iter()
            .filter_map(|file| Some((file.clone(), sysctl::read(&file)?)))
            .collect(),
    })
}

/// Restores the settings of `link`. Returns what failed.
pub async fn restore(host: &Handle, link: &LinkMessage, was: &Settings) -> Vec<Error> {
    let mut failed = Vec::new();
    let mut note = |setting: String, result: Result<(), Cause>| match result {
        Err(cause) if !cause.is(Errno::EXIST) => failed.push(Error::Restore {
            interface: was.name.clone(),
            setting,
            cause,
        }),
        _ => {}
    };
    let index = link.header.index;

    let present = link::altnames_of(link);
    for altname in &was.altnames {
        if !present.contains(&altname.as_str()) {
            let added = link::add_altname(host, index, altname).await;
            note(format!("alternative name {altname}"), added);
        }
    }
    // While the link is still down, as some drivers demand.
    if link::hardware_address_of(link) != was.hardware_address.as_deref()
        && let Some(address) = &was.hardware_address
    {
        let message = LinkUnspec::new_with_index(index).address(address.clone());
        note(
            "the hardware address".to_owned(),
            set(host, message.build()).await,
        );
    }
    if link::mtu_of(link) != was.mtu
        && let Some(mtu) = was.mtu
    {
        let message = LinkUnspec::new_with_index(index).mtu(mtu);
        note(format!("MTU {mtu}"), set(host, message.build()).await);
    }
    if let Some(master) = &was.master {
        note(
            format!("the master {master}"),
            enslave(host, index, master).await,
        );
    }
    // Before it is up: some settings are for what the kernel does then.
    for (file, value) in &was.sysctls {
        note(format!("the sysctl {file}"), restore_sysctl(file, value));
    }
    if was.up {
        let message = LinkUnspec::new_with_index(index).up();
        note("the state UP".to_owned(), set(host, message.build()).await);
    }
    for address in &was.addresses {
        let restored = restore_address(host, index, &address.bytes).await;
        note(address.words.clone(), restored);
    }
    for route in &was.routes {
        let restored = restore_route(host, index, &route.bytes).await;
        note(route.words.clone(), restored);
    }
    failed
}

async fn set(host: &Handle, message: LinkMessage) -> Result<(), Cause> {
    Ok(host.link().set(message).execute().await?)
}

async fn enslave(host: &Handle, index: u32, master: &str) -> Result<(), Cause> {
    let master = link::index(host, master).await?;
    let message = LinkUnspec::new_with_index(index).controller(master);
    set(host, message.build()).await
}

fn kind(link: &LinkMessage) -> Option<String> {
    link::kind_of(link).map(ToString::to_string)
}

/// The addresses of a link without those that the kernel itself adds again when
/// the link comes up or receives a router advertisement.
async fn addresses(host: &Handle, index: u32) -> Result<Vec<Message>, Cause> {
    let request = host.address().get().set_link_index_filter(index);
    let mut addresses: Vec<AddressMessage> = request.execute().try_collect().await?;
    addresses.retain(|address| !is_automatic(address));
    let message = |address: &AddressMessage| Message {
        words: address_words(address),
        bytes: bytes(address),
    };
    Ok(addresses.iter().map(message).collect())
}

fn address_words(message: &AddressMessage) -> String {
    match attribute!(message, AddressAttribute::Address) {
        Some(address) => format!("address {address}/{}", message.header.prefix_len),
        None => "an address".to_owned(),
    }
}

fn is_automatic(address: &AddressMessage) -> bool {
    address.attributes.iter().any(|attribute| match attribute {
        AddressAttribute::Protocol(protocol) => matches!(
            protocol,
            AddressProtocol::LinkLocal | AddressProtocol::RouterAnnouncement
        ),
        // The flag of temporary addresses (RFC 8981); in IPv4 it means something else.
        AddressAttribute::Flags(flags) => {
            address.header.family == AddressFamily::Inet6 && flags.contains(AddressFlags::Secondary)
        }
        _ => false,
    })
}

async fn restore_address(host: &Handle, index: u32, message: &[u8]) -> Result<(), Cause> {
    let mut request = host.address().add(index, [0; 4].into(), 0);
    *request.message_mut() = AddressMessage::parse(message).map_err(io::Error::other)?;
    request.message_mut().header.index = index;
    Ok(request.execute().await?)
}

/// The routes of all tables through a link. Routes to neighbours come first,
/// since a gateway has to be reachable when its route is added. Left out are
/// routes that the kernel itself adds again, with an address or after a router
/// advertisement, and routes with several next hops.
async fn routes(host: &Handle, index: u32) -> Result<Vec<Message>, Cause> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut any = RouteMessageBuilder::<IpAddr>::new().build();
        any.header.address_family = family;
        let mut found: Vec<RouteMessage> = host.route().get(any).execute().try_collect().await?;
        found.retain(|route| {
            route.attributes.contains(&RouteAttribute::Oif(index))
                && !matches!(
                    route.header.protocol,
                    RouteProtocol::Kernel | RouteProtocol::Ra
                )
        });
        routes.append(&mut found);
    }
    routes.iter_mut().for_each(keep_settable);
    let has_gateway = |attribute: &RouteAttribute| {
        matches!(
            attribute,
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_)
        )
    };
    routes.sort_by_key(|route| route.attributes.iter().any(has_gateway));
    let message = |route: &RouteMessage| Message {
        words: route_words(route),
        bytes: bytes(route),
    };
    Ok(routes.iter().map(message).collect())
}

fn route_words(message: &RouteMessage) -> String {
    match route::destination(message) {
        Some(destination) if destination.prefix_len() > 0 => format!("the route to {destination}"),
        _ => "the default route".to_owned(),
    }
}

/// Removes from a route what the kernel reports but does not accept.
fn keep_settable(route: &mut RouteMessage) {
    route.header.flags &= RouteFlags::Onlink;
    route.attributes.retain(|attribute| {
        !matches!(
            attribute,
            RouteAttribute::CacheInfo(_) | RouteAttribute::Expires(_) | RouteAttribute::NhId(_)
        )
    });
}

async fn restore_route(host: &Handle, index: u32, message: &[u8]) -> Result<(), Cause> {
    let mut route = RouteMessage::parse(message).map_err(io::Error::other)?;
    for attribute in &mut route.attributes {
        if let RouteAttribute::Oif(link) = attribute {
            *link = index;
        }
    }
    Ok(host.route().add(route).execute().await?)
}

fn bytes(message: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// The files of an interface below `/proc/sys`.
fn sysctl_files(interface: &str) -> Vec<String> {
    let kinds = ["ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh"];
    let files = kinds.map(|kind| {
        let directory = format!("net/{kind}/{interface}");
        let names = sysctl::list(&directory).into_iter();
        names.map(move |name| format!("{directory}/{name}"))
    });
    files.into_iter().flatten().collect()
}

fn restore_sysctl(file: &str, value: &str) -> Result<(), Cause> {
    if sysctl::read(file).as_deref() == Some(value) {
        return Ok(());
    }
    Ok(sysctl::write(file, value)?)
}
