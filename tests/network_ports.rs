//! Ways into private networks and out of them: forwarded ports and NAT.

mod common;

use common::packets::Protocol::{Tcp, Udp};
use common::world::{HOST, HOST6, OUTSIDE, OUTSIDE6};
use common::{Host, Network};

const THE_OUTSIDE: Network<'_> = Network::Machine("outside");

/// Addresses of both families.
const ADDRESSES: &str = "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\n\
                         HOST_ADDRESS6=fd00:7::1\nLOCAL_ADDRESS6=fd00:7::2";

/// Where a container listens.
const INSIDE: (Network<'_>, u16) = (Network::Container("foo"), 80);

fn with_ports(ports: &str) -> Host {
    let host = Host::among_others();
    host.start_with("foo", &format!("{ADDRESSES}\nHOST_PORT={ports}"));
    host
}

fn v4(port: u16, address: &str) -> String {
    format!("{address}:{port}")
}

fn v6(port: u16, address: &str) -> String {
    format!("[{address}]:{port}")
}

#[test]
fn a_forwarded_port_is_reached_from_everywhere() {
    let host = with_ports("tcp:8080:80,udp:8080:80");
    for protocol in [Tcp, Udp] {
        // From another machine, whose address the container sees.
        let seen = host.exchange(protocol, THE_OUTSIDE, &v4(8080, HOST), INSIDE);
        assert_eq!(seen.to_string(), OUTSIDE, "{protocol:?}");
        let seen = host.exchange(protocol, THE_OUTSIDE, &v6(8080, HOST6), INSIDE);
        assert_eq!(seen.to_string(), OUTSIDE6, "{protocol:?}");
        // From the host, by its addresses and by its loopback.
        for to in [HOST, "127.0.0.1", "127.0.0.77", "10.0.0.1"] {
            host.exchange(protocol, Network::Host, &v4(8080, to), INSIDE);
        }
        for to in [HOST6, "::1"] {
            host.exchange(protocol, Network::Host, &v6(8080, to), INSIDE);
        }
    }
    // Only what was asked for.
    host.refuse(Tcp, THE_OUTSIDE, &v4(80, HOST), INSIDE);
    host.refuse(Tcp, Network::Host, &v6(80, "::1"), INSIDE);
}

#[test]
fn a_port_is_of_one_protocol() {
    let host = with_ports("udp:53:80");
    host.exchange(Udp, THE_OUTSIDE, &v4(53, HOST), INSIDE);
    host.refuse(Tcp, THE_OUTSIDE, &v4(53, HOST), INSIDE);
    host.refuse(Tcp, THE_OUTSIDE, &v6(53, HOST6), INSIDE);
}

#[test]
fn bind_host_is_the_only_address_that_answers() {
    let host = Host::among_others();
    let conf = format!("{ADDRESSES}\nHOST_PORT=tcp:8080:80,udp:8080:80\nBIND_HOST=10.0.0.1");
    host.start_with("foo", &conf);
    let lan = Network::Machine("lan");
    for protocol in [Tcp, Udp] {
        host.exchange(protocol, lan, &v4(8080, "10.0.0.1"), INSIDE);
        host.exchange(protocol, Network::Host, &v4(8080, "10.0.0.1"), INSIDE);
        for to in [HOST, "127.0.0.1"] {
            host.refuse(protocol, Network::Host, &v4(8080, to), INSIDE);
        }
        host.refuse(protocol, THE_OUTSIDE, &v4(8080, HOST), INSIDE);
        host.refuse(protocol, THE_OUTSIDE, &v6(8080, HOST6), INSIDE);
        host.refuse(protocol, Network::Host, &v6(8080, "::1"), INSIDE);
    }
    host.run(&["stop", "foo"]);

    // The loopback alone is closed to all others.
    let conf = format!("{ADDRESSES}\nHOST_PORT=8080:80\nBIND_HOST=127.0.0.1 ::1");
    host.start_with("foo", &conf);
    host.exchange(Tcp, Network::Host, &v4(8080, "127.0.0.1"), INSIDE);
    host.exchange(Tcp, Network::Host, &v6(8080, "::1"), INSIDE);
    host.refuse(Tcp, Network::Host, &v4(8080, HOST), INSIDE);
    host.refuse(Tcp, THE_OUTSIDE, &v4(8080, HOST), INSIDE);
    host.refuse(Tcp, THE_OUTSIDE, &v6(8080, HOST6), INSIDE);
}

#[test]
fn a_port_follows_the_container_to_another_address() {
    let host = with_ports("8080:80,udp:8080:80");
    host.configure(
        "foo",
        "HOST_ADDRESS=10.233.8.1\nLOCAL_ADDRESS=10.233.8.2\n\
         HOST_ADDRESS6=fd00:8::1\nLOCAL_ADDRESS6=fd00:8::2\nHOST_PORT=8080:80,udp:8080:80",
    );
    host.run(&["restart", "foo"]);
    for protocol in [Tcp, Udp] {
        host.exchange(protocol, THE_OUTSIDE, &v4(8080, HOST), INSIDE);
        host.exchange(protocol, Network::Host, &v4(8080, "127.0.0.1"), INSIDE);
        host.exchange(protocol, THE_OUTSIDE, &v6(8080, HOST6), INSIDE);
    }
}

const ON_A_BRIDGE: &str = "HOST_BRIDGE=br0\nHOST_ADDRESS=10.0.0.1\nLOCAL_ADDRESS=10.0.0.2/24\n\
                           HOST_ADDRESS6=fd01::1\nLOCAL_ADDRESS6=fd01::2/64\n\
                           HOST_PORT=8080:80,udp:8080:80";

/// Whether netfilter sees what bridges pass on, as wherever Docker is.
fn has_br_netfilter(host: &Host) -> bool {
    let value = host.shell("sysctl --ignore --values net.bridge.bridge-nf-call-ip6tables");
    value == "1\n"
}

#[test]
fn a_port_on_a_bridge_is_reached_from_the_hosts_loopback() {
    let host = Host::among_others();
    let said = host.start_with("foo", ON_A_BRIDGE);
    let unreached = said.contains("do not answer on the host's ::1");
    assert_eq!(unreached, has_br_netfilter(&host), "{said}");
    host.exchange(Tcp, Network::Host, &v4(8080, "127.0.0.1"), INSIDE);
    if unreached {
        // As it says.
        host.shell("sysctl -qw net.bridge.bridge-nf-call-ip6tables=0");
    }
    for protocol in [Tcp, Udp] {
        host.exchange(protocol, Network::Host, &v4(8080, "127.0.0.1"), INSIDE);
        host.exchange(protocol, Network::Host, &v6(8080, "::1"), INSIDE);
    }
}

#[test]
fn a_port_leads_to_a_container_on_a_bridge_too() {
    let host = Host::among_others();
    host.start_with("foo", ON_A_BRIDGE);
    for protocol in [Tcp, Udp] {
        host.exchange(protocol, THE_OUTSIDE, &v4(8080, HOST), INSIDE);
        host.exchange(protocol, THE_OUTSIDE, &v6(8080, HOST6), INSIDE);
        host.exchange(protocol, Network::Host, &v4(8080, HOST), INSIDE);
        // A neighbour of the container, which would otherwise be answered
        // directly.
        host.exchange(
            protocol,
            Network::Machine("lan"),
            &v4(8080, "10.0.0.1"),
            INSIDE,
        );
        // The container itself, which sees the host.
        for (to, host_address) in [
            (v4(8080, "10.0.0.1"), "10.0.0.1"),
            (v6(8080, "fd01::1"), "fd01::1"),
        ] {
            let seen = host.exchange(protocol, INSIDE.0, &to, INSIDE);
            assert_eq!(seen.to_string(), host_address, "{protocol:?}");
        }
    }
}

#[test]
fn of_two_containers_with_one_port_the_second_fails_and_names_the_first() {
    let host = with_ports("8080:80");
    let before = host.network();
    host.configure(
        "bar",
        "HOST_ADDRESS=10.233.9.1\nLOCAL_ADDRESS=10.233.9.2\nHOST_PORT=8080:81",
    );
    let error = host.fail(1, &["start", "bar"]);
    assert!(error.contains("tcp port 8080"), "{error}");
    assert!(error.contains("container foo has it"), "{error}");
    host.await_network("after the failed start", &before);
    host.exchange(Tcp, THE_OUTSIDE, &v4(8080, HOST), INSIDE);

    // Another protocol is another port, and a port that is free again is free.
    host.configure(
        "bar",
        "HOST_ADDRESS=10.233.9.1\nLOCAL_ADDRESS=10.233.9.2\nHOST_PORT=udp:8080:81",
    );
    host.run(&["start", "bar"]);
    let bar = (Network::Container("bar"), 81);
    host.exchange(Udp, THE_OUTSIDE, &v4(8080, HOST), bar);
    host.exchange(Tcp, THE_OUTSIDE, &v4(8080, HOST), INSIDE);
    host.run(&["stop", "foo", "bar"]);
    host.start_with(
        "bar",
        "HOST_ADDRESS=10.233.9.1\nLOCAL_ADDRESS=10.233.9.2\nHOST_PORT=8080:81",
    );
    host.exchange(Tcp, THE_OUTSIDE, &v4(8080, HOST), bar);
}

#[test]
fn containers_reach_the_outside_as_the_host() {
    let host = Host::among_others();
    let said = host.start_with("foo", &format!("{ADDRESSES}\nNAT=1"));
    assert!(said.contains("net.ipv4.ip_forward"), "{said}");
    assert!(said.contains("net.ipv6.conf.all.forwarding"), "{said}");
    let foo = Network::Container("foo");
    let server = (THE_OUTSIDE, 7);
    for protocol in [Tcp, Udp] {
        let seen = host.exchange(protocol, foo, &v4(7, OUTSIDE), server);
        assert_eq!(seen.to_string(), HOST);
        let seen = host.exchange(protocol, foo, &v6(7, OUTSIDE6), server);
        assert_eq!(seen.to_string(), HOST6);
        // The host itself sees who it is.
        let seen = host.exchange(protocol, foo, "10.233.7.1:7", (Network::Host, 7));
        assert_eq!(seen.to_string(), "10.233.7.2");
    }
    host.inside("foo", "ping -c 1 -W 5 10.99.0.2; ping -c 1 -W 5 fd99::2");
}

#[test]
fn without_nat_the_outside_does_not_answer() {
    let host = Host::among_others();
    let said = host.start_with("foo", ADDRESSES);
    assert_eq!(said, "");
    host.inside(
        "foo",
        "ping -c 1 -W 5 10.233.7.1; ! ping -c 1 -W 1 10.99.0.2",
    );
}

#[test]
fn the_last_container_puts_forwarding_back() {
    let host = Host::among_others();
    let before = host.network();
    let forwarding = || host.shell("sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding");
    assert_eq!(forwarding(), "0\n0\n");
    host.start_with("foo", &format!("{ADDRESSES}\nNAT=1"));
    assert_eq!(forwarding(), "1\n1\n");
    let said = host.start_with(
        "bar",
        "HOST_ADDRESS=10.233.9.1\nLOCAL_ADDRESS=10.233.9.2\nNAT=1",
    );
    assert_eq!(said, "", "it has been on");
    host.run(&["stop", "foo"]);
    assert_eq!(forwarding(), "1\n1\n");
    let bar = Network::Container("bar");
    host.exchange(Tcp, bar, &v4(7, OUTSIDE), (THE_OUTSIDE, 7));
    host.run(&["stop", "bar"]);
    host.await_network("after the last stop", &before);
}

#[test]
fn forwarding_that_was_on_stays_on() {
    let host = Host::among_others();
    host.shell(
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
    );
    let before = host.network();
    let said = host.start_with("foo", &format!("{ADDRESSES}\nNAT=1"));
    assert_eq!(said, "");
    host.run(&["stop", "foo"]);
    host.await_network("after the stop", &before);
}

#[test]
fn what_of_the_hosts_rules_is_in_the_way_is_named_and_can_be_mended_as_it_says() {
    let host = Host::among_others();
    host.shell(
        "nft add table inet strict
         nft add chain inet strict passing '{ type filter hook forward priority 5; policy drop; }'",
    );
    let before = host.network();
    let said = host.start_with("foo", &format!("{ADDRESSES}\nHOST_PORT=8080:80\nNAT=1"));
    let named = said
        .lines()
        .find(|line| line.starts_with("note: chain inet strict passing drops "))
        .unwrap_or_else(|| panic!("{said}"));
    let what = "packets to the forwarded ports and from the container to the outside";
    assert!(named.contains(what), "{named}");
    // A policy that accepts is not to blame.
    assert!(!said.contains("inet own"), "{said}");
    for command in named.split('`').skip(1).step_by(2) {
        host.shell(command);
    }
    let foo = Network::Container("foo");
    for (outside, own) in [(OUTSIDE, HOST), (OUTSIDE6, HOST6)] {
        let to = |address: &str, port| match address.contains(':') {
            true => v6(port, address),
            false => v4(port, address),
        };
        host.exchange(Tcp, THE_OUTSIDE, &to(own, 8080), INSIDE);
        host.exchange(Tcp, foo, &to(outside, 7), (THE_OUTSIDE, 7));
    }
    host.run(&["stop", "foo"]);
    host.shell("nft flush chain inet strict passing");
    host.await_network("after the stop", &before);
}

#[test]
fn a_hundred_words_of_ports_are_one_start() {
    let host = Host::among_others();
    let ports: Vec<String> = (0..100)
        .map(|n| format!("{}:{}", 2000 + n, 3000 + n))
        .collect();
    host.start_with(
        "foo",
        &format!("{ADDRESSES}\nHOST_PORT={}", ports.join(",")),
    );
    for (port, inside) in [(2000, 3000), (2099, 3099)] {
        let server = (Network::Container("foo"), inside);
        host.exchange(Tcp, THE_OUTSIDE, &v4(port, HOST), server);
    }
}
