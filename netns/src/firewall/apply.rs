//! Performs the steps of a plan, and undoes them.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use super::{
    Error, Family, Step, claims, loopback6,
    nfnetlink::Netfilter,
    nft,
    rules::{self, Place},
    sysctl::{self, Record, SysctlChange},
    table,
};
use crate::{ContainerName, HostLink};

const ADD: &str = "set up forwarded ports and NAT";
const REMOVE: &str = "remove forwarded ports and NAT";

/// Performs `plan` on the host, in place of what the container had, and says
/// which sysctls of the host it set.
///
/// The links that the plan names have to be there. `directory` is where a
/// record is kept of what [`remove`] has to put back; it is made if need be,
/// and has to be one and the same for all containers of a host, and empty after
/// its boot (such as one below `/run`).
///
/// # Errors
///
/// [`Error::Taken`] and [`Error::Twice`], and any other of [`Error`] but these.
/// The rules are there as a whole or not at all; when it is not they that
/// failed, some of the other steps may have been done, which [`remove`] undoes.
pub fn apply(
    container: &ContainerName,
    plan: &[Step],
    directory: &Path,
) -> Result<Vec<SysctlChange>, Error> {
    if plan.is_empty() {
        remove(container, directory)?;
        return Ok(Vec::new());
    }
    let _lock = lock(directory)?;
    let netfilter = open(ADD)?;
    claims::check(container, plan, &netfilter)?;
    let existing = own(container, &chains(&netfilter, ADD)?);
    nft::transact(&rules::replace(container, &existing, plan), ADD)?;
    let changes = set_sysctls(container, plan, directory)?;
    for step in plan {
        if let Step::RouteLoopback {
            family: Family::V6,
            link,
        } = step
        {
            loopback6::add_route(link)?;
        }
    }
    Ok(changes)
}

/// Removes all forwarded ports and NAT of a container, and with those of the
/// last one our table, and puts back what was set for all. `false` if there was
/// nothing.
///
/// It takes some microseconds where there is nothing. Twice is as good as once,
/// and it does not matter which process set it all up.
///
/// # Errors
///
/// Any of [`Error`] but [`Error::Taken`] and [`Error::Twice`].
pub fn remove(container: &ContainerName, directory: &Path) -> Result<bool, Error> {
    let netfilter = open(REMOVE)?;
    let found = chains(&netfilter, REMOVE)?;
    let is_last = || found.iter().all(|chain| is_own(container, chain));
    if own(container, &found).is_empty() && !(is_last() && Record::exists(directory)) {
        return Ok(false);
    }
    let _lock = lock(directory)?;
    // Others may have come or gone before the lock was had.
    let found = chains(&netfilter, REMOVE)?;
    let own = own(container, &found);
    let others_remain = found.len() > own.len();
    if others_remain {
        nft::transact(&rules::remove_chains(&own), REMOVE)?;
    } else if !own.is_empty() {
        nft::transact(&rules::remove_table(), REMOVE)?;
    }
    if own.contains(&rules::chain_name(Place::Ports, container.as_str())) {
        close_loopback(HostLink::veth(container).interface())?;
    }
    if !others_remain {
        put_back(directory)?;
    }
    Ok(true)
}

/// Sets what the plan needs of the host, and records what is not the
/// container's own.
fn set_sysctls(
    container: &ContainerName,
    plan: &[Step],
    directory: &Path,
) -> Result<Vec<SysctlChange>, Error> {
    let own_link = HostLink::veth(container);
    let mut shared = Vec::new();
    let mut own = Vec::new();
    let mut routes = Vec::new();
    for step in plan {
        match step {
            Step::EnableForwarding { family } => shared.extend(sysctl::for_forwarding(*family)),
            Step::RouteLoopback { family, link } => {
                let is_own = link == own_link.interface();
                match family {
                    Family::V4 if is_own => own.extend(sysctl::for_loopback(link)),
                    Family::V4 => shared.extend(sysctl::for_loopback(link)),
                    Family::V6 if is_own => {}
                    Family::V6 => routes.push(link.clone()),
                }
            }
            _ => {}
        }
    }
    if !shared.is_empty() || !routes.is_empty() {
        let mut record = Record::read(directory)?;
        record.add(&shared, routes);
        record.write(directory)?;
    }
    for change in own.iter().chain(&shared) {
        sysctl::set(change)?;
    }
    Ok(shared)
}

/// A link of our own goes with its container, but not always at once.
fn close_loopback(link: &str) -> Result<(), Error> {
    if sysctl::close_loopback(link)? {
        loopback6::remove_route(link)?;
    }
    Ok(())
}

fn put_back(directory: &Path) -> Result<(), Error> {
    let record = Record::read(directory)?;
    record.put_back()?;
    for link in &record.loopback_routes {
        loopback6::remove_route(link)?;
    }
    Record::remove(directory)
}

fn own(container: &ContainerName, chains: &[String]) -> Vec<String> {
    chains
        .iter()
        .filter(|chain| is_own(container, chain))
        .cloned()
        .collect()
}

fn is_own(container: &ContainerName, chain: &str) -> bool {
    rules::owner(chain).is_some_and(|(_, owner)| owner == container.as_str())
}

pub fn open(operation: &'static str) -> Result<Netfilter, Error> {
    Netfilter::open().map_err(|source| Error::Netlink { operation, source })
}

fn chains(netfilter: &Netfilter, operation: &'static str) -> Result<Vec<String>, Error> {
    table::chains(netfilter).map_err(|source| Error::Netlink { operation, source })
}

/// One start or stop at a time may look at what there is and change it. The
/// lock goes with the file's last descriptor.
fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let take = || -> io::Result<File> {
        fs::create_dir_all(directory)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    };
    take().map_err(|source| Error::File {
        operation: "lock",
        path: path.clone(),
        source,
    })
}
