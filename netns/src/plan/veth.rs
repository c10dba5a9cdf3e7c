//! The steps that make veth pairs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{add_altname, derived_address, set_up};
use crate::spoof_check::{Senders, Sources};
use crate::{ExtraVeth, HostLink, Side, Spec, SpoofCheck, Step, Veth, link, name};

/// The container's end of its veth pair, as NixOS in the container expects it.
const PEER: &str = "eth0";

pub(super) fn main_veth_steps(spec: &Spec, veth: &Veth) -> Vec<Step> {
    let host = match veth.bridge {
        Some(_) => HostLink::bridge_port(&spec.container),
        None => HostLink::veth(&spec.container),
    };
    let mut steps = veth_steps(spec, &host, PEER, veth);
    let routers = [
        veth.host_address.map(|router| IpAddr::V4(router.addr())),
        veth.host_address6.map(|router| IpAddr::V6(router.addr())),
    ];
    steps.extend(routers.into_iter().flatten().map(|router| {
        // All addresses of its family.
        let everywhere = IpNet::new_assert(router, 0).trunc();
        add_route(Side::Container, PEER, everywhere, Some(router))
    }));
    steps
}

pub(super) fn extra_veth_steps(spec: &Spec, number: usize, extra: &ExtraVeth) -> Vec<Step> {
    let host = match &extra.host_name {
        Some(name) => HostLink::from(name.clone()),
        None => HostLink::extra_veth(&spec.container, &extra.name),
    };
    let mut steps = veth_steps(spec, &host, extra.name.as_str(), &extra.veth);
    // Directly after the link: a kill in between leaves a link without owner.
    let mark = name::extra_veth_mark(&spec.container, number);
    steps.insert(1, add_altname(Side::Host, host.interface(), &mark));
    steps
}

/// A pair, and the addresses and routes by which its ends reach each other.
fn veth_steps(spec: &Spec, host_link: &HostLink, peer: &str, veth: &Veth) -> Vec<Step> {
    let host = host_link.interface();
    let bridge = veth.bridge.as_ref();
    let mut steps = vec![Step::CreateVeth {
        host: host.to_owned(),
        peer: peer.to_owned(),
        mac_address: veth.mac_address.or_else(|| derived_address(spec, peer)),
        mtu: veth.mtu.filter(|_| bridge.is_none()),
        group: link::group_of(host_link),
        bridge: bridge.map(|bridge| bridge.interface().to_string()),
    }];
    let altname = host_link.altname();
    steps.extend(altname.map(|altname| add_altname(Side::Host, host, altname)));
    // A container must not become the host's router. The port of a bridge needs
    // no such setting, since its packets arrive at the bridge.
    match bridge {
        None => steps.push(Step::RefuseAdvertisements {
            link: host.to_owned(),
        }),
        Some(_) if veth.hairpin => steps.push(Step::SetHairpin {
            link: host.to_owned(),
        }),
        Some(_) => {}
    }
    // The container's end is down until then.
    steps.extend(check_steps(spec, host, peer, veth));
    // Before the addresses: a route needs a link that is up, and the host's end
    // has a carrier only if the container's end is up, too.
    steps.push(set_up(Side::Container, peer));
    let host = bridge.is_none().then_some(host);
    steps.extend(address_steps(
        host,
        veth.host_address.map(IpNet::V4),
        peer,
        veth.local_address.map(IpNet::V4),
    ));
    steps.extend(address_steps(
        host,
        veth.host_address6.map(IpNet::V6),
        peer,
        veth.local_address6.map(IpNet::V6),
    ));
    steps
}

/// What is dropped of the packets that the container sends through a pair.
fn check_steps(spec: &Spec, host: &str, peer: &str, veth: &Veth) -> Vec<Step> {
    let link = host.to_owned();
    match spec.spoof_check {
        SpoofCheck::Nothing => return Vec::new(),
        SpoofCheck::Loopback => return vec![Step::CloseLoopback { link }],
        SpoofCheck::All => {}
    }
    let mut steps = vec![Step::CheckSources {
        link: link.clone(),
        peer: peer.to_owned(),
        mac_address: veth.mac_address.or_else(|| derived_address(spec, peer)),
        sources: sources(veth),
    }];
    if let Some(bridge) = &veth.bridge {
        let addresses = [
            veth.local_address.map(|local| IpAddr::V4(local.addr())),
            veth.local_address6.map(|local| IpAddr::V6(local.addr())),
        ];
        let addresses: Vec<_> = addresses.into_iter().flatten().collect();
        if !addresses.is_empty() {
            let link = link.clone();
            steps.push(Step::RecordAddresses { link, addresses });
        }
        steps.push(Step::ReserveAddresses {
            link,
            bridge: bridge.interface().to_string(),
        });
    }
    steps
}

/// The addresses that a container may send from. Those that it was given are all
/// that it has, except for IPv6 in a bridge: there, it can get more from a router.
/// Without any, it gets them from the host or from its bridge's network.
fn sources(veth: &Veth) -> Sources {
    let own4: Vec<Ipv4Addr> = veth.local_address.iter().map(|own| own.addr()).collect();
    let own6: Vec<Ipv6Addr> = veth.local_address6.iter().map(|own| own.addr()).collect();
    let in_bridge = veth.bridge.is_some();
    let gets_some = own4.is_empty() && own6.is_empty();
    let ipv4 = if gets_some || in_bridge && own4.is_empty() {
        Senders::AllBut {
            others: veth.host_address.iter().map(|host| host.addr()).collect(),
            own: own4,
        }
    } else {
        Senders::Only(own4)
    };
    let ipv6 = if gets_some || in_bridge {
        Senders::AllBut {
            others: veth.host_address6.iter().map(|host| host.addr()).collect(),
            own: own6,
        }
    } else {
        Senders::Only(own6)
    };
    Sources { ipv4, ipv6 }
}

/// Addresses and routes of both ends, in one address family, as NixOS gives them
/// to its containers: each end has a route to the other's address. Without
/// `host_link`, the host's end is a port of a bridge and has neither.
fn address_steps(
    host_link: Option<&str>,
    host: Option<IpNet>,
    peer: &str,
    local: Option<IpNet>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    if let (Some(link), Some(address)) = (host_link, host) {
        steps.push(add_address(Side::Host, link, address));
    }
    steps.extend(local.map(|address| add_address(Side::Container, peer, address)));
    if let (Some(link), Some(local)) = (host_link, local)
        && !is_on_link(host, local)
    {
        steps.push(add_route(Side::Host, link, local.addr().into(), None));
    }
    if let Some(host) = host
        && !is_on_link(local, host)
    {
        steps.push(add_route(Side::Container, peer, host.addr().into(), None));
    }
    steps
}

/// Whether the kernel itself adds a route that covers `other` to a link with the
/// address `own` (`proto kernel` in ip-route(8)). It adds one for the prefix of
/// the address, unless that is the address alone.
fn is_on_link(own: Option<IpNet>, other: IpNet) -> bool {
    own.is_some_and(|own| own.contains(&other.addr()))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::tests::{lines, name, spec, words};
    use crate::{Bridge, InterfaceName};

    fn v4(host: Option<&str>, local: Option<&str>) -> Option<Veth> {
        Some(Veth {
            host_address: host.map(|address| address.parse().unwrap()),
            local_address: local.map(|address| address.parse().unwrap()),
            ..Veth::default()
        })
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
                "ignore router advertisements from ve-web",
                "set eth0 up inside the container",
                "add address 10.233.1.1/32 to ve-web",
                "add address 10.233.1.2/32 to eth0 inside the container",
                "add route to 10.233.1.2/32 through ve-web",
                "add route to 10.233.1.1/32 through eth0 inside the container",
                "add address fd00::1/128 to ve-web",
                "add address fd00::2/128 to eth0 inside the container",
                "add route to fd00::2/128 through ve-web",
                "add route to fd00::1/128 through eth0 inside the container",
                "add default route via 10.233.1.1 through eth0 inside the container",
                "add default route via fd00::1 through eth0 inside the container",
            ]
        );
    }

    #[test]
    fn a_long_name_becomes_an_altname() {
        let lines = lines("a-rather-long-name", v4(None, None));
        assert!(
            lines[2].starts_with("add alternative name ve-a-rather-long-name to ve-a-ratherOg1k"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_host_address_alone() {
        assert_eq!(
            lines("web", v4(Some("10.233.1.1/32"), None))[4..],
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
            lines("web", v4(None, Some("10.0.0.2/24")))[4..],
            [
                "add address 10.0.0.2/24 to eth0 inside the container",
                "add route to 10.0.0.2/32 through ve-web",
            ]
        );
    }

    #[test]
    fn no_route_to_what_a_prefix_covers() {
        assert_eq!(
            lines("web", v4(Some("10.0.0.1/24"), Some("10.0.0.2/24")))[4..],
            [
                "add address 10.0.0.1/24 to ve-web",
                "add address 10.0.0.2/24 to eth0 inside the container",
                "add default route via 10.0.0.1 through eth0 inside the container",
            ]
        );
        assert_eq!(
            lines("web", v4(Some("10.0.0.1/32"), Some("10.0.0.2/24")))[6..],
            [
                "add route to 10.0.0.2/32 through ve-web",
                "add default route via 10.0.0.1 through eth0 inside the container",
            ]
        );
    }

    #[test]
    fn a_pair_has_the_address_and_mtu_that_it_was_given() {
        let veth = Veth {
            mac_address: Some("02:00:00:00:00:05".parse().unwrap()),
            mtu: Some(1400),
            ..Veth::default()
        };
        assert_eq!(
            lines("web", Some(veth))[1],
            "create veth ve-web, up, MTU 1400, with peer eth0, address 02:00:00:00:00:05, \
             inside the container"
        );
    }

    #[test]
    fn in_a_bridge_the_host_has_no_address() {
        let veth = Veth {
            bridge: Some(Bridge::Existing(name("br0"))),
            ..v4(Some("10.0.0.1/24"), Some("10.0.0.2/24")).unwrap()
        };
        assert_eq!(
            lines("web", Some(veth))[1..],
            [
                "create veth vb-web, up, in bridge br0, with its MTU, with peer eth0 inside the \
                 container",
                "set eth0 up inside the container",
                "add address 10.0.0.2/24 to eth0 inside the container",
                "add default route via 10.0.0.1 through eth0 inside the container",
            ]
        );
    }

    fn checked(spoof_check: SpoofCheck, veth: Veth) -> Vec<String> {
        let spec = Spec {
            spoof_check,
            veth: Some(Veth {
                mac_address: "02:00:00:00:00:05".parse().ok(),
                ..veth
            }),
            ..spec("web")
        };
        let checks = |line: &String| !line.contains("inside the container");
        words(&spec).into_iter().filter(checks).collect()
    }

    #[test]
    fn a_container_sends_from_the_addresses_that_it_was_given() {
        let both = Veth {
            local_address6: Some("fd00::2/128".parse().unwrap()),
            ..v4(None, Some("10.233.1.2/32")).unwrap()
        };
        let ipv4 = v4(None, Some("10.233.1.2/32")).unwrap();
        for (veth, sources) in [
            (both, "10.233.1.2, fd00::2"),
            (ipv4, "10.233.1.2, no IPv6 address"),
            (Veth::default(), "any IPv4 address, any IPv6 address"),
        ] {
            let check =
                format!("drop packets from ve-web that are not from 02:00:00:00:00:05, {sources}");
            let lines = checked(SpoofCheck::All, veth);
            assert!(lines.contains(&check), "{lines:?}");
        }
        assert_eq!(
            checked(SpoofCheck::Loopback, Veth::default())[1..],
            ["drop packets from ve-web that have an address of 127.0.0.0/8"]
        );
    }

    #[test]
    fn in_a_bridge_addresses_are_reserved() {
        let bridge = Some(Bridge::Existing(name("br0")));
        let reserve = "drop packets from containers in br0 that have an address of br0 or of \
                       another container there";
        let given = Veth {
            bridge: bridge.clone(),
            ..v4(Some("10.0.0.1/24"), Some("10.0.0.2/24")).unwrap()
        };
        assert_eq!(
            checked(SpoofCheck::All, given),
            [
                "drop packets from vb-web that are not from 02:00:00:00:00:05, 10.0.0.2, any \
                 IPv6 address",
                "set the alias of vb-web to 10.0.0.2",
                reserve,
            ]
        );
        let gets_one = Veth {
            bridge,
            ..v4(Some("10.0.0.1/24"), None).unwrap()
        };
        assert_eq!(
            checked(SpoofCheck::All, gets_one),
            [
                "drop packets from vb-web that are not from 02:00:00:00:00:05, any IPv4 address \
                 but 10.0.0.1, any IPv6 address",
                reserve,
            ]
        );
    }

    #[test]
    fn only_a_port_of_a_bridge_has_a_hairpin_mode() {
        let hairpin = |bridge| {
            let veth = Veth {
                bridge,
                hairpin: true,
                ..Veth::default()
            };
            let lines = lines("web", Some(veth));
            lines.contains(&"set hairpin mode of port vb-web".to_owned())
        };
        assert!(hairpin(Some(Bridge::Existing(name("br0")))));
        assert!(!hairpin(None));
    }

    #[test]
    fn further_pairs_are_marked_and_have_no_default_route() {
        let extra = |name: &str, host_name: Option<&str>| ExtraVeth {
            name: InterfaceName::new(name).unwrap(),
            host_name: host_name.map(|name| InterfaceName::new(name).unwrap()),
            veth: v4(Some("10.1.0.1/24"), Some("10.1.0.2/24")).unwrap(),
        };
        let spec = Spec {
            extra_veths: vec![extra("lan", None), extra("dmz", Some("to-web"))],
            ..spec("web")
        };
        assert_eq!(
            words(&spec)[1..],
            [
                "create veth ve-web.lan, up, with peer lan inside the container",
                "add alternative name nixos-container:web:0 to ve-web.lan",
                "ignore router advertisements from ve-web.lan",
                "set lan up inside the container",
                "add address 10.1.0.1/24 to ve-web.lan",
                "add address 10.1.0.2/24 to lan inside the container",
                "create veth to-web, up, with peer dmz inside the container",
                "add alternative name nixos-container:web:1 to to-web",
                "ignore router advertisements from to-web",
                "set dmz up inside the container",
                "add address 10.1.0.1/24 to to-web",
                "add address 10.1.0.2/24 to dmz inside the container",
            ]
        );
    }
}
