//! From a [`Spec`] to the [`Step`]s that make it true. Pure.

use std::net::{IpAddr, SocketAddr};

use super::{Family, Spec, Step};

/// The steps that give the container of `spec` its ports and its way out; none
/// if it has neither.
#[must_use]
pub fn plan(spec: &Spec) -> Vec<Step> {
    let addresses: Vec<IpAddr> = spec
        .address
        .map(IpAddr::V4)
        .into_iter()
        .chain(spec.address6.map(IpAddr::V6))
        .collect();
    let forwards: Vec<Step> = addresses
        .iter()
        .flat_map(|address| forwards_to(spec, *address))
        .collect();

    let mut steps = Vec::new();
    let loopback_families = families_where(&forwards, reachable_over_loopback);
    if !loopback_families.is_empty() {
        steps.push(Step::GuardLoopback {
            link: spec.link.clone(),
        });
    }
    let has_forwards = !forwards.is_empty();
    let forwarded_families = families_where(&forwards, |listen| !listen.is_loopback());
    steps.extend(forwards);
    steps.extend(
        loopback_families
            .iter()
            .map(|family| Step::MasqueradeLoopback {
                link: spec.link.clone(),
                family: *family,
            }),
    );
    if has_forwards {
        steps.push(Step::MasqueradeHairpin {
            link: spec.link.clone(),
        });
    }
    if spec.nat {
        steps.extend(addresses.iter().map(|source| Step::MasqueradeOutside {
            source: *source,
            link: spec.link.clone(),
        }));
    }
    for family in addresses.iter().map(|address| Family::of(*address)) {
        if spec.nat || forwarded_families.contains(&family) {
            steps.push(Step::EnableForwarding { family });
        }
    }
    steps.extend(
        loopback_families
            .into_iter()
            .map(|family| Step::RouteLoopback {
                family,
                link: spec.link.clone(),
            }),
    );
    steps
}

/// The forwards that lead to one address of the container, from those of the
/// host in the same family.
fn forwards_to(spec: &Spec, address: IpAddr) -> Vec<Step> {
    let listen = listen_addresses(&spec.bind_host, Family::of(address));
    let on = |listen: &IpAddr| {
        let listen = *listen;
        spec.forwards.iter().map(move |forward| Step::Forward {
            protocol: forward.protocol,
            listen: SocketAddr::new(listen, forward.host_port),
            to: SocketAddr::new(address, forward.container_port),
        })
    };
    listen.iter().flat_map(on).collect()
}

fn listen_addresses(bind_host: &[IpAddr], family: Family) -> Vec<IpAddr> {
    if bind_host.is_empty() {
        return vec![family.any()];
    }
    let of_family = |address: &&IpAddr| Family::of(**address) == family;
    bind_host.iter().filter(of_family).copied().collect()
}

fn reachable_over_loopback(listen: IpAddr) -> bool {
    listen.is_loopback() || listen.is_unspecified()
}

/// The families in which a forward listens on such an address.
fn families_where(forwards: &[Step], such: fn(IpAddr) -> bool) -> Vec<Family> {
    let mut families: Vec<Family> = forwards
        .iter()
        .filter_map(|step| match step {
            Step::Forward { listen, .. } if such(listen.ip()) => Some(Family::of(listen.ip())),
            _ => None,
        })
        .collect();
    families.dedup();
    families
}
