//! systemd-nspawn's network flags: what each connects a container to, with what
//! crosses it.

mod common;

use common::packets::Protocol::{Sctp, Tcp, Udp};
use common::world::{HOST, OUTSIDE};
use common::{Host, Network};

const FOO: Network<'_> = Network::Container("foo");
const BAR: Network<'_> = Network::Container("bar");

/// Starts a container with these flags alone.
fn start_with(host: &Host, name: &str, flags: &str) -> String {
    host.start_with(name, &format!("EXTRA_NSPAWN_FLAGS=\"{flags}\""))
}

/// Gives a link in a container an address.
fn address(host: &Host, name: &str, link: &str, address: &str) {
    let script = format!("ip address add {address} dev {link}; ip link set {link} up");
    host.inside(name, &script);
}

/// Sends both ways over both protocols.
fn assert_reaches(host: &Host, client: Network<'_>, to: &str, server: Network<'_>) {
    for protocol in [Tcp, Udp] {
        host.exchange(protocol, client, &format!("{to}:7"), (server, 7));
    }
}

#[test]
fn a_private_network_alone_is_loopback() {
    let host = Host::among_others();
    start_with(&host, "foo", "--private-network");
    assert_eq!(host.links_inside("foo"), ["lo"]);
    assert_reaches(&host, FOO, "127.0.0.1", FOO);
}

#[test]
fn links_to_the_host_in_their_long_and_short_forms() {
    let host = Host::among_others();
    start_with(&host, "foo", "-n --network-veth-extra=to-foo:lan0");
    start_with(&host, "bar", "--network-veth --network-veth-extra=wan");
    assert_eq!(host.links_inside("foo"), ["eth0", "lan0", "lo"]);
    assert_eq!(host.links_inside("bar"), ["eth0", "lo", "wan"]);
    for (name, network, inside, outside, net) in [
        ("foo", FOO, "eth0", "ve-foo", "10.7.1"),
        ("foo", FOO, "lan0", "to-foo", "10.7.2"),
        ("bar", BAR, "eth0", "ve-bar", "10.7.3"),
        ("bar", BAR, "wan", "wan", "10.7.4"),
    ] {
        host.shell(&format!("ip address add {net}.1/24 dev {outside}"));
        address(&host, name, inside, &format!("{net}.2/24"));
        assert_reaches(&host, network, &format!("{net}.1"), Network::Host);
    }
}

#[test]
fn a_zone_connects_its_containers_and_goes_with_the_last() {
    let host = Host::among_others();
    for (name, number) in [("foo", 2), ("bar", 3)] {
        start_with(&host, name, "--network-zone=inner");
        address(&host, name, "eth0", &format!("10.7.0.{number}/24"));
    }
    let ports = "ls /sys/class/net/vz-inner/brif";
    assert_eq!(host.shell(ports), "vb-bar\nvb-foo\n");
    assert_reaches(&host, FOO, "10.7.0.3", BAR);
    assert_reaches(&host, BAR, "10.7.0.2", FOO);
    host.run(&["stop", "foo"]);
    assert_eq!(host.shell(ports), "vb-bar\n");
    // Who joins finds who is there.
    start_with(&host, "foo", "--network-zone=inner");
    address(&host, "foo", "eth0", "10.7.0.2/24");
    assert_reaches(&host, FOO, "10.7.0.3", BAR);
    host.run(&["stop", "foo", "bar"]);
    host.shell("! test -e /sys/class/net/vz-inner");
}

#[test]
fn a_bridge_and_interfaces_of_the_host() {
    let host = Host::among_others();
    start_with(
        &host,
        "foo",
        "--network-bridge=br0 --network-interface=nic:lan0 --network-macvlan=uplink:out0",
    );
    assert_eq!(host.links_inside("foo"), ["eth0", "lan0", "lo", "out0"]);
    assert_eq!(host.shell("ls /sys/class/net/br0/brif"), "port\nvb-foo\n");
    host.shell("! test -e /sys/class/net/nic");
    for (link, own, machine, other) in [
        ("eth0", "10.0.0.2/24", "lan", "10.0.0.9"),
        ("lan0", "198.51.100.7/24", "far", "198.51.100.2"),
        ("out0", "10.99.0.7/24", "outside", OUTSIDE),
    ] {
        address(&host, "foo", link, own);
        assert_reaches(&host, FOO, other, Network::Machine(machine));
    }
}

#[test]
fn an_ipvlan_link_has_the_address_of_its_interface() {
    let host = Host::among_others();
    let probe = host
        .command("ip")
        .args("link add link uplink probe type ipvlan".split(' '))
        .output()
        .expect("it runs");
    if !probe.status.success() {
        let why = String::from_utf8_lossy(&probe.stderr);
        println!("skipped: this kernel has no ipvlan links: {}", why.trim());
        // Then a start says the same, and leaves nothing.
        host.configure("foo", "EXTRA_NSPAWN_FLAGS=--network-ipvlan=uplink");
        let before = host.network();
        let error = host.fail(1, &["start", "foo"]);
        let message = "cannot create ipvlan iv-uplink on uplink inside the container: the kernel \
                       does not support it; the kernel has no ipvlan links; try `modprobe ipvlan`";
        assert!(error.contains(message), "{error}");
        host.await_network("after the failed start", &before);
        return;
    }
    host.shell("ip link delete probe");
    start_with(&host, "foo", "--network-ipvlan=uplink");
    assert_eq!(host.links_inside("foo"), ["iv-uplink", "lo"]);
    let hardware = "cat /sys/class/net/uplink/address";
    let inside = host.inside("foo", "cat /sys/class/net/iv-uplink/address");
    assert_eq!(inside, host.shell(hardware));
    address(&host, "foo", "iv-uplink", "10.99.0.7/24");
    assert_reaches(&host, FOO, OUTSIDE, Network::Machine("outside"));
    assert_reaches(&host, Network::Machine("outside"), "10.99.0.7", FOO);
}

#[test]
fn a_namespace_that_exists() {
    let host = Host::among_others();
    start_with(&host, "foo", "--network-namespace-path=/run/netns/outside");
    assert_eq!(host.links_inside("foo"), ["eth0", "lo"]);
    assert_reaches(&host, Network::Host, OUTSIDE, FOO);
}

#[test]
fn ports_in_their_long_and_short_forms() {
    let host = Host::among_others();
    host.start_with(
        "foo",
        "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\n\
         EXTRA_NSPAWN_FLAGS=\"--port=8080:80 -pudp:53:5353 -p 90\"",
    );
    let outside = Network::Machine("outside");
    for (protocol, port, inside) in [(Tcp, 8080, 80), (Udp, 53, 5353), (Tcp, 90, 90)] {
        host.exchange(protocol, outside, &format!("{HOST}:{port}"), (FOO, inside));
    }
}

#[test]
fn sctp_is_forwarded_where_the_kernel_has_it() {
    let host = Host::among_others();
    let conf = "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\n\
                EXTRA_NSPAWN_FLAGS=--port=sctp:8080:80";
    host.start_with("foo", conf);
    let rules = host.shell("nft list map inet nixos-containers ports4");
    assert!(rules.contains("sctp . 8080"), "{rules}");
    if let Err(why) = Sctp.is_available() {
        println!("skipped: this kernel has no SCTP: {why}");
        return;
    }
    let outside = Network::Machine("outside");
    host.exchange(Sctp, outside, &format!("{HOST}:8080"), (FOO, 80));
    host.exchange(Sctp, Network::Host, "127.0.0.1:8080", (FOO, 80));
}
