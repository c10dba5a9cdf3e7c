//! Conflicts between containers: ports and addresses.

use std::net::SocketAddr;

use super::nft::element::Element;
use super::nft::nfnetlink::Netfilter;
use super::nft::table;
use super::{Error, Protocol, Spec, Step, plan};
use crate::ContainerName;

const LIST: &str = "list the forwarded ports of other containers";

/// As [`Firewall::conflict`](super::Firewall::conflict).
pub fn conflict(netfilter: &Netfilter, spec: &Spec) -> Result<(), Error> {
    let plan = plan(spec);
    if plan.is_empty() {
        return Ok(());
    }
    let existing = table::elements(netfilter, LIST)?;
    check(&spec.container, &plan, &existing.unwrap_or_default())
}

/// Fails if the plan conflicts with an existing element of another container.
pub fn check(container: &ContainerName, plan: &[Step], existing: &[Element]) -> Result<(), Error> {
    let others: Vec<_> = existing
        .iter()
        .filter(|element| !element.is_of(container))
        .collect();
    check_ports(plan, &others)?;
    check_addresses(container, plan, &others)
}

fn check_ports(plan: &[Step], others: &[&Element]) -> Result<(), Error> {
    let wanted: Vec<(Protocol, SocketAddr)> = plan
        .iter()
        .filter_map(|step| match step {
            Step::Forward {
                protocol, listen, ..
            } => Some((*protocol, *listen)),
            _ => None,
        })
        .collect();
    for (index, one) in wanted.iter().enumerate() {
        if wanted[..index].iter().any(|other| overlap(one, other)) {
            return Err(Error::Twice {
                protocol: one.0,
                port: one.1.port(),
            });
        }
    }
    let taken = others
        .iter()
        .filter_map(|element| element.claim())
        .find(|claim| {
            let theirs = (claim.protocol, claim.listen);
            wanted.iter().any(|ours| overlap(ours, &theirs))
        });
    match taken {
        None => Ok(()),
        Some(claim) => Err(Error::Taken {
            protocol: claim.protocol,
            port: claim.listen.port(),
            owner: claim.container,
        }),
    }
}

/// Fails if another container has the address: the host could not tell them
/// apart.
fn check_addresses(
    container: &ContainerName,
    plan: &[Step],
    others: &[&Element],
) -> Result<(), Error> {
    for step in plan {
        let (Step::Masquerade { to: address, .. } | Step::MasqueradeOutside { source: address }) =
            step
        else {
            continue;
        };
        let Some(ours) = Element::of(step, container) else {
            continue;
        };
        let same = others
            .iter()
            .find(|theirs| theirs.set == ours.set && theirs.key == ours.key);
        if let Some(owner) = same.and_then(|element| element.owner.clone()) {
            return Err(Error::SameAddress {
                address: *address,
                owner,
            });
        }
    }
    Ok(())
}

/// Whether one packet could be for both.
fn overlap(one: &(Protocol, SocketAddr), other: &(Protocol, SocketAddr)) -> bool {
    let (a, b) = (one.1.ip(), other.1.ip());
    one.0 == other.0
        && one.1.port() == other.1.port()
        && a.is_ipv4() == b.is_ipv4()
        && (a == b || a.is_unspecified() || b.is_unspecified())
}
