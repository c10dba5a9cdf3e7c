//! From a [`Spec`] to the [`Step`]s that make it true. Pure.

use std::{iter, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    Bridge, ExtraVeth, HostInterface, HostLink, InterfaceName, MacAddress, Side, Spec, Step, Veth,
    bridge, files::Files, name,
};

/// The container's end of its veth pair, as NixOS in the container expects it.
const PEER: &str = "eth0";

/// The steps that give a fresh network namespace the network of `spec`, in the
/// order in which the kernel takes them.
#[must_use]
pub fn plan(spec: &Spec) -> Vec<Step> {
    // First what moves in: its index, by which it is found again, is then
    // still free in the container.
    let mut steps = interface_steps(spec);
    steps.push(set_up(Side::Container, "lo"));
    steps.extend(zone_steps(spec));
    if let Some(veth) = &spec.veth {
        steps.extend(main_veth_steps(spec, veth));
    }
    for (number, extra) in spec.extra_veths.iter().enumerate() {
        steps.extend(extra_veth_steps(spec, number, extra));
    }
    for wanted in &spec.macvlans {
        steps.extend(macvlan_steps(spec, wanted));
    }
    steps.extend(spec.ipvlans.iter().flat_map(ipvlan_steps));
    steps
}

/// Nothing is moved before there is what it takes to give it back.
fn interface_steps(spec: &Spec) -> Vec<Step> {
    if spec.interfaces.is_empty() {
        return Vec::new();
    }
    let files = Files::new(&spec.run_directory, &spec.container);
    let name = |moved: &HostInterface| moved.interface.to_string();
    let mut steps = vec![
        Step::PinNamespace {
            path: files.namespace,
        },
        Step::RecordInterfaces {
            interfaces: spec.interfaces.iter().map(name).collect(),
            path: files.record,
        },
    ];
    steps.extend(spec.interfaces.iter().map(|moved| Step::MoveInterface {
        interface: name(moved),
        name: moved.name.as_ref().unwrap_or(&moved.interface).to_string(),
    }));
    steps
}

/// Locks zones and makes those that are not there.
fn zone_steps(spec: &Spec) -> Vec<Step> {
    let extra = spec.extra_veths.iter().map(|extra| &extra.veth);
    let veths = spec.veth.iter().chain(extra);
    let mut steps: Vec<Step> = veths
        .filter_map(|veth| match &veth.bridge {
            Some(Bridge::Zone(zone)) => Some(Step::CreateBridge {
                bridge: zone.bridge().to_string(),
                mtu: veth.mtu,
            }),
            _ => None,
        })
        .collect();
    if !steps.is_empty() {
        let path = bridge::lock_file(&spec.run_directory);
        steps.insert(0, Step::LockZones { path });
    }
    steps
}

fn main_veth_steps(spec: &Spec, veth: &Veth) -> Vec<Step> {
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
        let everywhere = default_destination(router);
        add_route(Side::Container, PEER, everywhere, Some(router))
    }));
    steps
}

fn extra_veth_steps(spec: &Spec, number: usize, extra: &ExtraVeth) -> Vec<Step> {
    let host = match &extra.host_name {
        Some(name) => HostLink::from(name.clone()),
        None => HostLink::extra_veth(&spec.container, &extra.name),
    };
    let mut steps = veth_steps(spec, &host, extra.name.as_str(), &extra.veth);
    // Next to the link itself: killed in between, nothing says whose it is.
    let mark = name::extra_veth_mark(&spec.container, number);
    steps.insert(1, add_altname(Side::Host, host.interface(), &mark));
    steps
}

/// A pair, and how its ends reach each other.
fn veth_steps(spec: &Spec, host_link: &HostLink, peer: &str, veth: &Veth) -> Vec<Step> {
    let host = host_link.interface();
    let bridge = veth.bridge.as_ref();
    let mut steps = vec![Step::CreateVeth {
        host: host.to_owned(),
        peer: peer.to_owned(),
        mac_address: veth.mac_address.or_else(|| derived_address(spec, peer)),
        mtu: veth.mtu.filter(|_| bridge.is_none()),
        bridge: bridge.map(|bridge| bridge.interface().to_string()),
    }];
    let altname = host_link.altname();
    steps.extend(altname.map(|altname| add_altname(Side::Host, host, altname)));
    // A container is nobody's router, whatever it says. What arrives at a
    // bridge's port, the bridge takes.
    match bridge {
        None => steps.push(Step::RefuseAdvertisements {
            link: host.to_owned(),
        }),
        Some(_) if veth.hairpin => steps.push(Step::SetHairpin {
            link: host.to_owned(),
        }),
        Some(_) => {}
    }
    // Before the addresses: a route needs a link that is up, and the host's
    // end has a carrier only when the container's is up, too.
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

/// Addresses and routes of both ends, in one address family. They are those of
/// NixOS' containers: each end has a route to the other's address. Without
/// `host_link`, the host's end is a bridge's and has neither.
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
        steps.push(add_route(Side::Host, link, single(local.addr()), None));
    }
    if let Some(host) = host
        && !is_on_link(local, host)
    {
        steps.push(add_route(Side::Container, peer, single(host.addr()), None));
    }
    steps
}

fn derived_address(spec: &Spec, link: &str) -> Option<MacAddress> {
    let derive = |machine_id| MacAddress::derived(machine_id, &spec.container, link);
    spec.machine_id.map(derive)
}

fn macvlan_steps(spec: &Spec, wanted: &HostInterface) -> Vec<Step> {
    let name = name_inside(wanted, HostLink::macvlan);
    let create = Step::CreateMacvlan {
        parent: wanted.interface.to_string(),
        name: name.to_string(),
        mac_address: derived_address(spec, name.interface()),
    };
    with_altname(create, &name)
}

fn ipvlan_steps(wanted: &HostInterface) -> Vec<Step> {
    let name = name_inside(wanted, HostLink::ipvlan);
    let create = Step::CreateIpvlan {
        parent: wanted.interface.to_string(),
        name: name.to_string(),
    };
    with_altname(create, &name)
}

fn name_inside(wanted: &HostInterface, derive: fn(&InterfaceName) -> HostLink) -> HostLink {
    match &wanted.name {
        Some(name) => HostLink::from(name.clone()),
        None => derive(&wanted.interface),
    }
}

fn with_altname(create: Step, name: &HostLink) -> Vec<Step> {
    let altname = name.altname();
    let altname = altname.map(|altname| add_altname(Side::Container, name.interface(), altname));
    iter::once(create).chain(altname).collect()
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

fn add_altname(side: Side, link: &str, altname: &str) -> Step {
    Step::AddAltname {
        side,
        link: link.to_owned(),
        altname: altname.to_owned(),
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
    use crate::{ContainerName, ZoneName};

    use super::*;

    fn name(name: &str) -> InterfaceName {
        InterfaceName::new(name).unwrap()
    }

    fn spec(container: &str) -> Spec {
        Spec::new(ContainerName::new(container).unwrap(), "/run/c")
    }

    fn words(spec: &Spec) -> Vec<String> {
        plan(spec).iter().map(ToString::to_string).collect()
    }

    fn lines(container: &str, veth: Option<Veth>) -> Vec<String> {
        words(&Spec {
            veth,
            ..spec(container)
        })
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
                "take no router's advertisement from ve-web",
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
            lines[2].starts_with("add alternative name ve-a-rather-long-name to ve-a-ra~"),
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
    fn links_without_an_address_derive_it() {
        let mut spec = Spec {
            machine_id: Some([7; 16]),
            veth: Some(Veth::default()),
            macvlans: vec![HostInterface {
                interface: name("eth1"),
                name: None,
            }],
            ..spec("web")
        };
        let derived = |link| MacAddress::derived([7; 16], &spec.container, link);
        let (eth0, macvlan) = (derived("eth0"), derived("mv-eth1"));
        let lines = words(&spec);
        assert!(
            lines[1].contains(&format!("eth0, address {eth0},")),
            "{lines:?}"
        );
        assert!(
            lines[4].contains(&format!(", address {macvlan},")),
            "{lines:?}"
        );
        let given = "02:00:00:00:00:05".parse().ok();
        spec.veth = Some(Veth {
            mac_address: given,
            ..Veth::default()
        });
        assert!(words(&spec)[1].contains(", address 02:00:00:00:00:05,"));
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

    #[test]
    fn a_zone_is_locked_and_made() {
        let veth = Veth {
            bridge: Some(Bridge::Zone(ZoneName::new("lan").unwrap())),
            mtu: Some(1400),
            ..Veth::default()
        };
        assert_eq!(
            lines("web", Some(veth)),
            [
                "set lo up inside the container",
                "lock /run/c/zones.lock",
                "create bridge vz-lan, up, MTU 1400, without routers' advertisements, unless it \
                 is there",
                "create veth vb-web, up, in bridge vz-lan, with its MTU, with peer eth0 inside \
                 the container",
                "set eth0 up inside the container",
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
                "take no router's advertisement from ve-web.lan",
                "set lan up inside the container",
                "add address 10.1.0.1/24 to ve-web.lan",
                "add address 10.1.0.2/24 to lan inside the container",
                "create veth to-web, up, with peer dmz inside the container",
                "add alternative name nixos-container:web:1 to to-web",
                "take no router's advertisement from to-web",
                "set dmz up inside the container",
                "add address 10.1.0.1/24 to to-web",
                "add address 10.1.0.2/24 to dmz inside the container",
            ]
        );
    }

    #[test]
    fn links_on_interfaces_of_the_host() {
        let on = |interface: &str, inside: Option<&str>| HostInterface {
            interface: name(interface),
            name: inside.map(name),
        };
        let spec = Spec {
            macvlans: vec![on("eth1", None), on("eth2", Some("lan"))],
            ipvlans: vec![on("enx001122334455", None)],
            ..spec("web")
        };
        let lines = words(&spec);
        assert_eq!(
            lines[1..3],
            [
                "create macvlan mv-eth1 on eth1 inside the container",
                "create macvlan lan on eth2 inside the container",
            ]
        );
        assert!(lines[3].starts_with("create ipvlan iv-enx0~"), "{lines:?}");
        assert!(
            lines[4].starts_with("add alternative name iv-enx001122334455 to iv-enx0~"),
            "{lines:?}"
        );
    }

    #[test]
    fn nothing_moves_before_it_can_be_given_back() {
        let spec = Spec {
            interfaces: vec![
                HostInterface {
                    interface: name("eth1"),
                    name: None,
                },
                HostInterface {
                    interface: name("eth2"),
                    name: Some(name("lan")),
                },
            ],
            ..spec("web")
        };
        assert_eq!(
            words(&spec),
            [
                "keep the container's network namespace as /run/c/web/netns",
                "record the settings of eth1, eth2 in /run/c/web/interfaces.json",
                "move eth1 to eth1 inside the container",
                "move eth2 to lan inside the container",
                "set lo up inside the container",
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
