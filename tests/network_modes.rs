//! Every kind of link that a container can have, with what crosses it, and
//! what the host's network is when it is gone.

mod common;

use common::packets::Protocol::{Tcp, Udp};
use common::world::OUTSIDE;
use common::{Host, Network, wait};

const FOO: Network<'_> = Network::Container("foo");
const BAR: Network<'_> = Network::Container("bar");

/// Sends over both protocols; the client's address as the server sees it.
fn exchange(host: &Host, client: Network<'_>, to: &str, server: Network<'_>) -> String {
    let to = if to.contains(':') {
        format!("[{to}]:7")
    } else {
        format!("{to}:7")
    };
    host.exchange(Udp, client, &to, (server, 7));
    host.exchange(Tcp, client, &to, (server, 7)).to_string()
}

#[test]
fn containers_on_one_bridge_reach_each_other_and_the_lan() {
    let host = Host::among_others();
    let conf = |number| {
        format!(
            "HOST_BRIDGE=br0\nHOST_ADDRESS=10.0.0.1\nLOCAL_ADDRESS=10.0.0.{number}/24\n\
             HOST_ADDRESS6=fd01::1\nLOCAL_ADDRESS6=fd01::{number}/64"
        )
    };
    host.start_with("foo", &conf(2));
    host.start_with("bar", &conf(3));
    let ports = host.shell("ls /sys/class/net/br0/brif");
    assert_eq!(ports, "port\nvb-bar\nvb-foo\n");
    assert_eq!(exchange(&host, FOO, "10.0.0.3", BAR), "10.0.0.2");
    assert_eq!(exchange(&host, BAR, "fd01::2", FOO), "fd01::3");
    let lan = Network::Machine("lan");
    assert_eq!(exchange(&host, lan, "10.0.0.2", FOO), "10.0.0.9");
    assert_eq!(exchange(&host, FOO, "fd01::9", lan), "fd01::2");
    assert_eq!(exchange(&host, FOO, "10.0.0.1", Network::Host), "10.0.0.2");
}

#[test]
fn what_the_host_does_not_have_is_an_error_before_anything_starts() {
    let host = Host::among_others();
    host.configure("foo", "PRIVATE_NETWORK=1");
    let before = host.network();
    for (conf, named) in [
        ("HOST_BRIDGE=br7", "bridge br7: the host has no such link"),
        (
            "HOST_BRIDGE=nic",
            "bridge nic: it is a veth link, not a bridge",
        ),
        (
            "EXTRA_VETHS=lan,hostBridge=br7",
            "bridge br7: the host has no such link",
        ),
        (
            "INTERFACES=nic eth7",
            "interface eth7 into the container: the host has no such link",
        ),
        ("MACVLANS=eth7", "eth7: the host has no such link"),
        ("INTERFACES=lo", "it is the host's loopback"),
        ("NETWORK_NAMESPACE_PATH=/run/netns/none", "/run/netns/none"),
    ] {
        host.configure("foo", conf);
        let error = host.fail(1, &["start", "foo"]);
        assert!(error.contains(named), "{conf}: {error}");
        // No init ran.
        assert!(!error.contains("console"), "{conf}: {error}");
        host.await_network(conf, &before);
    }
}

#[test]
fn hardware_address_and_mtu_are_the_wanted_ones() {
    let host = Host::among_others();
    host.start_with(
        "foo",
        "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\nLOCAL_MAC_ADDRESS=02:00:00:12:34:56",
    );
    let link = host.inside("foo", "cat /sys/class/net/eth0/{address,mtu}");
    assert_eq!(link, "02:00:00:12:34:56\n1480\n", "the uplink's MTU");
    assert_eq!(host.shell("cat /sys/class/net/ve-foo/mtu"), "1480\n");
    let foo = exchange(&host, FOO, "10.233.7.1", Network::Host);
    assert_eq!(foo, "10.233.7.2");
}

#[test]
fn a_hardware_address_nobody_chose_is_the_hosts_own_and_stays() {
    let host = Host::among_others();
    let conf = "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\nEXTRA_VETHS=lan\n\
                MACVLANS=uplink";
    let addresses = |machine: char| {
        let id: String = std::iter::repeat_n(machine, 32).collect();
        host.shell(&format!("echo {id} >/etc/machine-id"));
        host.start_with("foo", conf);
        let addresses = host.inside("foo", "cd /sys/class/net; cat {eth0,lan,mv-uplink}/address");
        host.run(&["stop", "foo"]);
        addresses
    };
    let here = addresses('7');
    assert_eq!(addresses('7'), here, "at the next start");
    let elsewhere = addresses('8');
    for address in here.lines() {
        assert_eq!(here.matches(address).count(), 1, "{here}");
        assert!(!elsewhere.contains(address), "{elsewhere}");
    }
}

#[test]
fn what_a_container_says_of_routers_is_not_heard() {
    let host = Host::among_others();
    host.start_with(
        "foo",
        "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\n\
         HOST_ADDRESS6=fd00:7::1\nLOCAL_ADDRESS6=fd00:7::2\nEXTRA_VETHS=lan,hostName=to-foo\n\
         SPOOF_CHECK=0",
    );
    host.start_with(
        "bar",
        "EXTRA_NSPAWN_FLAGS=--network-zone=inner\nSPOOF_CHECK=0",
    );
    for (name, link, heard_on) in [
        ("foo", "eth0", "ve-foo"),
        ("foo", "lan", "to-foo"),
        ("bar", "eth0", "vz-inner"),
    ] {
        let container = Network::Container(name);
        // A router speaks with its link-local address.
        wait::until("the link has its address", || {
            let tentative = format!("ip -6 address show dev {link} scope link tentative");
            let any = format!("ip -6 address show dev {link} scope link");
            host.inside(name, &tentative).is_empty() && !host.inside(name, &any).is_empty()
        });
        let routes = || host.shell(&format!("ip -6 route show default dev {heard_on}"));
        let received = || {
            host.shell(&format!(
                "grep Icmp6InRouterAdvertisements /proc/net/dev_snmp6/{heard_on}"
            ))
        };
        let before = received();
        host.advertise_router(container, link);
        wait::until("it is received", || received() != before);
        assert_eq!(routes(), "", "{heard_on}");
        // Else it would have been.
        host.shell(&format!(
            "echo 1 >/proc/sys/net/ipv6/conf/{heard_on}/accept_ra"
        ));
        wait::until("the advertisement is heard", || {
            host.advertise_router(container, link);
            routes().contains("proto ra")
        });
    }
}

#[test]
fn further_links_have_their_own_names_addresses_and_bridge() {
    let host = Host::among_others();
    host.start_with(
        "foo",
        "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\n\
         EXTRA_VETHS=lan,hostName=to-foo,hostBridge=br0,localAddress=10.0.0.2/24 \
         dmz,hostAddress=10.8.0.1/24,localAddress=10.8.0.2/24,hostAddress6=fd08::1/64,\
         localAddress6=fd08::2/64",
    );
    assert_eq!(host.links_inside("foo"), ["dmz", "eth0", "lan", "lo"]);
    let lan = Network::Machine("lan");
    assert_eq!(exchange(&host, FOO, "10.0.0.9", lan), "10.0.0.2");
    assert_eq!(exchange(&host, FOO, "10.8.0.1", Network::Host), "10.8.0.2");
    assert_eq!(exchange(&host, Network::Host, "fd08::2", FOO), "fd08::1");
    assert_eq!(
        exchange(&host, Network::Host, "10.233.7.2", FOO),
        "10.233.7.1"
    );
    assert_eq!(host.shell("ls /sys/class/net/br0/brif"), "port\nto-foo\n");
    host.shell("ip link show dev ve-foo.dmz");
    let default = host.inside("foo", "ip -4 route show default");
    assert!(default.contains("via 10.233.7.1 dev eth0"), "{default}");
}

#[test]
fn a_moved_interface_works_inside_and_comes_back() {
    let host = Host::among_others();
    host.configure("foo", "INTERFACES=nic:lan0");
    let before = host.network();
    let far = Network::Machine("far");
    let moved_in = || {
        host.start("foo");
        assert_eq!(host.links_inside("foo"), ["lan0", "lo"]);
        host.shell("! test -e /sys/class/net/nic");
        host.inside(
            "foo",
            "ip link set lan0 up mtu 1300 address 02:00:00:00:00:99
             ip address add 198.51.100.7/24 dev lan0",
        );
        assert_eq!(exchange(&host, FOO, "198.51.100.2", far), "198.51.100.7");
    };
    let is_back = |when| {
        host.await_network(when, &before);
        let seen = exchange(&host, Network::Host, "198.51.100.2", far);
        assert_eq!(seen, "198.51.100.1", "{when}");
    };
    moved_in();
    // Whatever its name is then.
    host.inside("foo", "ip link set lan0 down; ip link set lan0 name other");
    host.run(&["stop", "foo"]);
    is_back("after a stop");

    moved_in();
    host.run(&["terminate", "foo"]);
    is_back("after a termination");

    moved_in();
    host.kill_supervisor("foo");
    moved_in();
    host.run(&["stop", "foo"]);
    is_back("after a kill and the next start");

    moved_in();
    host.kill_supervisor("foo");
    host.run(&["destroy", "foo"]);
    host.await_network("after a kill and the destruction", &before);
}

#[test]
fn what_an_interface_cannot_get_back_is_said_and_logged() {
    let host = Host::among_others();
    host.shell("ip link add br1 type bridge; ip link set nic master br1");
    host.configure("foo", "INTERFACES=nic");
    let lost = "cannot restore the master br1 of interface nic: there is no such link";
    host.start("foo");
    host.shell("ip link delete br1");
    let stop = host.try_run(&["stop", "foo"]);
    let said = String::from_utf8_lossy(&stop.stderr);
    assert_eq!(said, format!("note: {lost}\n"));
    let logged = || {
        host.run(&["logs", "foo"])
            .contains(&format!("\nnixos-container: {lost}\n"))
    };
    assert!(logged());

    // No command listens when it ends by itself.
    host.shell("ip link add br1 type bridge; ip link set nic master br1");
    host.start("foo");
    host.shell("ip link delete br1");
    host.inside("foo", "systemctl poweroff");
    wait::until("it is logged", logged);
    assert!(host.shell("ip -o link show nic").contains("nic"));
}

#[test]
fn an_interface_is_one_containers_at_a_time() {
    let host = Host::among_others();
    host.start_with("foo", "INTERFACES=nic");
    let before = host.network();
    host.configure("bar", "INTERFACES=nic");
    let error = host.fail(1, &["start", "bar"]);
    assert!(error.contains("interface nic"), "{error}");
    // What it has is no reason for the second start of its own to fail.
    host.run(&["start", "foo"]);
    host.await_network("after the failed start", &before);
    host.run(&["stop", "foo"]);
    host.run(&["start", "bar"]);
    assert_eq!(host.links_inside("bar"), ["lo", "nic"]);
}

#[test]
fn a_macvlan_link_is_a_neighbour_of_the_host_and_others() {
    let host = Host::among_others();
    for (name, address) in [("foo", "10.99.0.7"), ("bar", "10.99.0.8")] {
        host.start_with(name, "MACVLANS=uplink");
        assert_eq!(host.links_inside(name), ["lo", "mv-uplink"]);
        let script = format!("ip address add {address}/24 dev mv-uplink; ip link set mv-uplink up");
        host.inside(name, &script);
    }
    let outside = Network::Machine("outside");
    assert_eq!(exchange(&host, FOO, OUTSIDE, outside), "10.99.0.7");
    assert_eq!(exchange(&host, outside, "10.99.0.8", BAR), OUTSIDE);
    assert_eq!(exchange(&host, FOO, "10.99.0.8", BAR), "10.99.0.7");
}

#[test]
fn an_existing_namespace_is_used_as_it_is_and_stays() {
    let host = Host::among_others();
    host.configure("foo", "NETWORK_NAMESPACE_PATH=/run/netns/outside");
    let before = host.network();
    let links = "ip -n outside -o address; ip -n outside route";
    let links_before = host.shell(links);
    host.run(&["start", "foo"]);
    assert_eq!(host.links_inside("foo"), ["eth0", "lo"]);
    assert_eq!(exchange(&host, Network::Host, OUTSIDE, FOO), "10.99.0.1");
    host.run(&["stop", "foo"]);
    host.await_network("after the stop", &before);
    assert_eq!(host.shell(links), links_before);

    for other in ["PRIVATE_NETWORK=1", "HOST_BRIDGE=br0", "MACVLANS=uplink"] {
        host.configure(
            "foo",
            &format!("NETWORK_NAMESPACE_PATH=/run/netns/outside\n{other}"),
        );
        let error = host.fail(1, &["start", "foo"]);
        let (key, _) = other.split_once('=').expect("a key");
        assert!(
            error.contains("NETWORK_NAMESPACE_PATH cannot be combined with"),
            "{error}"
        );
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn the_hosts_network_is_shared_and_loopback_alone_is_not() {
    let host = Host::among_others();
    host.start_with("foo", "PRIVATE_NETWORK=0");
    host.start_with("bar", "PRIVATE_NETWORK=1");
    let outside = Network::Machine("outside");
    assert_eq!(exchange(&host, FOO, OUTSIDE, outside), "10.99.0.1");
    assert_eq!(exchange(&host, outside, "10.99.0.1", FOO), OUTSIDE);
    assert_eq!(host.links_inside("bar"), ["lo"]);
    assert_eq!(exchange(&host, BAR, "127.0.0.1", BAR), "127.0.0.1");
    assert_eq!(exchange(&host, BAR, "::1", BAR), "::1");
}

#[test]
fn long_names_with_the_same_beginning_have_links_of_their_own() {
    let host = Host::among_others();
    let names = [
        "a-name-with-sixty-four-bytes-of-which-only-the-last-is-its-own-1",
        "a-name-with-sixty-four-bytes-of-which-only-the-last-is-its-own-2",
    ];
    for (name, number) in names.iter().zip(1..) {
        host.start_with(
            name,
            &format!(
                "HOST_ADDRESS=10.233.{number}.1\nLOCAL_ADDRESS=10.233.{number}.2\n\
                 HOST_PORT=808{number}:7,udp:808{number}:7\nNAT=1"
            ),
        );
    }
    for (name, number) in names.iter().zip(1..) {
        let address = format!("10.233.{number}.2");
        let network = Network::Container(name);
        assert_eq!(
            exchange(&host, Network::Host, &address, network),
            format!("10.233.{number}.1")
        );
        host.exchange(
            Udp,
            Network::Machine("outside"),
            &format!("10.99.0.1:808{number}"),
            (network, 7),
        );
        let link = host.shell(&format!("ip -o link show dev ve-{name}"));
        assert!(link.contains(": ve-a-name-w"), "{link}");
    }
}
