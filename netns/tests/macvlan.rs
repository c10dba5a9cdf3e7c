//! Links on interfaces of the host: macvlan and ipvlan.

#![allow(missing_docs)]

mod common;
mod observe;

use netns::{HostInterface, Spec, Step};

use common::{Namespace, World, assert_traffic, everything, interface, ip, move_link, name};
use observe::observe;

/// An interface of the host, the other end of which is with a router.
struct Net {
    world: World,
    router: Namespace,
    parent: &'static str,
}

impl Net {
    fn new(parent: &'static str) -> Self {
        let world = World::new();
        let router = Namespace::new();
        world.host.run(|| {
            ip(&format!("link add {parent} up type veth peer name in"));
        });
        move_link(&world.host, "in", &router);
        router.run(|| {
            ip("link set in up");
            ip("address add 10.0.0.1/24 dev in");
            ip("address add fd00::1/64 dev in nodad");
        });
        Self {
            world,
            router,
            parent,
        }
    }

    fn spec(&self, macvlan: bool, inside: Option<&str>) -> Spec {
        let links = vec![HostInterface {
            interface: interface(self.parent),
            name: inside.map(interface),
        }];
        let mut spec = Spec::new(name("web"), "/nonexistent");
        if macvlan {
            spec.macvlans = links;
        } else {
            spec.ipvlans = links;
        }
        spec
    }
}

/// Does what the container's own configuration does.
fn configure(container: &Namespace, link: &str, number: u8) {
    container.run(|| {
        ip(&format!("link set {link} up"));
        ip(&format!("address add 10.0.0.{number}/24 dev {link}"));
        ip(&format!("address add fd00::{number}/64 dev {link} nodad"));
    });
}

#[test]
fn macvlans_reach_the_network_and_each_other() {
    let net = Net::new("uplink");
    let spec = net.spec(true, None);
    let second = net.world.with_another_container();
    for (world, number) in [(&net.world, 2), (&second, 3)] {
        world.host.run(|| netns::check(&spec)).expect("check");
        world.apply(&spec).expect("apply");
        assert_eq!(
            world.container.run(observe).links,
            ["lo up", "mv-uplink down"]
        );
        configure(&world.container, "mv-uplink", number);
    }
    for [router, one, other] in [
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
        ["fd00::1", "fd00::2", "fd00::3"],
    ] {
        assert_traffic((&net.router, router), (&net.world.container, one));
        assert_traffic((&net.world.container, one), (&second.container, other));
    }
}

#[test]
fn nothing_of_a_macvlan_is_on_the_host() {
    let net = Net::new("uplink");
    let before = net.world.host.run(everything);
    net.world.apply(&net.spec(true, None)).expect("apply");
    assert_eq!(net.world.host.run(everything), before);
}

#[test]
fn a_long_name_is_cut_and_kept_as_altname() {
    let net = Net::new("enx001122334455");
    net.world.apply(&net.spec(true, None)).expect("apply");
    let link = net
        .world
        .container
        .run(|| ip("link show mv-enx001122334455"));
    assert!(link.contains(": mv-enx00112"), "{link}");
}

#[test]
fn the_link_has_the_address_that_derives_from_the_machine() {
    let net = Net::new("uplink");
    let spec = Spec {
        machine_id: Some([7; 16]),
        ..net.spec(true, None)
    };
    let plan = net.world.apply(&spec).expect("apply");
    let address = plan.iter().find_map(|step| match step {
        Step::CreateMacvlan { mac_address, .. } => *mac_address,
        _ => None,
    });
    let address = address.expect("an address in the plan");
    let link = net.world.container.run(|| ip("link show mv-uplink"));
    assert!(link.contains(&format!("link/ether {address} ")), "{link}");
}

#[test]
fn a_name_of_its_own() {
    let net = Net::new("uplink");
    net.world
        .apply(&net.spec(true, Some("lan")))
        .expect("apply");
    assert_eq!(
        net.world.container.run(observe).links,
        ["lo up", "lan down"]
    );
}

#[test]
fn a_missing_interface_is_refused_before_anything_is_done() {
    let net = Net::new("uplink");
    for (macvlan, kind) in [(true, "a macvlan"), (false, "an ipvlan")] {
        let spec = net.spec(macvlan, None);
        let error = Namespace::new()
            .run(|| netns::check(&spec))
            .expect_err("no such link");
        assert_eq!(
            error.to_string(),
            format!("cannot create {kind} link on interface uplink: the host has no such link")
        );
    }
}

#[test]
fn loopback_is_refused() {
    let net = Net::new("uplink");
    let spec = Net {
        parent: "lo",
        ..net
    }
    .spec(true, None);
    let error = Namespace::new()
        .run(|| netns::check(&spec))
        .expect_err("the loopback");
    assert_eq!(
        error.to_string(),
        "cannot create a macvlan link on interface lo: it is the host's loopback"
    );
}

/// Not every kernel has ipvlan links: the error says so.
#[test]
fn ipvlans_reach_the_network_or_are_reported_missing() {
    let net = Net::new("uplink");
    match net.world.apply(&net.spec(false, None)) {
        Ok(_) => {
            configure(&net.world.container, "iv-uplink", 2);
            let container = &net.world.container;
            assert_traffic((&net.router, "10.0.0.1"), (container, "10.0.0.2"));
            assert_traffic((&net.router, "fd00::1"), (container, "fd00::2"));
        }
        Err(error) => {
            assert_eq!(
                error.to_string(),
                "cannot create ipvlan iv-uplink on uplink inside the container: the kernel does \
                 not support it"
            );
            assert_eq!(
                error.hint().expect("a hint"),
                "the kernel has no ipvlan links; try `modprobe ipvlan`"
            );
            println!("skipped: this kernel has no ipvlan links; checked that the error says so");
        }
    }
}
