//! Further veth pairs of a container.

#![allow(missing_docs)]

mod common;
mod observe;

use netns::{Bridge, ExtraVeth, HostLink, Spec, Veth};

use common::{World, assert_traffic, interface, ip, name, spec, veth4, veth6};
use observe::observe;

fn extra(inside: &str, host_name: Option<&str>, veth: Veth) -> ExtraVeth {
    ExtraVeth {
        name: interface(inside),
        host_name: host_name.map(interface),
        veth,
    }
}

fn with_extra(container: &str, extra_veths: Vec<ExtraVeth>) -> Spec {
    Spec {
        extra_veths,
        ..Spec::new(name(container), "/nonexistent")
    }
}

fn both(host4: &str, local4: &str, host6: &str, local6: &str) -> Veth {
    let v6 = veth6(Some(host6), Some(local6));
    Veth {
        host_address6: v6.host_address6,
        local_address6: v6.local_address6,
        ..veth4(Some(host4), Some(local4))
    }
}

#[test]
fn packets_pass_and_the_default_route_leads_elsewhere() {
    let world = World::new();
    let mut spec = spec("web", veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32")));
    spec.extra_veths = vec![
        extra(
            "lan",
            None,
            both("10.1.0.1/32", "10.1.0.2/32", "fd01::1/128", "fd01::2/128"),
        ),
        extra(
            "dmz",
            Some("to-web"),
            both("10.2.0.1/24", "10.2.0.2/24", "fd02::1/64", "fd02::2/64"),
        ),
    ];
    world.apply(&spec).expect("apply");
    for (host, container) in [
        ("10.233.1.1", "10.233.1.2"),
        ("10.1.0.1", "10.1.0.2"),
        ("fd01::1", "fd01::2"),
        ("10.2.0.1", "10.2.0.2"),
        ("fd02::1", "fd02::2"),
    ] {
        world.assert_traffic(host, container);
    }
    let seen = world.container.run(observe);
    assert_eq!(seen.routes("lan"), ["10.1.0.1/32", "fd01::1/128"]);
    assert!(seen.routes("dmz").is_empty());
    assert_eq!(
        world.host.run(observe).links,
        ["lo down", "ve-web up", "ve-web.lan up", "to-web up"]
    );
}

#[test]
fn one_side_may_be_without_address() {
    let world = World::new();
    let extras = vec![
        extra("a", None, veth4(Some("10.1.0.1/24"), None)),
        extra("b", None, veth6(None, Some("fd02::2/128"))),
    ];
    world.apply(&with_extra("web", extras)).expect("apply");
    let host = world.host.run(observe);
    assert_eq!(host.addresses("ve-web.a"), ["10.1.0.1/24"]);
    assert!(host.addresses("ve-web.b").is_empty());
    assert_eq!(host.routes("ve-web.b"), ["fd02::2/128"]);
    let container = world.container.run(observe);
    assert!(container.addresses("a").is_empty());
    assert_eq!(container.addresses("b"), ["fd02::2/128"]);
}

#[test]
fn in_a_bridge_of_its_own() {
    let first = World::new();
    let second = first.with_another_container();
    first.host.run(|| ip("link add br-lan up type bridge"));
    for (world, container, number) in [(&first, "web", 2), (&second, "db", 3)] {
        let v6 = veth6(None, Some(&format!("fd00::{number}/64")));
        let veth = Veth {
            local_address6: v6.local_address6,
            bridge: Some(Bridge::Existing(interface("br-lan"))),
            ..veth4(None, Some(&format!("10.0.0.{number}/24")))
        };
        let spec = with_extra(container, vec![extra("lan", None, veth)]);
        first.host.run(|| netns::check(&spec)).expect("check");
        world.apply(&spec).expect("apply");
    }
    for [one, other] in [["10.0.0.2", "10.0.0.3"], ["fd00::2", "fd00::3"]] {
        assert_traffic((&first.container, one), (&second.container, other));
    }
}

/// Two containers with the same name inside, and names that are cut at the same
/// place.
#[test]
fn two_containers_do_not_clash() {
    let first = World::new();
    let second = first.with_another_container();
    let names = ["a-long-container-name-1", "a-long-container-name-2"];
    for (world, container, number) in [(&first, names[0], 1), (&second, names[1], 2)] {
        let veth = both(
            &format!("10.{number}.0.1/32"),
            &format!("10.{number}.0.2/32"),
            &format!("fd0{number}::1/128"),
            &format!("fd0{number}::2/128"),
        );
        let spec = with_extra(container, vec![extra("lan", None, veth)]);
        world.apply(&spec).expect("apply");
    }
    first.assert_traffic("10.1.0.1", "10.1.0.2");
    second.assert_traffic("10.2.0.1", "10.2.0.2");
    second.assert_traffic("fd02::1", "fd02::2");

    let host = first.host.run(observe);
    for container in names {
        let link = HostLink::extra_veth(&name(container), &interface("lan"));
        assert!(
            host.altnames(link.interface())
                .contains(&format!("ve-{container}.lan")),
            "{:?}",
            host.altnames(link.interface())
        );
    }
}

#[test]
fn a_name_that_is_taken_is_an_error_that_names_it() {
    let world = World::new();
    world.host.run(|| ip("link add taken type bridge"));
    let spec = with_extra("web", vec![extra("lan", Some("taken"), Veth::default())]);
    let error = world.apply(&spec).expect_err("the name is taken");
    assert_eq!(
        error.to_string(),
        "cannot create veth taken, up, with peer lan inside the container: it exists already"
    );
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("ip link show taken"), "{hint}");
}
