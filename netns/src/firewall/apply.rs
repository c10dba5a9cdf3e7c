//! Performs the steps of a plan, and undoes them.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::host_settings::{Record, SysctlChange};
use super::nft::element::Element;
use super::nft::nfnetlink::Netfilter;
use super::nft::transaction::{self, Change};
use super::nft::{conntrack, table};
use super::{Error, Family, Step, claims, host_settings, loopback6};
use crate::lock::Lock;
use crate::{ContainerName, HostLink};

const ADD: &str = "set up forwarded ports and NAT";
const LIST: &str = "list forwarded ports and NAT";
const REMOVE: &str = "remove forwarded ports and NAT";

/// As [`Firewall::apply`](super::Firewall::apply).
pub fn apply(
    netfilter: &Netfilter,
    container: &ContainerName,
    plan: &[Step],
    directory: &Path,
) -> Result<Vec<SysctlChange>, Error> {
    if plan.is_empty() {
        remove(netfilter, container, directory)?;
        return Ok(Vec::new());
    }
    let _lock = lock(directory)?;
    let existing = table::elements(netfilter, ADD)?;
    claims::check(container, plan, existing.as_deref().unwrap_or_default())?;
    for step in plan {
        log::debug!("{step}");
    }
    let wanted: Vec<_> = wanted(container, plan).collect();
    let changes = transaction::replace(container, existing.as_deref(), &wanted);
    transaction::perform(netfilter, &changes, ADD)?;
    let changes = set_sysctls(container, plan, directory)?;
    add_loopback_routes(plan)?;
    let replaced = addresses(&own(container, &existing.unwrap_or_default()));
    forget_outdated(netfilter, plan, &replaced)?;
    Ok(changes)
}

/// As [`Firewall::has`](super::Firewall::has).
pub fn has(netfilter: &Netfilter, container: &ContainerName, plan: &[Step]) -> Result<bool, Error> {
    let existing = table::elements(netfilter, LIST)?.unwrap_or_default();
    Ok(wanted(container, plan).all(|element| existing.contains(&element)))
}

/// As [`Firewall::remove`](super::Firewall::remove).
pub fn remove(
    netfilter: &Netfilter,
    container: &ContainerName,
    directory: &Path,
) -> Result<bool, Error> {
    // Mostly there is nothing, which is found without the lock, since that would
    // create a file.
    let found = match Found::of(container, netfilter) {
        // A process without the right to ask has never installed anything.
        Err(Error::Netlink { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied && !Record::exists(directory) =>
        {
            return Ok(false);
        }
        answer => answer?,
    };
    if !found.is_anything(directory) {
        return Ok(false);
    }
    let _lock = lock(directory)?;
    // Other containers may have come or gone before the lock was taken.
    let found = Found::of(container, netfilter)?;
    // The guard is removed last, when nothing is let in any more.
    close_loopback(HostLink::veth(container).interface())?;
    if found.is_last {
        restore(directory)?;
    }
    transaction::perform(netfilter, &found.removal(), REMOVE)?;
    forget_outdated(netfilter, &[], &addresses(&found.own))?;
    Ok(true)
}

/// Waits for the lock under which a process reads and changes the rules.
fn lock(directory: &Path) -> Result<Lock, Error> {
    let path = directory.join("firewall.lock");
    let locked = fs::create_dir_all(directory).and_then(|()| Lock::wait(&path));
    locked.map_err(|source| Error::File {
        operation: "lock",
        path,
        source,
    })
}

/// What a container has in our table.
struct Found {
    has_table: bool,
    own: Vec<Element>,
    /// Whether no other container has elements there.
    is_last: bool,
}

impl Found {
    fn of(container: &ContainerName, netfilter: &Netfilter) -> Result<Self, Error> {
        let found = table::elements(netfilter, REMOVE)?;
        let has_table = found.is_some();
        let found = found.unwrap_or_default();
        Ok(Self {
            has_table,
            own: own(container, &found),
            is_last: is_last(container, &found),
        })
    }

    /// Whether there is anything to remove or to restore.
    fn is_anything(&self, directory: &Path) -> bool {
        match self.has_table {
            true => self.is_last || !self.own.is_empty(),
            false => Record::exists(directory),
        }
    }

    fn removal(&self) -> Vec<Change> {
        match (self.is_last, self.has_table) {
            (true, true) => vec![Change::DeleteTable],
            (true, false) => Vec::new(),
            (false, _) => transaction::remove(&self.own),
        }
    }
}

/// Sets the sysctls that the plan needs, after a record of those that containers
/// share.
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
            Step::EnableForwarding { family } => {
                shared.extend(host_settings::for_forwarding(*family)?)
            }
            Step::RouteLoopback { family, link } => {
                let is_own = link == own_link.interface();
                match family {
                    Family::V4 if is_own => own.extend(host_settings::for_loopback(link)),
                    Family::V4 => shared.extend(host_settings::for_loopback(link)),
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
        host_settings::set(change)?;
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

/// Deletes connections that began before the rules of `plan` and would go on
/// without them: to the addresses `replaced` that the container had, and to the
/// host itself.
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
        operation: "delete outdated connections",
        source,
    })
}

/// Closes a link of our own, which can outlive its container a little.
fn close_loopback(link: &str) -> Result<(), Error> {
    if host_settings::close_loopback(link)? {
        loopback6::remove_route(link)?;
    }
    Ok(())
}

fn restore(directory: &Path) -> Result<(), Error> {
    let record = Record::read(directory)?;
    record.restore()?;
    for link in &record.loopback_routes {
        loopback6::remove_route(link)?;
    }
    Record::remove(directory)
}

/// The addresses to which the forwards among `elements` lead.
fn addresses(elements: &[Element]) -> Vec<IpAddr> {
    let claims = elements.iter().filter_map(Element::claim);
    let mut addresses: Vec<IpAddr> = claims.map(|claim| claim.to.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The elements of a plan.
fn wanted<'a>(
    container: &'a ContainerName,
    plan: &'a [Step],
) -> impl Iterator<Item = Element> + use<'a> {
    plan.iter()
        .filter_map(move |step| Element::of(step, container))
}

fn own(container: &ContainerName, elements: &[Element]) -> Vec<Element> {
    let own = elements.iter().filter(|element| element.is_of(container));
    own.cloned().collect()
}

/// Whether no other container has an element.
fn is_last(container: &ContainerName, elements: &[Element]) -> bool {
    let mut owned = elements.iter().filter(|element| element.owner.is_some());
    owned.all(|element| element.is_of(container))
}
