//! Bridges, and zones: bridges that exist while they have a container.

use std::path::{Path, PathBuf};

use super::netlink;
use netlink_packet_route::link::{InfoKind, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort};
use rustix::io::Errno;

use crate::name::ZONE_PREFIX;
use crate::{Cause, Error, link, sysctl};

/// Creates a bridge, up, that ignores router advertisements, unless there is a
/// link of that name.
pub async fn create(netlink: &Handle, name: &str, mtu: Option<u32>) -> Result<(), Cause> {
    let mut bridge = LinkBridge::new(name).link_group(link::GROUP);
    if let Some(mtu) = mtu {
        bridge = bridge.mtu(mtu);
    }
    let created = netlink.link().add(bridge.build()).execute().await;
    match created.map_err(Cause::from) {
        Ok(()) => sysctl::refuse_advertisements(name),
        Err(cause) if cause.is(Errno::EXIST) => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// Whether netfilter also sees the packets that bridges forward: the module
/// br_netfilter is loaded, as by Docker, and its sysctls
/// `net.bridge.bridge-nf-call-*` are not 0 (Documentation/networking/bridge.rst
/// of the kernel).
#[must_use]
pub fn netfilter_sees_bridges() -> bool {
    sees_bridges("iptables") || netfilter_sees_bridges_ipv6()
}

/// Like [`netfilter_sees_bridges`], for IPv6 only.
pub fn netfilter_sees_bridges_ipv6() -> bool {
    sees_bridges("ip6tables")
}

fn sees_bridges(tables: &str) -> bool {
    let value = sysctl::read(&format!("net/bridge/bridge-nf-call-{tables}"));
    value.is_some_and(|value| value != "0")
}

/// Lets a bridge send frames back through the port that they came from.
pub async fn set_hairpin(netlink: &Handle, port: u32) -> Result<(), Cause> {
    let message = LinkBridgePort::new(port).hairpin(true).build();
    Ok(netlink.link().set_port(message).execute().await?)
}

/// The names of the bridges that have no ports but those of containers: what is
/// said there of routers, a container said.
pub fn of_containers_alone() -> Result<Vec<String>, Error> {
    netlink::block_on(async {
        let netlink = netlink::connect()?;
        let bridges = link::list_kind(&netlink, InfoKind::Bridge).await;
        let mut names = Vec::new();
        for bridge in bridges.map_err(Error::list("bridges"))? {
            let ports = link::list_ports(&netlink, bridge.header.index).await;
            let ports = ports.map_err(Error::list("ports of bridges"))?;
            if ports.iter().all(link::is_ours) {
                names.extend(link::name_of(&bridge).map(str::to_owned));
            }
        }
        Ok(names)
    })
}

/// The lock under which containers join and leave zones. Between finding that a
/// bridge has no port and its removal, no port may be added, and the kernel
/// cannot do both at once.
///
/// The file is beside the containers' directories, and no container can have its
/// name.
pub fn lock_file(run_directory: &Path) -> PathBuf {
    run_directory.join("zones.lock")
}

/// The bridges of all zones, without those of systemd-nspawn.
pub async fn zones(netlink: &Handle) -> Result<Vec<LinkMessage>, Cause> {
    let mut bridges = link::list_kind(netlink, InfoKind::Bridge).await?;
    bridges.retain(|bridge| {
        let name = link::name_of(bridge).unwrap_or_default();
        link::is_ours(bridge) && name.starts_with(ZONE_PREFIX)
    });
    Ok(bridges)
}
