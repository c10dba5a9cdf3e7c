//! Turns a [`Spec`] into [`Step`]s. Pure.

use std::iter;

use crate::link::bridge;
use crate::link::record::Files;
use crate::{Bridge, HostInterface, HostLink, InterfaceName, MacAddress, Side, Spec, Step};

mod veth;

use veth::{extra_veth_steps, main_veth_steps};

/// The steps that give a fresh network namespace the network of `spec`, in the
/// order in which the kernel takes them.
#[must_use]
pub fn plan(spec: &Spec) -> Vec<Step> {
    // Moved interfaces come first: then their indexes, by which they are found
    // again, are still free in the container.
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

/// Nothing is moved before everything is recorded that giving it back needs.
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

/// Locks the zones and creates those that are missing.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{ContainerName, SpoofCheck, Veth, ZoneName};

    use super::*;

    pub(super) fn name(name: &str) -> InterfaceName {
        InterfaceName::new(name).unwrap()
    }

    /// Without checks, which tests of their own add.
    pub(super) fn spec(container: &str) -> Spec {
        Spec {
            spoof_check: SpoofCheck::Nothing,
            ..Spec::new(ContainerName::new(container).unwrap(), "/run/c")
        }
    }

    pub(super) fn words(spec: &Spec) -> Vec<String> {
        plan(spec).iter().map(ToString::to_string).collect()
    }

    pub(super) fn lines(container: &str, veth: Option<Veth>) -> Vec<String> {
        words(&Spec {
            veth,
            ..spec(container)
        })
    }

    #[test]
    fn without_veth_there_is_loopback_only() {
        assert_eq!(lines("web", None), ["set lo up inside the container"]);
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
                "create bridge vz-lan, up, MTU 1400, ignoring router advertisements, unless it \
                 exists",
                "create veth vb-web, up, in bridge vz-lan, with its MTU, with peer eth0 inside \
                 the container",
                "set eth0 up inside the container",
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
        assert!(
            lines[3].starts_with("create ipvlan iv-enx00112bl14"),
            "{lines:?}"
        );
        assert!(
            lines[4].starts_with("add alternative name iv-enx001122334455 to iv-enx00112bl14"),
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
                "mount the container's network namespace on /run/c/web/netns",
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
