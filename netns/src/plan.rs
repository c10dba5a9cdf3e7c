//! From a [`Spec`] to the [`Step`]s that make it true. Pure.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{HostLink, Side, Spec, Step, Veth};

/// The container's end of its veth pair, as NixOS in the container expects it.
const PEER: &str = "eth0";

/// The steps that give a fresh network namespace the network of `spec`, in the
/// order in which the kernel takes them.
#[must_use]
pub fn plan(spec: &Spec) -> Vec<Step> {
    let mut steps = vec![set_up(Side::Container, "lo")];
    if let Some(veth) = &spec.veth {
        steps.extend(veth_steps(&HostLink::veth(&spec.container), veth));
    }
    steps
}

fn veth_steps(host_link: &HostLink, veth: &Veth) -> Vec<Step> {
    let host = host_link.interface();
    let mut steps = vec![Step::CreateVeth {
        host: host.to_owned(),
        peer: PEER.to_owned(),
    }];
    if let Some(altname) = host_link.altname() {
        steps.push(Step::AddAltname {
            link: host.to_owned(),
            altname: altname.to_owned(),
        });
    }
    // Before the addresses: a route needs a link that is up.
    steps.push(set_up(Side::Container, PEER));
    steps.extend(address_steps(
        host,
        veth.host_address.map(IpNet::V4),
        veth.local_address.map(IpNet::V4),
    ));
    steps.extend(address_steps(
        host,
        veth.host_address6.map(IpNet::V6),
        veth.local_address6.map(IpNet::V6),
    ));
    steps
}

/// Addresses and routes of both ends, in one address family. They are those of
/// NixOS' containers: each end has a route to the other's address, and the
/// container's default route leads to the host's.
fn address_steps(host_link: &str, host: Option<IpNet>, local: Option<IpNet>) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.extend(host.map(|address| add_address(Side::Host, host_link, address)));
    steps.extend(local.map(|address| add_address(Side::Container, PEER, address)));
    if let Some(local) = local.filter(|local| !is_on_link(host, *local)) {
        steps.push(add_route(Side::Host, host_link, single(local.addr()), None));
    }
    if let Some(host) = host {
        if !is_on_link(local, host) {
            steps.push(add_route(Side::Container, PEER, single(host.addr()), None));
        }
        let everywhere = default_destination(host.addr());
        steps.push(add_route(
            Side::Container,
            PEER,
            everywhere,
            Some(host.addr()),
        ));
    }
    steps
}

/// Whether the kernel, for a link with the address `own`, adds by itself a
/// route that covers `other` (`proto kernel` in ip-route(8)). It does so for
/// the prefix of the address if that is more than the address alone.
fn is_on_link(own: Option<IpNet>, other: IpNet) -> bool {
    own.is_some_and(|own| own.contains(&other.addr()))
}

fn set_up(side: Side, link: &str) -> Step {
    Step::SetUp {
        side,
        link: link.to_owned(),
    }
}

fn add_address(side: Side, link: &str, address: IpNet) -> Step {
    Step::AddAddress {
        side,
        link: link.to_owned(),
        address,
    }
}

fn add_route(side: Side, link: &str, destination: IpNet, gateway: Option<IpAddr>) -> Step {
    Step::AddRoute {
        side,
        link: link.to_owned(),
        destination,
        gateway,
    }
}

/// The network of one address alone.
fn single(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// All addresses of the family of `address`.
fn default_destination(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(_) => Ipv4Net::default().into(),
        IpAddr::V6(_) => Ipv6Net::default().into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::ContainerName;

    use super::*;

    fn lines(container: &str, veth: Option<Veth>) -> Vec<String> {
        let container = ContainerName::new(container).unwrap();
        plan(&Spec { container, veth })
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn v4(host: Option<&str>, local: Option<&str>) -> Option<Veth> {
        Some(Veth {
            host_address: host.map(|address| address.parse().unwrap()),
            local_address: local.map(|address| address.parse().unwrap()),
            ..Veth::default()
        })
    }

    #[test]
    fn without_veth_there_is_loopback_only() {
        assert_eq!(lines("web", None), ["set lo up inside the container"]);
    }

    #[test]
    fn both_families() {
        let veth = Veth {
            host_address6: Some("fd00::1/128".parse().unwrap()),
            local_address6: Some("fd00::2/128".parse().unwrap()),
            ..v4(Some("10.233.1.1/32"), Some("10.233.1.2/32")).unwrap()
        };
        assert_eq!(
            lines("web", Some(veth)),
            [
                "set lo up inside the container",
                "create veth ve-web, up, with peer eth0 inside the container",
                "set eth0 up inside the container",
                "add address 10.233.1.1/32 to ve-web",
                "add address 10.233.1.2/32 to eth0 inside the container",
                "add route to 10.233.1.2/32 through ve-web",
                "add route to 10.233.1.1/32 through eth0 inside the container",
                "add default route via 10.233.1.1 through eth0 inside the container",
                "add address fd00::1/128 to ve-web",
                "add address fd00::2/128 to eth0 inside the container",
                "add route to fd00::2/128 through ve-web",
                "add route to fd00::1/128 through eth0 inside the container",
                "add default route via fd00::1 through eth0 inside the container",
            ]
        );
    }

    #[test]
    fn a_long_name_becomes_an_altname() {
        let lines = lines("a-rather-long-name", v4(None, None));
        assert!(
            lines[2].starts_with("add alternative name ve-a-rather-long-name to ve-a-ra~"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_host_address_alone() {
        assert_eq!(
            lines("web", v4(Some("10.233.1.1/32"), None))[3..],
            [
                "add address 10.233.1.1/32 to ve-web",
                "add route to 10.233.1.1/32 through eth0 inside the container",
                "add default route via 10.233.1.1 through eth0 inside the container",
            ]
        );
    }

    #[test]
    fn a_local_address_alone() {
        assert_eq!(
            lines("web", v4(None, Some("10.0.0.2/24")))[3..],
            [
                "add address 10.0.0.2/24 to eth0 inside the container",
                "add route to 10.0.0.2/32 through ve-web",
            ]
        );
    }

    #[test]
    fn no_route_to_what_a_prefix_covers() {
        assert_eq!(
            lines("web", v4(Some("10.0.0.1/24"), Some("10.0.0.2/24")))[3..],
            [
                "add address 10.0.0.1/24 to ve-web",
                "add address 10.0.0.2/24 to eth0 inside the container",
                "add default route via 10.0.0.1 through eth0 inside the container",
            ]
        );
        assert_eq!(
            lines("web", v4(Some("10.0.0.1/32"), Some("10.0.0.2/24")))[5..],
            [
                "add route to 10.0.0.2/32 through ve-web",
                "add default route via 10.0.0.1 through eth0 inside the container",
            ]
        );
    }

    #[test]
    fn a_step_is_json_that_names_itself() {
        assert_eq!(
            serde_json::to_string(&set_up(Side::Container, "lo")).unwrap(),
            r#"{"step":"set_up","side":"container","link":"lo"}"#
        );
    }
}
