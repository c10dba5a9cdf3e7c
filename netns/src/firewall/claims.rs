//! Who has which port of the host.

use std::net::SocketAddr;

use super::{Error, Protocol, Spec, Step, apply, plan, table::Claim};
use crate::ContainerName;

const LOOK: &str = "look for the forwarded ports of other containers";

/// Fails if another container has one of the ports that `spec` asks for.
///
/// [`apply`](super::apply()) checks the same, when a container has already been
/// made; this is for saying so before.
///
/// # Errors
///
/// [`Error::Taken`] with the other container's name: it may be one that was
/// killed and whose rules nobody has removed. [`Error::Twice`] if one port
/// leads to two. [`Error::Netlink`] if the kernel cannot be asked.
pub fn conflict(spec: &Spec) -> Result<(), Error> {
    if spec.forwards.is_empty() {
        return Ok(());
    }
    let netfilter = apply::open(LOOK)?;
    let chains = apply::chains(&netfilter, LOOK)?;
    let claims = apply::claims(&netfilter, &chains, LOOK)?;
    check(&spec.container, &plan(spec), &claims)
}

/// Fails if one of the `claims` is another container's and to a port that the
/// plan asks for.
pub fn check(container: &ContainerName, plan: &[Step], claims: &[Claim]) -> Result<(), Error> {
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
    let taken = claims
        .iter()
        .filter(|claim| claim.container != container.as_str())
        .find(|claim| {
            let theirs = (claim.protocol, claim.listen);
            wanted.iter().any(|ours| overlap(ours, &theirs))
        });
    match taken {
        None => Ok(()),
        Some(claim) => Err(Error::Taken {
            protocol: claim.protocol,
            port: claim.listen.port(),
            owner: claim.container.clone(),
        }),
    }
}

/// Whether a packet could arrive for both.
fn overlap(one: &(Protocol, SocketAddr), other: &(Protocol, SocketAddr)) -> bool {
    let (a, b) = (one.1.ip(), other.1.ip());
    one.0 == other.0
        && one.1.port() == other.1.port()
        && a.is_ipv4() == b.is_ipv4()
        && (a == b || a.is_unspecified() || b.is_unspecified())
}
