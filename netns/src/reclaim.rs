//! What a container has left on the host, found by its name alone.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use netlink_packet_route::link::{InfoKind, LinkMessage};
use rtnetlink::Handle;

use crate::link::interface::Way;
use crate::link::record::{self, Files};
use crate::link::{self, bridge, netlink, pin};
use crate::lock::Lock;
use crate::{Cause, ContainerName, Error, HostLink, files, name};

/// Takes back, after the container's last process has ended, what its network
/// namespace does not take along by itself: gives back the interfaces that had
/// moved in, and removes the bridges of zones whose last container it was.
/// `run_directory` is that of its [`Spec`](crate::Spec). A second time it finds
/// nothing to do.
///
/// All other links end with the namespace, some milliseconds later, and nobody
/// has to wait for it.
///
/// Returns what could not be restored of interfaces that are back: to be told
/// to the user, who has to mend it.
///
/// # Errors
///
/// [`Error::GiveBack`] if an interface stays in the container's namespace, which
/// is then kept for the next try; [`Error::File`], [`Error::Link`],
/// [`Error::List`] and [`Error::Prepare`] if files or the kernel refuse.
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

/// Removes, before a start, all that an earlier life of the container may have
/// left, whichever way it ended: what [`release`] takes back, and its links.
///
/// A link that bears the name of one of the container's, but was not made by
/// this crate, or bears the alternative name of another container, is not
/// touched.
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

/// Gives back the interfaces that the record names, then forgets it.
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
            let way = Way {
                host: netlink::connect()?,
                host_netns: host_netns.as_fd(),
                container: pinned
                    .as_ref()
                    .map(|netns: &File| netlink::connect_in(netns.as_fd()))
                    .transpose()?,
            };
            for was in &interfaces {
                unrestored.extend(way.give_back(was).await?);
            }
            Ok(())
        })?;
        // Before the namespace ends: what is recorded is always either in a
        // namespace that is kept, or back.
        files::remove(&record).map_err(|error| file_error("remove", &record, error.into()))?;
    }
    pin::unpin(&namespace).map_err(|cause| file_error("unmount", &namespace, cause))?;
    Ok(unrestored)
}

/// Takes the container's ports out of the bridges of zones, and removes the
/// bridges that nobody else has a port in. Under the lock.
async fn leave_zones(netlink: &Handle, container: &ContainerName) -> Result<(), Error> {
    let own = links(netlink, container).await?;
    let zones = bridge::zones(netlink).await;
    for zone in zones.map_err(|cause| list_error("bridges", cause))? {
        let ports = link::list_ports(netlink, zone.header.index).await;
        let ports = ports.map_err(|cause| list_error("ports of bridges", cause))?;
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
    // They are numbered without a gap, in the order in which they are made.
    for number in 0.. {
        let mark = name::extra_veth_mark(container, number);
        match find(netlink, &mark).await? {
            Some(link) => links.push(link),
            None => break,
        }
    }
    links.retain(|link| link::is_ours(link) && link::kind_of(link) == Some(&InfoKind::Veth));
    // The last first, so that there is no gap if this is interrupted.
    links.reverse();
    Ok(links)
}

/// Whether `link`, which the kernel has under the name of `name`, is that link.
fn is_named(link: &LinkMessage, name: &HostLink) -> bool {
    // The kernel also finds a link by its alternative names.
    if link::name_of(link) != Some(name.interface()) {
        return false;
    }
    let Some(expected) = name.altname() else {
        return true;
    };
    // A link without any is one whose maker was killed before it could add it.
    let altnames = link::altnames_of(link);
    altnames.is_empty() || altnames.contains(&expected)
}

async fn find(netlink: &Handle, name: &str) -> Result<Option<LinkMessage>, Error> {
    let found = link::find(netlink, name).await;
    found.map_err(|cause| Error::Link {
        operation: "look for",
        link: name.to_owned(),
        cause,
    })
}

async fn remove(netlink: &Handle, link: &LinkMessage) -> Result<(), Error> {
    let removed = link::remove(netlink, link.header.index).await;
    removed
        .map(|_| ())
        .map_err(|cause| link_error("remove", link, cause))
}

fn link_error(operation: &'static str, link: &LinkMessage, cause: Cause) -> Error {
    Error::Link {
        operation,
        link: link::name_of(link).unwrap_or_default().to_owned(),
        cause,
    }
}

fn list_error(objects: &'static str, cause: Cause) -> Error {
    Error::List { objects, cause }
}

fn file_error(operation: &'static str, path: &Path, cause: Cause) -> Error {
    Error::File {
        operation,
        path: PathBuf::from(path),
        cause,
    }
}
