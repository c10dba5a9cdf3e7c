//! Forwarded ports and NAT, with real packets between real namespaces.

#![allow(missing_docs)]

mod common;
mod firewall_world;

use std::fs;
use std::net::{SocketAddr, UdpSocket};

use firewall_world::{
    HOST, HOST6, OUTSIDE, OUTSIDE6, Service, World, add_address, assert_refused, datagram_socket,
    ip, nft, opened, read_sysctl, remove_address, remove_link, sysctl_exists, write_sysctl,
};
use netns::firewall::{Error, Forward, Protocol, Spec};

#[test]
fn a_port_is_reachable_from_everywhere() {
    let world = World::new();
    // The strictest check of sources.
    world
        .host
        .run(|| write_sysctl("net/ipv4/conf/all/rp_filter", "1"));
    let web = world.container("web", 1);
    let other = world.container("other", 2);
    let service = web.serve(80);
    world.apply(&web.forwarding(8080, 80)).expect("apply");

    for (address, source) in [(HOST, OUTSIDE), (HOST6, OUTSIDE6)] {
        let seen = service.reached_from(&world.outside, address, 8080);
        assert_eq!(seen, ip(source), "the container sees the client");
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

/// Neighbours on a bridge answer each other past the host.
#[test]
fn a_port_is_reachable_through_a_bridge() {
    let world = World::new();
    world.add_bridge();
    let before = world.state();
    let web = world.container_on_bridge("web", 2);
    let neighbour = world.container_on_bridge("neighbour", 3);
    let (service, neighbours) = (web.serve(80), neighbour.serve(80));
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    world.apply(&neighbour.forwarding(8081, 80)).expect("apply");

    for address in [HOST, HOST6] {
        service.reached_from(&world.outside, address, 8080);
        service.reached_from(&neighbour.namespace, address, 8080);
    }
    // With br_netfilter, the translation comes before the bridge's decision, and a
    // bridge sends nothing back through the same port.
    world.host.run(|| {
        for sysctl in ["iptables", "ip6tables"] {
            let path = format!("net/bridge/bridge-nf-call-{sysctl}");
            if sysctl_exists(&path) {
                write_sysctl(&path, "0");
            }
        }
    });
    for address in [HOST, HOST6] {
        service.reached_from(&neighbour.namespace, address, 8080);
        service.reached_from(&web.namespace, address, 8080);
    }
    let everywhere = ["127.0.0.1", "::1", HOST, HOST6, "10.0.0.1", "fd01::1"];
    for address in everywhere {
        service.reached_from(&world.host, address, 8080);
    }
    assert!(world.remove("web"));
    for address in everywhere {
        neighbours.reached_from(&world.host, address, 8081);
        assert_refused(&world.host, address, 8080);
    }
    assert!(world.remove("neighbour"));
    drop((web, neighbour, service, neighbours));
    world.wait_for_end_of("vb-web");
    world.wait_for_end_of("vb-neighbour");
    assert_eq!(world.state(), before);
}

/// The bridge of a zone is removed with its last container.
#[test]
fn removal_works_without_the_bridge() {
    let world = World::new();
    let before = world.state();
    world.add_bridge();
    let web = world.container_on_bridge("web", 2);
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    drop(web);
    world.wait_for_end_of("vb-web");
    world.host.run(|| remove_link("br0"));
    assert!(world.remove("web"));
    assert_eq!(world.state(), before);
}

#[test]
fn a_bound_port_is_reachable_at_its_address_only() {
    let world = World::new();
    let web = world.container("web", 1);
    let service = web.serve(80);
    let spec = Spec {
        bind_host: vec![ip(HOST), ip(HOST6)],
        ..web.forwarding(8080, 80)
    };
    world.apply(&spec).expect("apply");
    for address in [HOST, HOST6] {
        service.reached_from(&world.outside, address, 8080);
        service.reached_from(&world.host, address, 8080);
    }
    for address in ["127.0.0.1", "::1", "10.233.1.1", "fd00:1::1"] {
        assert_refused(&world.host, address, 8080);
    }
}

#[test]
fn a_port_bound_to_loopback_enables_no_forwarding() {
    let world = World::new();
    let web = world.container("web", 1);
    let service = web.serve(80);
    let spec = Spec {
        bind_host: vec![ip("127.0.0.1"), ip("::1")],
        ..web.forwarding(8080, 80)
    };
    assert_eq!(world.apply(&spec).expect("apply"), []);
    for address in ["127.0.0.1", "::1"] {
        service.reached_from(&world.host, address, 8080);
    }
    for address in [HOST, HOST6] {
        assert_refused(&world.outside, address, 8080);
    }
    assert_eq!(world.host.run(|| read_sysctl("net/ipv4/ip_forward")), "0");
}

#[test]
fn one_family_alone() {
    let world = World::new();
    let web = world.container("web", 1);
    let service = web.serve(80);
    let mut spec = web.forwarding(8080, 80);
    spec.address = None;
    world.apply(&spec).expect("apply");
    service.reached_from(&world.outside, HOST6, 8080);
    service.reached_from(&world.host, "::1", 8080);
    assert_refused(&world.outside, HOST, 8080);
    assert_refused(&world.host, "127.0.0.1", 8080);

    spec.address = web.spec().address;
    spec.address6 = None;
    world.apply(&spec).expect("apply");
    service.reached_from(&world.outside, HOST, 8080);
    service.reached_from(&world.host, "127.0.0.1", 8080);
    assert_refused(&world.outside, HOST6, 8080);
    assert_refused(&world.host, "::1", 8080);
}

#[test]
fn sctp() {
    let world = World::new();
    let web = world.container("web", 1);
    let spec = Spec {
        forwards: vec![Forward {
            protocol: Protocol::Sctp,
            host_port: 8080,
            container_port: 80,
        }],
        ..web.spec()
    };
    world.apply(&spec).expect("apply");
    for (client, address) in [
        (&world.outside, HOST),
        (&world.outside, HOST6),
        (&world.host, HOST),
    ] {
        let target = SocketAddr::new(ip(address), 8080);
        if let Err(error) = firewall_world::sctp_exchange(client, &web.namespace, target, 80) {
            println!("skipped: the kernel has no SCTP ({error})");
            return;
        }
    }
}

/// With route_localnet, a packet from the container to 127.0.0.1 would reach
/// local services of the host.
#[test]
fn the_hosts_loopback_stays_closed_to_the_container() {
    let world = World::new();
    let web = world.container("web", 1);
    let service = world.host.run(|| UdpSocket::bind("[::]:9").expect("bind"));
    web.namespace.run(|| {
        write_sysctl("net/ipv4/conf/all/route_localnet", "1");
        remove_address("lo", "127.0.0.1/8");
        remove_address("lo", "::1/128");
        firewall_world::add_route("127.0.0.1/32", Some("10.233.1.1"), "eth0");
        firewall_world::add_route("::1/128", Some("fd00:1::1"), "eth0");
    });
    // Packets of one link arrive in order, so the first datagram would arrive
    // before the second.
    let first_of = |loopback: &str, known: &str| {
        web.namespace.run(|| {
            for address in [loopback, known] {
                let socket = datagram_socket(SocketAddr::new(ip(address), 9));
                socket.send(address.as_bytes()).expect("send");
            }
        });
        let mut buffer = [0; 32];
        let length = service.recv(&mut buffer).expect("receive");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };

    world
        .host
        .run(|| write_sysctl("net/ipv4/conf/ve-web/route_localnet", "1"));
    assert_eq!(first_of("127.0.0.1", "10.233.1.1"), "127.0.0.1");
    service.recv(&mut [0; 32]).expect("the second");

    world.apply(&web.forwarding(8080, 80)).expect("apply");
    assert_eq!(first_of("127.0.0.1", "10.233.1.1"), "10.233.1.1");
    assert_eq!(first_of("::1", "fd00:1::1"), "fd00:1::1");
}

#[test]
fn a_taken_port_is_refused() {
    let world = World::new();
    let (web, other) = (world.container("web", 1), world.container("other", 2));
    let service = web.serve(80);
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    let before = world.state();

    let late = other.forwarding(8080, 80);
    for refused in [
        world.host.run(|| opened().conflict(&late)),
        world.apply(&late).map(drop),
    ] {
        let error = refused.expect_err("the port is taken");
        assert!(
            matches!(&error, Error::Taken { owner, .. } if owner == "web"),
            "{error}"
        );
        assert_eq!(
            error.to_string(),
            "cannot forward tcp port 8080: container web has it already"
        );
    }
    assert_eq!(world.state(), before);
    service.reached_from(&world.outside, HOST, 8080);

    let bound = Spec {
        bind_host: vec![ip("127.0.0.1")],
        ..late.clone()
    };
    assert!(
        world.apply(&bound).is_err(),
        "all addresses include this one"
    );
    world
        .apply(&other.forwarding(8081, 80))
        .expect("another port");
    world
        .apply(&web.forwarding(8080, 80))
        .expect("its own port");
}

#[test]
fn a_port_can_be_shared_by_addresses() {
    let world = World::new();
    let (web, other) = (world.container("web", 1), world.container("other", 2));
    let (service, others) = (web.serve(80), other.serve(80));
    let on = |mut spec: Spec, address: &str| {
        spec.bind_host = vec![ip(address)];
        spec
    };
    world
        .apply(&on(web.forwarding(8080, 80), HOST))
        .expect("apply");
    world
        .apply(&on(other.forwarding(8080, 80), "127.0.0.1"))
        .expect("apply");
    service.reached_from(&world.host, HOST, 8080);
    others.reached_from(&world.host, "127.0.0.1", 8080);
    let third = on(other.forwarding(8080, 80), HOST);
    assert!(world.apply(&third).is_err());
}

#[test]
fn a_port_leads_to_one_place() {
    let world = World::new();
    let web = world.container("web", 1);
    let mut spec = web.forwarding(8080, 80);
    spec.forwards.extend(firewall_world::both(8080, 81));
    let error = world.apply(&spec).expect_err("twice");
    assert_eq!(error.to_string(), "cannot forward tcp port 8080 twice");
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

/// A client that sends from one port without a pause keeps the connection, as
/// netfilter sees it, alive.
#[test]
fn datagrams_find_the_container_at_another_address() {
    let world = World::new();
    let other = world.container("other", 9);
    world.apply(&other.forwarding(9999, 9999)).expect("apply");
    let target = SocketAddr::new(ip(HOST), 8080);
    let client = world.outside.run(|| datagram_socket(target));
    client.send(b"early").expect("send");
    client.recv(&mut [0; 16]).expect_err("nothing listens yet");

    for number in [1, 2] {
        let web = world.container("web", number);
        let service = web.serve(80);
        world.apply(&web.forwarding(8080, 80)).expect("apply");
        assert_eq!(service.udp_through(&client, target), ip(OUTSIDE));
        if number == 1 {
            assert!(world.remove("web"));
            client.send(b"between").expect("send");
            client.recv(&mut [0; 16]).expect_err("nothing listens");
            drop((web, service));
            world.wait_for_end_of("ve-web");
        }
    }
}

#[test]
fn a_client_learns_that_the_container_is_gone() {
    use std::io::{ErrorKind, Read, Write};
    let world = World::new();
    let (web, other) = (world.container("web", 1), world.container("other", 2));
    let service = web.serve(80);
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    // Without any rule, netfilter would delete the connection itself.
    world.apply(&other.forwarding(8081, 80)).expect("apply");
    let (mut client, server) = service.connection_from(&world.outside, HOST, 8080);
    assert!(world.remove("web"));
    client.write_all(b"is it there?").expect("write");
    let error = client.read(&mut [0; 16]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(server);
}

#[test]
fn removal_leaves_nothing() {
    let world = World::new();
    let web = world.container("web", 1);
    let other = world.container("a-name-of-more-than-fifteen-bytes-and-then-some", 2);
    world.host.run(|| {
        write_sysctl("net/ipv4/conf/uplink/forwarding", "1");
        write_sysctl("net/ipv6/conf/uplink/forwarding", "1");
        write_sysctl("net/ipv4/conf/all/accept_redirects", "0");
        nft(&["add", "table", "inet", "somebodys"]);
    });
    let before = world.state();
    assert!(!world.remove("web"));

    let full = |mut spec: Spec| {
        spec.nat = true;
        spec
    };
    let changes = world.apply(&full(web.forwarding(8080, 80))).expect("apply");
    let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
    for expected in [
        "net.ipv4.ip_forward set to 1 (was 0)",
        "net.ipv6.conf.all.forwarding set to 1 (was 0)",
    ] {
        assert!(words.contains(&expected.to_owned()), "{words:?}");
    }
    let with_one = world.state();
    assert_ne!(with_one, before);
    let changes = world
        .apply(&full(other.forwarding(8081, 80)))
        .expect("apply");
    assert_eq!(changes, [], "it is a router already");

    assert!(world.remove(other.name.as_str()));
    assert_eq!(world.state(), with_one);
    assert!(world.remove("web"));
    assert_eq!(world.state(), before);
    assert!(!world.remove("web"));
    for address in ["127.0.0.1", "::1", HOST, HOST6] {
        assert_refused(&world.host, address, 8080);
    }
}

#[test]
fn a_router_stays_a_router() {
    let world = World::new();
    let web = world.container("web", 1);
    world.host.run(|| {
        write_sysctl("net/ipv4/ip_forward", "1");
        write_sysctl("net/ipv6/conf/all/forwarding", "1");
    });
    let before = world.state();
    assert_eq!(world.apply(&web.with_nat()).expect("apply"), []);
    assert!(world.remove("web"));
    assert_eq!(world.state(), before);
}

#[test]
fn applying_again_replaces() {
    let world = World::new();
    let web = world.container("web", 1);
    let service = web.serve(80);
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    let rules = world.state().rules;
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    assert_eq!(world.state().rules, rules);
    world.apply(&web.forwarding(8081, 80)).expect("apply");
    service.reached_from(&world.outside, HOST, 8081);
    assert_refused(&world.outside, HOST, 8080);
    let before = world.state();
    world.apply(&web.with_nat()).expect("apply");
    assert_refused(&world.outside, HOST, 8081);
    assert_ne!(world.state(), before);
    world.apply(&web.spec()).expect("apply nothing");
    assert_eq!(world.state().rules, "");
}

/// nft lists the table as the kernel has it, and loads its listing again.
#[test]
fn nft_lists_the_table_and_loads_it_again() {
    let world = World::new();
    let web = world.container("web", 1);
    let mut spec = web.forwarding(8080, 80);
    spec.nat = true;
    spec.bind_host = vec![ip("0.0.0.0"), ip(HOST6)];
    world.apply(&spec).expect("apply");
    let listed = world.host.run(firewall_world::ruleset);
    for line in [
        "table inet nixos-containers {",
        "type filter hook prerouting priority raw; policy accept;",
        "ip saddr 127.0.0.0/8 iifname @guarded drop",
        "ip daddr 127.0.0.0/8 iifname @guarded drop",
        "type nat hook prerouting priority dstnat; policy accept;",
        "fib daddr type local jump ports",
        "dnat ip to ip daddr . meta l4proto . tcp dport map @ports4",
        "dnat ip6 to ip6 daddr . meta l4proto . sctp dport map @ports6",
        "type nat hook postrouting priority srcnat; policy accept;",
        "ct status dnat ip6 daddr . ip6 saddr @masquerade6 masquerade",
        "ip saddr @nat4 oifname != \"ve-*\" masquerade",
    ] {
        let found = listed.lines().any(|listed| listed.trim() == line);
        assert!(found, "no {line:?} in {listed}");
    }
    for element in [
        "0.0.0.0/0 . tcp . 8080 comment \"web\" : 10.233.1.2 . 80",
        "2001:db8:1::1 . udp . 8080 comment \"web\" : fd00:1::2 . 80",
        "10.233.1.2 . 127.0.0.0/8 comment \"web\"",
        "fd00:1::2 . fd00:1::2 comment \"web\"",
        "elements = { fd00:1::2 comment \"web\" }",
        "elements = { \"ve-web\" comment \"web\" }",
    ] {
        assert!(listed.contains(element), "no {element:?} in {listed}");
    }

    world.host.run(|| {
        nft(&["flush", "ruleset"]);
        firewall_world::nft_script(&listed);
        assert_eq!(firewall_world::ruleset(), listed);
    });
    let service = web.serve(80);
    service.reached_from(&world.outside, HOST, 8080);
    service.reached_from(&world.outside, HOST6, 8080);
    assert!(world.remove("web"));
    assert_eq!(world.host.run(firewall_world::ruleset), "");
}

/// The batch is larger than the default buffer of a socket.
#[test]
fn a_container_can_have_a_thousand_ports() {
    let world = World::new();
    let web = world.container("web", 1);
    let spec = Spec {
        forwards: (10_000..11_000)
            .map(|port| Forward {
                protocol: Protocol::Tcp,
                host_port: port,
                container_port: 80,
            })
            .collect(),
        ..web.spec()
    };
    world.apply(&spec).expect("apply");
    let rules = world.host.run(firewall_world::ruleset);
    for address in ["10.233.1.2", "fd00:1::2"] {
        let last = format!(" . tcp . 10999 comment \"web\" : {address} . 80");
        assert!(rules.contains(&last), "no {last:?} in {rules}");
    }
    assert!(world.remove("web"));
    assert_eq!(world.host.run(firewall_world::ruleset), "");
}

#[test]
fn a_refused_change_is_named_and_nothing_is_done() {
    let world = World::new();
    let web = world.container("web", 1);
    world.host.run(|| {
        nft(&["add", "table", "inet", "nixos-containers"]);
    });
    let before = world.state();
    let error = world.apply(&web.with_nat()).expect_err("it is there");
    assert_eq!(
        error.to_string(),
        "cannot set up forwarded ports and NAT: the kernel refuses to add table inet \
         nixos-containers"
    );
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "File exists (os error 17)");
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("nft delete table"), "{hint}");
    assert_eq!(world.state(), before);
}

/// The host could not tell the containers apart.
#[test]
fn a_taken_address_is_refused() {
    let world = World::new();
    let (web, other) = (world.container("web", 1), world.container("other", 2));
    world.apply(&web.with_nat()).expect("apply");
    let before = world.state();
    let late = Spec {
        address: web.spec().address,
        ..other.with_nat()
    };
    for refused in [
        world.host.run(|| opened().conflict(&late)),
        world.apply(&late).map(drop),
    ] {
        assert_eq!(
            refused.expect_err("the address is taken").to_string(),
            "cannot forward ports to 10.233.1.2 or masquerade it: container web has it, too"
        );
    }
    assert_eq!(world.state(), before);
}

/// A bridge stays open as long as another container runs, and so does its guard.
#[test]
fn the_guard_of_a_bridge_stays_until_the_last_container_goes() {
    let world = World::new();
    world.add_bridge();
    let before = world.state();
    let web = world.container_on_bridge("web", 2);
    let other = world.container("other", 1);
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    world.apply(&other.with_nat()).expect("apply");
    let guard = "elements = { \"br0\" }";
    assert!(world.state().rules.contains(guard));
    assert!(world.remove("web"));
    assert_eq!(
        world
            .host
            .run(|| read_sysctl("net/ipv4/conf/br0/route_localnet")),
        "1"
    );
    assert!(world.state().rules.contains(guard));
    assert!(world.remove("other"));
    drop((web, other));
    world.wait_for_end_of("vb-web");
    world.wait_for_end_of("ve-other");
    assert_eq!(world.state(), before);
}

/// Without the guard, machines on the bridge could reach local services of the
/// host.
#[test]
fn the_guard_stays_if_the_hosts_loopback_cannot_be_closed() {
    let world = World::new();
    world.add_bridge();
    let before = world.state();
    let web = world.container_on_bridge("web", 2);
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    let record = world.directory.join("sysctls.json");
    let known = fs::read(&record).expect("a record");
    fs::write(&record, "[").expect("write");
    let remove = || {
        world
            .host
            .run(|| opened().remove(&web.name, &world.directory))
    };
    let error = remove().expect_err("the record is broken");
    assert!(matches!(error, Error::File { .. }), "{error:?}");
    let localnet = || read_sysctl("net/ipv4/conf/br0/route_localnet");
    assert_eq!(world.host.run(localnet), "1");
    assert!(world.state().rules.contains("elements = { \"br0\" }"));

    fs::write(&record, known).expect("write");
    assert!(remove().expect("remove"));
    drop(web);
    world.wait_for_end_of("vb-web");
    assert_eq!(world.state(), before);
}

/// The host has its route to the outside from router advertisements.
#[test]
fn the_host_still_accepts_router_advertisements() {
    let world = World::new();
    let web = world.container("web", 1);
    let accept_ra = |link: &str| {
        world
            .host
            .run(|| read_sysctl(&format!("net/ipv6/conf/{link}/accept_ra")))
    };
    assert_eq!(accept_ra("uplink"), "1");
    world.apply(&web.with_nat()).expect("apply");
    assert_eq!(accept_ra("uplink"), "2");
    assert_eq!(accept_ra("ve-web"), "1", "a container is not a router");
    assert!(world.remove("web"));
    assert_eq!(accept_ra("uplink"), "1");
}

#[test]
fn a_chain_that_drops_by_its_policy_is_named_until_its_rules_accept() {
    let world = World::new();
    let web = world.container("web", 1);
    let mut spec = web.forwarding(8080, 80);
    spec.nat = true;
    let diagnosis = || world.host.run(|| opened().diagnose(&spec));
    let rules = |text: &str| world.host.run(|| firewall_world::nft_script(text));
    let rule = |text: &str| rules(&format!("add rule ip guard FORWARD {text}"));
    assert_eq!(diagnosis(), [""; 0]);

    rules(
        "table ip guard { chain FORWARD { type filter hook forward priority 0; policy drop; }; }",
    );
    let command =
        |direction| format!("`nft insert rule ip guard FORWARD {direction} ve-web accept`");
    let sentence = |packets| {
        format!(
            "chain ip guard FORWARD drops packets {packets} unless one of its rules accepts them; \
             let it accept them, such as with {} and {}",
            command("iifname"),
            command("oifname"),
        )
    };
    let both = [sentence(
        "to the forwarded ports and from the container to the outside",
    )];
    for elsewhere in [
        "ct state established accept",
        "iifname \"ve-other\" accept",
        "iifname \"ve-web\" counter",
        "iifname != \"ve-web\" accept",
    ] {
        rule(elsewhere);
        assert_eq!(diagnosis(), both, "{elsewhere}");
    }
    // In a chain to which it jumps.
    rules("add chain ip guard ports { ct status dnat accept; }");
    let outside = sentence("from the container to the outside");
    assert_eq!(diagnosis(), [outside]);
    rule("iifname \"ve-*\" accept");
    assert_eq!(diagnosis(), [""; 0]);

    rules("flush table ip guard");
    assert_eq!(diagnosis(), both);
    for proposed in both[0].split('`').skip(1).step_by(2) {
        let words: Vec<_> = proposed.split(' ').skip(1).collect();
        world.host.run(|| nft(&words));
    }
    assert_eq!(diagnosis(), [""; 0]);
}

#[test]
fn chains_are_named_at_the_hooks_and_in_the_families_of_the_packets() {
    let world = World::new();
    let web = world.container("web", 1);
    let mut spec = Spec {
        address6: None,
        ..web.with_nat()
    };
    let diagnosis = |spec: &Spec| world.host.run(|| opened().diagnose(spec));
    let names = |said: Vec<String>| -> Vec<String> {
        let name = |sentence: &String| {
            sentence
                .split(' ')
                .skip(1)
                .take(3)
                .collect::<Vec<_>>()
                .join(" ")
        };
        said.iter().map(name).collect()
    };
    world.host.run(|| {
        firewall_world::nft_script(
            "table ip6 guard { chain forward { type filter hook forward priority 0; policy drop; }; }
             table bridge guard { chain forward { type filter hook forward priority 0; policy drop; }; }
             table inet guard {
                 chain accepting { type filter hook forward priority 0; policy accept; }
                 chain input { type filter hook input priority 0; policy drop; }
                 chain output { type filter hook output priority 0; policy drop; }
                 chain forward { type filter hook forward priority 0; policy drop; }
             }",
        );
    });
    assert_eq!(names(diagnosis(&spec)), ["inet guard forward"]);
    spec.address6 = web.spec().address6;
    assert_eq!(
        names(diagnosis(&spec)),
        ["inet guard forward", "ip6 guard forward"]
    );
    // Only the host itself sends packets to its loopback.
    let spec = Spec {
        bind_host: vec![ip("127.0.0.1")],
        ..web.forwarding(8080, 80)
    };
    assert_eq!(
        diagnosis(&spec),
        [
            "chain inet guard output drops packets to the forwarded ports unless one of its rules \
             accepts them; let it accept them, such as with `nft insert rule inet guard output \
             oifname ve-web accept`"
        ]
    );
}

#[test]
fn a_process_on_the_port_and_missing_addresses_are_named() {
    let world = World::new();
    let web = world.container("web", 1);
    let spec = Spec {
        bind_host: vec![ip("127.0.0.1"), ip("192.0.2.99"), ip("::1")],
        address6: None,
        ..web.forwarding(8080, 80)
    };
    let _service = world
        .host
        .run(|| UdpSocket::bind("127.0.0.1:8080").expect("bind"));
    let said = world.host.run(|| opened().diagnose(&spec));
    assert_eq!(
        said,
        [
            "no port is forwarded on ::1: the container has no IPv6 address",
            "a process on the host listens on udp 127.0.0.1:8080, too; it cannot be reached \
             there while the port is forwarded",
            "no link of the host has the address 192.0.2.99, where tcp port 8080 is forwarded",
            "no link of the host has the address 192.0.2.99, where udp port 8080 is forwarded",
        ]
    );
    world.host.run(|| add_address("uplink", "192.0.2.99/24"));
    world.apply(&spec).expect("apply");
    web.serve(80)
        .reached_from(&world.outside, "192.0.2.99", 8080);
}
