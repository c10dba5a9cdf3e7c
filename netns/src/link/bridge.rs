//! Bridges, and zones: bridges that exist while a container is in them.

use std::path::{Path, PathBuf};

use netlink_packet_route::link::{InfoKind, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort};
use rustix::io::Errno;

use crate::name::ZONE_PREFIX;
use crate::{Cause, link, sysctl};

/// Creates a bridge, up, that listens to no router, unless there is a link of
/// that name.
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

/// Whether netfilter sees what bridges pass on, too: the module br_netfilter,
/// with its sysctls `net.bridge.bridge-nf-call-*` (Documentation/networking/
/// bridge.rst of the kernel). It is so by default where the module is loaded,
/// as by Docker.
#[must_use]
pub fn netfilter_sees_bridges() -> bool {
    is_called("iptables") || netfilter_sees_bridges_ipv6()
}

/// The same, of IPv6 alone.
pub fn netfilter_sees_bridges_ipv6() -> bool {
    is_called("ip6tables")
}

fn is_called(tables: &str) -> bool {
    let value = sysctl::read(&format!("net/bridge/bridge-nf-call-{tables}"));
    value.is_some_and(|value| value != "0")
}

/// Lets a bridge send frames out of the port that they came in by.
pub async fn set_hairpin(netlink: &Handle, port: u32) -> Result<(), Cause> {
    let message = LinkBridgePort::new(port).hairpin(true).build();
    Ok(netlink.link().set_port(message).execute().await?)
}

/// The file whose lock a process holds while it puts a container into a zone
/// or takes one out. Between the look whether a bridge has a port and its
/// removal, nobody may put one there, and the kernel offers no way to do both
/// at once.
///
/// No container can have its name, so it stands beside their directories.
pub fn lock_file(run_directory: &Path) -> PathBuf {
    run_directory.join("zones.lock")
}

/// The bridges of all zones. Those of systemd-nspawn are not among them.
pub async fn zones(netlink: &Handle) -> Result<Vec<LinkMessage>, Cause> {
    let mut bridges = link::list_kind(netlink, InfoKind::Bridge).await?;
    bridges.retain(|bridge| {
        let name = link::name_of(bridge).unwrap_or_default();
        link::is_ours(bridge) && name.starts_with(ZONE_PREFIX)
    });
    Ok(bridges)
}
