//! Forwarded ports and NAT, with real packets between real namespaces.

#![allow(missing_docs)]

mod common;
mod firewall_world;

use firewall_world::{HOST, HOST6, OUTSIDE, OUTSIDE6, ROUTER, Service, World, assert_refused, ip};

#[test]
fn a_port_is_reachable_from_everywhere() {
    let world = World::new();
    let web = world.container("web", 1);
    let other = world.container("other", 2);
    let service = web.serve(80);
    world.apply(&web.forwarding(8080, 80)).expect("apply");

    for (address, source) in [(HOST, OUTSIDE), (HOST6, OUTSIDE6)] {
        let seen = service.reached_from(&world.outside, address, 8080);
        assert_eq!(seen, ip(source), "the container sees who asks");
    }
    for address in ["127.0.0.1", "::1", HOST, HOST6, "10.233.1.1", "fd00:1::1"] {
        service.reached_from(&world.host, address, 8080);
    }
    for address in [HOST, HOST6, "10.233.2.1", "fd00:2::1"] {
        let seen = service.reached_from(&other.namespace, address, 8080);
        assert!([other.address, other.address6].contains(&seen), "{seen}");
    }
    for address in [HOST, HOST6, "10.233.1.1", "fd00:1::1"] {
        let seen = service.reached_from(&web.namespace, address, 8080);
        assert!(
            [ip("10.233.1.1"), ip("fd00:1::1")].contains(&seen),
            "{seen}"
        );
    }
}

#[test]
fn the_outside_sees_the_hosts_address() {
    let world = World::new();
    let web = world.container("web", 1);
    let other = world.container("other", 2);
    let service = Service::new(&world.outside, 7);
    let neighbour = other.serve(7);
    world.apply(&web.with_nat()).expect("apply");

    for (outside, source) in [(OUTSIDE, HOST), (OUTSIDE6, HOST6)] {
        assert_eq!(service.reached_from(&web.namespace, outside, 7), ip(source));
    }
    for (address, source) in [(other.address, web.address), (other.address6, web.address6)] {
        let seen = neighbour.reached_from(&web.namespace, &address.to_string(), 7);
        assert_eq!(seen, source, "between containers");
    }
}

#[test]
fn removal_leaves_nothing() {
    let world = World::new();
    let web = world.container("web", 1);
    let before = world.state();
    assert!(!world.remove("web"));
    let mut spec = web.forwarding(8080, 80);
    spec.nat = true;
    let changes = world.apply(&spec).expect("apply");
    let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert!(
        words.contains(&"net.ipv4.ip_forward set to 1 (was 0)".to_owned()),
        "{words:?}"
    );
    assert_ne!(world.state(), before);
    assert!(world.remove("web"));
    assert_eq!(world.state(), before);
    assert!(!world.remove("web"));
    assert_refused(&world.outside, HOST, 8080);
    assert_refused(&world.host, "127.0.0.1", 8080);
    assert_refused(&world.host, "::1", 8080);
    let _ = ROUTER;
}
