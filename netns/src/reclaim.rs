//! Removes what a container has left on the host, found by its name alone.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use netlink_packet_route::link::{InfoKind, LinkMessage};
use rtnetlink::Handle;

use crate::link::interface::Sockets;
use crate::link::record::{self, Files};
use crate::link::{self, bridge, netlink, pin};
use crate::lock::Lock;
use crate::{Cause, ContainerName, Error, HostLink, files, name};

/// Removes, after the container's last process has ended, what does not end with
/// its network namespace: interfaces that had moved in are given back, and the
/// bridges of zones are removed if it was their last container. `run_directory`
/// is that of its [`Spec`](crate::Spec). A second call finds nothing to do.
///
/// All other links end with the namespace, some milliseconds later; no caller has
/// to wait for it.
///
/// Returns the settings that could not be restored of interfaces that are back,
/// for the user to restore.
///
/// # Errors
///
/// [`Error::GiveBack`] if an interface stays in the container's namespace, which
/// is kept for the next call; [`Error::File`], [`Error::Link`], [`Error::List`]
/// and [`Error::Prepare`] if an operation fails.
///
/// # Aborts
///
/// If the kernel does not let the thread back into its own namespace.
pub fn release(container: &ContainerName, run_directory: &Path) -> Result<Vec<Error>, Error> {
    let unrestored = give_back(container, run_directory)?;
    let lock = bridge::lock_file(run_directory);
    let locked = Lock::wait_if_exists(&lock);
    let locked = locked.map_err(|error| file_error("lock", &lock, error.into()))?;
    if let Some(_locked) = locked {
        netlink::block_on(async {
            let netlink = netlink::connect()?;
            leave_zones(&netlink, container).await
        })?;
    }
    Ok(unrestored)
}

/// Removes, before a start, what an earlier run of the container may have left,
/// however it ended: what [`release`] removes, and the links.
///
/// A link that has the name of one of the container's, but was not created by
/// this crate, or has the alternative name of another container's, is not
/// changed.
///
/// # Errors
///
/// As [`release`].
///
/// # Aborts
///
/// As [`release`].
pub fn reclaim(container: &ContainerName, run_directory: &Path) -> Result<Vec<Error>, Error> {
    let unrestored = release(container, run_directory)?;
    netlink::block_on(async {
        let netlink = netlink::connect()?;
        for link in links(&netlink, container).await? {
            remove(&netlink, &link).await?;
        }
        Ok(())
    })?;
    Ok(unrestored)
}

/// Gives back the interfaces that are recorded, then removes the record.
fn give_back(container: &ContainerName, run_directory: &Path) -> Result<Vec<Error>, Error> {
    let Files { namespace, record } = Files::new(run_directory, container);
    let interfaces = record::read(&record)
        .map_err(|cause| file_error("read", &record, cause))?
        .unwrap_or_default();
    let pinned = pin::pinned(&namespace).map_err(|cause| file_error("open", &namespace, cause))?;
    let mut unrestored = Vec::new();
    if !interfaces.is_empty() {
        let host_netns = netlink::own_namespace()?;
        netlink::block_on(async {
            let sockets = Sockets {
                host: netlink::connect()?,
                host_netns: host_netns.as_fd(),
                container: pinned
                    .as_ref()
                    .map(|netns: &File| netlink::connect_in(netns.as_fd()))
                    .transpose()?,
            };
            for was in &interfaces {
                unrestored.extend(sockets.give_back(was).await?);
            }
            Ok(())
        })?;
        // Before the namespace ends: a recorded interface is always either back or
        // in a namespace that is kept.
        files::remove(&record).map_err(|error| file_error("remove", &record, error.into()))?;
    }
    pin::unpin(&namespace).map_err(|cause| file_error("unmount", &namespace, cause))?;
    Ok(unrestored)
}

/// Removes the container's ports from the bridges of zones, and the bridges that
/// have no other port. The caller holds the lock.
async fn leave_zones(netlink: &Handle, container: &ContainerName) -> Result<(), Error> {
    let own = links(netlink, container).await?;
    let zones = bridge::zones(netlink).await;
    for zone in zones.map_err(Error::list("bridges"))? {
        let ports = link::list_ports(netlink, zone.header.index).await;
        let ports = ports.map_err(Error::list("ports of bridges"))?;
        let is_own = |port: &LinkMessage| {
            own.iter()
                .any(|link| link.header.index == port.header.index)
        };
        if ports.iter().all(is_own) {
            // Its ports go with the container's namespace.
            remove(netlink, &zone).await?;
        } else {
            for port in ports.iter().filter(|port| is_own(port)) {
                remove(netlink, port).await?;
            }
        }
    }
    Ok(())
}

/// The container's links on the host.
async fn links(netlink: &Handle, container: &ContainerName) -> Result<Vec<LinkMessage>, Error> {
    let mut links = Vec::new();
    for name in [HostLink::veth(container), HostLink::bridge_port(container)] {
        let found = find(netlink, name.interface()).await?;
        links.extend(found.filter(|link| is_named(link, &name)));
    }
    // They are numbered without a gap, in the order of their creation.
    for number in 0.. {
        let mark = name::extra_veth_mark(container, number);
        match find(netlink, &mark).await? {
            Some(link) => links.push(link),
            None => break,
        }
    }
    links.retain(|link| link::is_ours(link) && link::kind_of(link) == Some(&InfoKind::Veth));
    // The last comes first, so that an interruption leaves no gap.
    links.reverse();
    Ok(links)
}

/// Whether `link`, which the kernel found by the name of `name`, is that link.
fn is_named(link: &LinkMessage, name: &HostLink) -> bool {
    // The kernel also finds a link by its alternative names.
    if link::name_of(link) != Some(name.interface())
        || !link::is_of_group(link, link::group_of(name))
    {
        return false;
    }
    let Some(expected) = name.altname() else {
        return true;
    };
    // There is none if a start was killed before it could add it.
    let altnames = link::altnames_of(link);
    altnames.is_empty() || altnames.contains(&expected)
}

async fn find(netlink: &Handle, name: &str) -> Result<Option<LinkMessage>, Error> {
    let found = link::find(netlink, name).await;
    found.map_err(Error::link("look up", name))
}

async fn remove(netlink: &Handle, link: &LinkMessage) -> Result<(), Error> {
    let name = link::name_of(link).unwrap_or_default();
    let removed = link::remove(netlink, link.header.index).await;
    removed.map(drop).map_err(Error::link("remove", name))
}

fn file_error(operation: &'static str, path: &Path, cause: Cause) -> Error {
    Error::File {
        operation,
        path: PathBuf::from(path),
        cause,
    }
}
