//! A veth pair between two real namespaces: the kernel's state afterwards, and
//! packets through it.

#![allow(missing_docs)]

mod common;
mod observe;

use netns::{HostLink, Spec, Veth};

use common::{World, ip, name, spec, veth4, veth6};
use observe::observe;

#[test]
fn loopback_alone_works() {
    let world = World::new();
    let spec = Spec::new(name("web"), "/nonexistent");
    world.apply(&spec).expect("apply");
    let seen = world.container.run(observe);
    assert_eq!(seen.links, ["lo up"]);
    world.container.run(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
        let own = socket.local_addr().expect("address");
        socket.send_to(b"x", own).expect("send over loopback");
    });
}

#[test]
fn ipv4() {
    let world = World::new();
    let veth = veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32"));
    world.apply(&spec("web", veth)).expect("apply");

    let host = world.host.run(observe);
    assert_eq!(host.links, ["lo down", "ve-web up"]);
    assert_eq!(host.addresses("ve-web"), ["10.233.1.1/32"]);
    assert_eq!(host.routes("ve-web"), ["10.233.1.2/32"]);

    let container = world.container.run(observe);
    assert_eq!(container.links, ["lo up", "eth0 up"]);
    assert_eq!(container.addresses("eth0"), ["10.233.1.2/32"]);
    assert_eq!(
        container.routes("eth0"),
        ["0.0.0.0/0 via 10.233.1.1", "10.233.1.1/32"]
    );
    world.assert_traffic("10.233.1.1", "10.233.1.2");
}

#[test]
fn ipv6() {
    let world = World::new();
    let veth = veth6(Some("fd00::1/128"), Some("fd00::2/128"));
    world.apply(&spec("web", veth)).expect("apply");
    // At once: no address waits for duplicate address detection.
    world.assert_traffic("fd00::1", "fd00::2");

    let host = world.host.run(observe);
    assert_eq!(host.addresses("ve-web"), ["fd00::1/128"]);
    assert_eq!(host.routes("ve-web"), ["fd00::2/128"]);
    let container = world.container.run(observe);
    assert_eq!(container.addresses("eth0"), ["fd00::2/128"]);
    assert_eq!(
        container.routes("eth0"),
        ["::/0 via fd00::1", "fd00::1/128"]
    );
}

#[test]
fn both_families() {
    let world = World::new();
    let v4 = veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32"));
    let v6 = veth6(Some("fd00::1/128"), Some("fd00::2/128"));
    let veth = Veth {
        host_address6: v6.host_address6,
        local_address6: v6.local_address6,
        ..v4
    };
    world.apply(&spec("web", veth)).expect("apply");
    world.assert_traffic("10.233.1.1", "10.233.1.2");
    world.assert_traffic("fd00::1", "fd00::2");
}

#[test]
fn prefixes_that_cover_the_other_end() {
    for (host, local) in [
        ("10.0.0.1/24", "10.0.0.2/24"),
        ("10.0.0.1/32", "10.0.0.2/24"),
        ("10.0.0.1/24", "10.0.0.2/32"),
    ] {
        let world = World::new();
        let veth = veth4(Some(host), Some(local));
        world.apply(&spec("web", veth)).expect("apply");
        world.assert_traffic("10.0.0.1", "10.0.0.2");
    }
    for (host, local) in [
        ("fd00::1/64", "fd00::2/64"),
        ("fd00::1/128", "fd00::2/64"),
        ("fd00::1/64", "fd00::2/128"),
    ] {
        let world = World::new();
        let veth = veth6(Some(host), Some(local));
        world.apply(&spec("web", veth)).expect("apply");
        world.assert_traffic("fd00::1", "fd00::2");
    }
}

/// The container then configures its end itself.
#[test]
fn a_host_address_alone() {
    let world = World::new();
    let veth = veth4(Some("10.233.1.1/32"), None);
    world.apply(&spec("web", veth)).expect("apply");
    let container = world.container.run(observe);
    assert!(container.addresses("eth0").is_empty());
    assert_eq!(
        container.routes("eth0"),
        ["0.0.0.0/0 via 10.233.1.1", "10.233.1.1/32"]
    );
}

#[test]
fn a_local_address_alone() {
    let world = World::new();
    let veth = veth4(None, Some("10.233.1.2/32"));
    world.apply(&spec("web", veth)).expect("apply");
    assert_eq!(world.host.run(observe).routes("ve-web"), ["10.233.1.2/32"]);
    assert!(world.container.run(observe).routes("eth0").is_empty());
}

#[test]
fn long_names_are_found_by_their_altname() {
    let world = World::new();
    let names = ["a-long-container-name-1", "a-long-container-name-2"];
    let veth = veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32"));
    world.apply(&spec(names[0], veth)).expect("apply");
    let second = world.with_another_container();
    let veth = veth4(Some("10.233.2.1/32"), Some("10.233.2.2/32"));
    second.apply(&spec(names[1], veth)).expect("apply");
    second.assert_traffic("10.233.2.1", "10.233.2.2");

    let host = second.host.run(observe);
    for container in names {
        let link = HostLink::veth(&name(container));
        assert_eq!(host.altnames(link.interface()), [format!("ve-{container}")]);
    }
}

#[test]
fn an_existing_link_is_an_error_that_names_it() {
    let world = World::new();
    let spec = spec("web", veth4(Some("10.233.1.1/32"), None));
    world.apply(&spec).expect("apply");
    let other = world.with_another_container();
    let error = other.apply(&spec).expect_err("the link is there");
    assert_eq!(
        error.to_string(),
        "cannot create veth ve-web, up, with peer eth0 inside the container: it exists already"
    );
    assert!(
        error
            .hint()
            .expect("a hint")
            .contains("ip link show ve-web")
    );
    assert!(matches!(error, netns::Error::Step { .. }));
}

#[test]
fn two_containers_can_share_the_hosts_address() {
    let world = World::new();
    let both = |local4, local6| Veth {
        host_address6: Some("fd00::1/128".parse().expect("an address")),
        local_address6: veth6(None, Some(local6)).local_address6,
        ..veth4(Some("10.233.1.1/32"), Some(local4))
    };
    let first = spec("web", both("10.233.1.2/32", "fd00::2/128"));
    world.apply(&first).expect("apply");
    world.assert_traffic("10.233.1.1", "10.233.1.2");
    let second = world.with_another_container();
    let spec = spec("db", both("10.233.1.3/32", "fd00::3/128"));
    second.apply(&spec).expect("apply");
    second.assert_traffic("10.233.1.1", "10.233.1.3");
    second.assert_traffic("fd00::1", "fd00::3");
}

#[test]
fn two_containers_with_one_address_are_an_error() {
    let world = World::new();
    let veth = veth4(None, Some("10.233.1.2/32"));
    world.apply(&spec("web", veth.clone())).expect("apply");
    let error = world
        .with_another_container()
        .apply(&spec("db", veth))
        .expect_err("the route is there");
    assert_eq!(
        error.to_string(),
        "cannot add route to 10.233.1.2/32 through ve-db: it exists already"
    );
    assert!(error.hint().expect("a hint").contains("another container"));
}

#[test]
fn the_containers_end_has_the_address_that_it_was_given() {
    let world = World::new();
    let veth = Veth {
        mac_address: Some("02:00:00:00:00:05".parse().expect("an address")),
        ..veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32"))
    };
    world.apply(&spec("web", veth)).expect("apply");
    let link = world.container.run(|| ip("link show eth0"));
    assert!(link.contains("link/ether 02:00:00:00:00:05 "), "{link}");
    world.assert_traffic("10.233.1.1", "10.233.1.2");
}

#[test]
fn both_ends_have_the_mtu_of_the_uplink() {
    for (address, gateway) in [("192.168.7.2/24", "192.168.7.1"), ("fd07::2/64", "fd07::1")] {
        let world = World::new();
        world.host.run(|| {
            assert_eq!(netns::uplink_mtu().expect("no default route"), None);
            ip("link add uplink mtu 1380 up type veth peer name in");
            ip(&format!("address add {address} dev uplink nodad"));
            // Its routes are used once its other end is up.
            ip("link set in up");
            ip(&format!("route add default via {gateway}"));
            assert_eq!(netns::uplink_mtu().expect("a default route"), Some(1380));
        });
        let veth = Veth {
            mtu: world.host.run(netns::uplink_mtu).expect("a default route"),
            ..veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32"))
        };
        world.apply(&spec("web", veth)).expect("apply");
        for (namespace, link) in [(&*world.host, "ve-web"), (&world.container, "eth0")] {
            let words = namespace.run(|| ip(&format!("link show {link}")));
            assert!(words.contains(" mtu 1380 "), "{words}");
        }
        world.assert_traffic("10.233.1.1", "10.233.1.2");
    }
}

/// The host itself has an address that is asked for.
#[test]
fn the_uplink_is_found_by_a_host_with_an_address_for_documentation() {
    for (address, gateway) in [
        ("192.0.2.1/32", "192.168.7.1"),
        ("2001:db8::1/128", "fd07::1"),
    ] {
        let world = World::new();
        let found = world.host.run(|| {
            ip("link set lo up");
            ip("link add uplink mtu 1380 up type veth peer name in");
            ip("link set in up");
            ip("address add 192.168.7.2/24 dev uplink");
            ip("address add fd07::2/64 dev uplink nodad");
            ip(&format!("address add {address} dev uplink"));
            ip(&format!("route add default via {gateway}"));
            netns::uplink_mtu().expect("a default route")
        });
        assert_eq!(found, Some(1380), "with {address}");
    }
}

/// The container can still have IPv6 addresses.
#[test]
fn a_slow_uplink_leaves_ipv6_possible() {
    let world = World::new();
    world.host.run(|| {
        ip("link add uplink mtu 576 up type veth peer name in");
        ip("link set in up");
        ip("address add 192.168.7.2/24 dev uplink");
        ip("route add default via 192.168.7.1");
    });
    let veth = Veth {
        mtu: world.host.run(netns::uplink_mtu).expect("a default route"),
        ..veth6(Some("fd00::1/128"), Some("fd00::2/128"))
    };
    assert_eq!(veth.mtu, Some(1280));
    world.apply(&spec("web", veth)).expect("apply");
    world.assert_traffic("fd00::1", "fd00::2");
}

#[test]
fn ipv6_that_is_switched_off_is_named() {
    let world = World::new();
    world.container.run(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").expect("sysctl");
    });
    let error = world
        .apply(&spec("web", veth6(None, Some("fd00::2/128"))))
        .expect_err("no IPv6 in the container");
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("net.ipv6.conf.eth0.disable_ipv6"), "{hint}");
}

#[test]
fn a_descriptor_of_something_else_is_an_error() {
    let world = World::new();
    let file = std::fs::File::open("/dev/null").expect("/dev/null");
    let error = world
        .host
        .run(|| netns::apply(&[], std::os::fd::AsFd::as_fd(&file)))
        .expect_err("not a namespace");
    assert!(
        error
            .to_string()
            .starts_with("cannot enter the container's network namespace: "),
        "{error}"
    );
}

#[test]
fn the_caller_stays_in_its_namespace() {
    let world = World::new();
    let plan = netns::plan(&spec("web", Veth::default()));
    let link = || std::fs::read_link("/proc/thread-self/ns/net").expect("own namespace");
    world.host.run(|| {
        let before = link();
        netns::apply(&plan, world.container.fd()).expect("apply");
        assert_eq!(link(), before);
    });
}
