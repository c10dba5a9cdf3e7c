//! Performs the steps of a plan, and undoes them.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    Error, Family, Step, claims, conntrack,
    lock::{self, Lock},
    loopback6,
    nfnetlink::Netfilter,
    nft::Transaction,
    rules::{self, Place},
    sysctl::{self, Record, SysctlChange},
    table::{self, Claim},
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
/// [`Error::Taken`] and [`Error::Twice`], and any other of [`Error`].
/// The rules are there as a whole or not at all; when it is not they that
/// failed, some of the other steps may have been done, which [`remove`] undoes.
pub fn apply(
    container: &ContainerName,
    plan: &[Step],
    directory: &Path,
) -> Result<Vec<SysctlChange>, Error> {
    begin(container, plan, directory)?.finish()
}

/// Begins to do what [`apply`] does, and returns while nft does its part, which
/// takes milliseconds.
///
/// Until [`Pending::finish`], or until the pending plan is dropped, others wait
/// that begin or remove, so [`remove`] on the same thread would never return;
/// and nobody may wait(2) for whatever child comes.
///
/// # Errors
///
/// As for [`apply`].
pub fn begin(container: &ContainerName, plan: &[Step], directory: &Path) -> Result<Pending, Error> {
    if plan.is_empty() {
        remove(container, directory)?;
        return Ok(Pending(None));
    }
    let lock = Lock::take(directory, container)?;
    let netfilter = open(ADD)?;
    let chains = chains(&netfilter, ADD)?;
    let claims = claims(&netfilter, &chains, ADD)?;
    claims::check(container, plan, &claims)?;
    let commands = rules::replace(container, &own(container, &chains), plan);
    let transaction = Transaction::begin(&commands, &lock, ADD)?;
    Ok(Pending(Some(Begun {
        container: container.clone(),
        plan: plan.to_vec(),
        directory: directory.to_owned(),
        transaction,
        replaced: addresses(container, &claims),
        netfilter,
        _lock: lock,
    })))
}

/// A plan that is being performed.
pub struct Pending(Option<Begun>);

struct Begun {
    container: ContainerName,
    plan: Vec<Step>,
    directory: PathBuf,
    transaction: Transaction,
    /// The container's addresses so far.
    replaced: Vec<IpAddr>,
    netfilter: Netfilter,
    _lock: Lock,
}

impl Pending {
    /// Waits for nft and does the rest.
    ///
    /// # Errors
    ///
    /// As for [`apply`].
    pub fn finish(self) -> Result<Vec<SysctlChange>, Error> {
        let Some(begun) = self.0 else {
            return Ok(Vec::new());
        };
        begun.transaction.finish()?;
        let changes = set_sysctls(&begun.container, &begun.plan, &begun.directory)?;
        add_loopback_routes(&begun.plan)?;
        forget_outdated(&begun.netfilter, &begun.plan, &begun.replaced)?;
        Ok(changes)
    }
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
    lock::wait_for(directory, container)?;
    let netfilter = open(REMOVE)?;
    let found = chains(&netfilter, REMOVE)?;
    let is_last = || found.iter().all(|chain| is_own(container, chain));
    if own(container, &found).is_empty() && !(is_last() && Record::exists(directory)) {
        return Ok(false);
    }
    let lock = Lock::take(directory, container)?;
    // Others may have come or gone before the lock was had.
    let found = chains(&netfilter, REMOVE)?;
    let own = own(container, &found);
    let addresses = addresses(container, &claims(&netfilter, &own, REMOVE)?);
    let others_remain = found.len() > own.len();
    if others_remain {
        Transaction::begin(&rules::remove_chains(&own), &lock, REMOVE)?.finish()?;
    } else if !own.is_empty() {
        Transaction::begin(&rules::remove_table(), &lock, REMOVE)?.finish()?;
    }
    forget_outdated(&netfilter, &[], &addresses)?;
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

fn add_loopback_routes(plan: &[Step]) -> Result<(), Error> {
    for step in plan {
        if let Step::RouteLoopback {
            family: Family::V6,
            link,
        } = step
        {
            loopback6::add_route(link)?;
        }
    }
    Ok(())
}

/// Lets the connections go on rightly that began before the rules of `plan`,
/// when the container had the addresses `replaced`, or none.
fn forget_outdated(netfilter: &Netfilter, plan: &[Step], replaced: &[IpAddr]) -> Result<(), Error> {
    let forget = || {
        for address in replaced {
            conntrack::forget_answers_of(netfilter, *address)?;
        }
        for step in plan {
            if let Step::Forward {
                protocol, listen, ..
            } = step
            {
                conntrack::forget_untranslated(netfilter, *protocol, *listen)?;
            }
        }
        Ok(())
    };
    forget().map_err(|source| Error::Netlink {
        operation: "forget outdated connections",
        source,
    })
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

/// The addresses to which the container's forwards lead.
fn addresses(container: &ContainerName, claims: &[Claim]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = claims
        .iter()
        .filter(|claim| claim.container == container.as_str())
        .map(|claim| claim.to.ip())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
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

pub fn chains(netfilter: &Netfilter, operation: &'static str) -> Result<Vec<String>, Error> {
    table::chains(netfilter).map_err(|source| Error::Netlink { operation, source })
}

pub fn claims(
    netfilter: &Netfilter,
    chains: &[String],
    operation: &'static str,
) -> Result<Vec<Claim>, Error> {
    table::claims(netfilter, chains).map_err(|source| Error::Netlink { operation, source })
}
