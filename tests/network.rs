//! The network of a running container, seen from both of its ends.

mod common;

use std::process::Stdio;

use common::{Host, minimal_system, wait};

/// Where a command runs.
#[derive(Clone, Copy)]
enum Side<'a> {
    Host,
    Container(&'a str),
}

/// Runs a shell script there, which must succeed; what it printed.
fn shell(host: &Host, side: Side<'_>, script: &str) -> String {
    match side {
        Side::Host => host.shell(script),
        Side::Container(name) => host.run(&["run", name, "--", "bash", "-euc", script]),
    }
}

/// The tree's busybox, which runs anywhere at this path.
fn busybox(host: &Host, container: &str) -> String {
    let path = "/run/current-system/sw/bin/busybox";
    let real = host.run(&["run", container, "--", "readlink", "-f", path]);
    real.trim().to_owned()
}

/// Sends a megabyte over TCP from one side to an address of the other, which
/// sends it back. The sides must be those of the same container.
fn assert_carries(host: &Host, container: &str, from: Side<'_>, address: &str) {
    let busybox = busybox(host, container);
    let answer = format!("exec {busybox} nc -l -p 7777 -e cat");
    let mut answering = match from {
        Side::Host => host.nixos_container(&["run", container, "--", "sh", "-c", &answer]),
        Side::Container(_) => {
            let mut command = host.command("sh");
            command.args(["-c", &answer]);
            command
        }
    };
    let mut answering = answering.stdin(Stdio::null()).spawn().expect("it runs");
    // Refused until the other side listens.
    shell(
        host,
        from,
        &format!(
            "cd $(mktemp -d); head -c 1000000 /dev/urandom >sent
             for try in {{1..500}}; do
                 timeout 10 {busybox} nc {address} 7777 <sent >received 2>/dev/null && break
                 sleep 0.01
             done
             cmp sent received"
        ),
    );
    let _ = answering.kill();
    answering.wait().expect("waitable");
}

/// The addresses of a link in one family (4 or 6) that reach beyond it, sorted.
fn addresses(host: &Host, side: Side<'_>, family: u8, link: &str) -> Vec<String> {
    let script = format!("ip -{family} -o address show dev {link} scope global");
    let mut addresses: Vec<_> = shell(host, side, &script)
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .map(str::to_owned)
        .collect();
    addresses.sort();
    addresses
}

/// The names of all links.
fn links(host: &Host, side: Side<'_>) -> Vec<String> {
    shell(host, side, "ls /sys/class/net")
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

fn address(host: &Host, name: &str) -> String {
    host.run(&["show-ip", name]).trim().to_owned()
}

#[test]
fn host_and_container_reach_each_other() {
    let host = Host::new();
    host.create_and_start("foo");
    let inside = Side::Container("foo");
    assert_eq!(address(&host, "foo"), "10.233.1.2");
    assert_eq!(addresses(&host, inside, 4, "eth0"), ["10.233.1.2/32"]);
    assert_eq!(addresses(&host, Side::Host, 4, "ve-foo"), ["10.233.1.1/32"]);
    assert_eq!(links(&host, inside), ["eth0", "lo"]);

    shell(&host, inside, "ping -c 1 -W 5 10.233.1.1");
    assert_carries(&host, "foo", Side::Host, "10.233.1.2");
    assert_carries(&host, "foo", inside, "10.233.1.1");

    let route = shell(&host, inside, "ip -4 route show default");
    assert!(
        route.starts_with("default via 10.233.1.1 dev eth0"),
        "{route}"
    );
    shell(&host, inside, "ping -c 1 -W 5 127.0.0.1");
    shell(&host, inside, "ping -c 1 -W 5 ::1");
}

#[test]
fn addresses_are_those_that_were_asked_for() {
    let host = Host::new();
    let system = ["--system-path", minimal_system()];
    let name = "with-a-name-longer-than-an-interface-may-have";
    let asked = [
        "--host-address",
        "192.0.2.1",
        "--local-address",
        "198.51.100.7",
    ];
    host.run(&[&["create", name], &system[..], &asked].concat());
    host.run(&["start", name]);
    assert_eq!(address(&host, name), "198.51.100.7");
    let inside = Side::Container(name);
    assert_eq!(addresses(&host, inside, 4, "eth0"), ["198.51.100.7/32"]);
    let link = format!("ve-{name}");
    assert_eq!(addresses(&host, Side::Host, 4, &link), ["192.0.2.1/32"]);
    assert_carries(&host, name, Side::Host, "198.51.100.7");
    assert_carries(&host, name, inside, "192.0.2.1");

    let asked = [
        "--host-address",
        "10.7.0.1/24",
        "--local-address",
        "10.7.0.9/24",
    ];
    host.run(&[&["create", "net"], &system[..], &asked].concat());
    host.run(&["start", "net"]);
    assert_eq!(address(&host, "net"), "10.7.0.9");
    assert_eq!(addresses(&host, Side::Host, 4, "ve-net"), ["10.7.0.1/24"]);
    let inside = Side::Container("net");
    assert_eq!(addresses(&host, inside, 4, "eth0"), ["10.7.0.9/24"]);
    shell(&host, inside, "ping -c 1 -W 5 10.7.0.1");
}

#[test]
fn ipv6_works_as_soon_as_the_container_has_started() {
    let host = Host::new();
    host.create("foo");
    host.configure(
        "foo",
        "PRIVATE_NETWORK=1\nHOST_ADDRESS6=fd00:233::1\nLOCAL_ADDRESS6=fd00:233::2",
    );
    host.run(&["start", "foo"]);
    let inside = Side::Container("foo");
    // Nothing is held back by duplicate address detection.
    for side in [Side::Host, inside] {
        let held_back = "ip -6 address show scope global tentative";
        assert_eq!(shell(&host, side, held_back), "");
    }
    assert_carries(&host, "foo", Side::Host, "fd00:233::2");
    assert_carries(&host, "foo", inside, "fd00:233::1");
    assert_eq!(addresses(&host, inside, 6, "eth0"), ["fd00:233::2/128"]);
    assert_eq!(
        addresses(&host, Side::Host, 6, "ve-foo"),
        ["fd00:233::1/128"]
    );
    assert_eq!(addresses(&host, inside, 4, "eth0"), [""; 0]);
    let route = shell(&host, inside, "ip -6 route show default");
    assert!(
        route.starts_with("default via fd00:233::1 dev eth0"),
        "{route}"
    );
}

#[test]
fn containers_do_not_see_each_others_links() {
    let host = Host::new();
    host.create_and_start("one");
    host.create_and_start("two");
    for name in ["one", "two"] {
        assert_eq!(links(&host, Side::Container(name)), ["eth0", "lo"]);
    }
    let namespace = |name| shell(&host, Side::Container(name), "readlink /proc/1/ns/net");
    assert_ne!(namespace("one"), namespace("two"));
    assert_eq!(links(&host, Side::Host), ["lo", "ve-one", "ve-two"]);
}

#[test]
fn without_addresses_a_private_network_is_loopback_alone() {
    let host = Host::new();
    host.create("foo");
    host.configure("foo", "PRIVATE_NETWORK=1");
    host.run(&["start", "foo"]);
    let inside = Side::Container("foo");
    assert_eq!(links(&host, inside), ["lo"]);
    shell(&host, inside, "ping -c 1 -W 5 127.0.0.1");
    assert_eq!(links(&host, Side::Host), ["lo"]);
}

#[test]
fn without_a_private_network_the_hosts_is_shared_and_cannot_be_changed() {
    let host = Host::new();
    host.create("foo");
    host.configure("foo", "PRIVATE_NETWORK=0");
    host.shell("ip link add of-the-host type bridge");
    host.run(&["start", "foo"]);
    let inside = Side::Container("foo");
    let namespace = "readlink /proc/self/ns/net";
    assert_eq!(shell(&host, inside, namespace), host.shell(namespace));
    assert_eq!(links(&host, inside), links(&host, Side::Host));

    let bounds = shell(&host, inside, "grep CapBnd: /proc/1/status");
    let bounds = bounds.trim_start_matches("CapBnd:").trim();
    let bounds = u64::from_str_radix(bounds, 16).expect("a mask");
    // CAP_NET_ADMIN of linux/capability.h.
    assert_eq!(bounds & (1 << 12), 0, "{bounds:x}");
    host.fail(
        2,
        &["run", "foo", "--", "ip", "link", "delete", "of-the-host"],
    );
    let settings = "test ! -w /proc/sys/net/ipv4/ip_forward";
    shell(&host, inside, settings);
    host.run(&["stop", "foo"]);
    assert_eq!(links(&host, Side::Host), ["lo", "of-the-host"]);
}

#[test]
fn the_hosts_resolv_conf_is_copied_in_at_each_start() {
    let host = Host::new();
    host.create("foo");
    host.configure("foo", "PRIVATE_NETWORK=1\nCOPY_RESOLV_CONF=1");
    // Only this throwaway host sees it.
    host.shell(
        "cd /run/throwaway; echo 'nameserver 192.0.2.53' >resolv.conf
         mount --bind resolv.conf $(realpath /etc/resolv.conf)",
    );
    let inside = Side::Container("foo");
    let copied = || shell(&host, inside, "cat /etc/resolv.conf");
    host.run(&["start", "foo"]);
    assert_eq!(copied(), "nameserver 192.0.2.53\n");

    // Neither what the container does nor where it points holds up the next.
    shell(
        &host,
        inside,
        "echo precious >/root/target; ln -sf /root/target /etc/resolv.conf",
    );
    host.shell("echo 'nameserver 192.0.2.54' >/run/throwaway/resolv.conf");
    host.run(&["restart", "foo"]);
    assert_eq!(copied(), "nameserver 192.0.2.54\n");
    assert_eq!(shell(&host, inside, "cat /root/target"), "precious\n");
    shell(&host, inside, "test ! -L /etc/resolv.conf");

    // Not asked for, it is left alone.
    shell(&host, inside, "echo own >/etc/resolv.conf");
    host.configure("foo", "PRIVATE_NETWORK=1\nCOPY_RESOLV_CONF=0");
    host.run(&["restart", "foo"]);
    assert_eq!(copied(), "own\n");
}

#[test]
fn the_next_free_address_is_none_that_the_host_knows() {
    let host = Host::new();
    host.shell(
        "ip route add 10.233.1.0/24 dev lo
         ip address add 10.233.2.77/32 dev lo
         ip route add blackhole 10.233.3.128/25",
    );
    host.create("foo");
    assert_eq!(address(&host, "foo"), "10.233.4.2");
}

#[test]
fn an_address_belongs_to_its_container_until_that_is_destroyed() {
    let host = Host::new();
    host.create_and_start("one");
    host.create("two");
    assert_eq!(address(&host, "one"), "10.233.1.2");
    assert_eq!(address(&host, "two"), "10.233.2.2");
    host.run(&["stop", "one"]);
    host.create("three");
    assert_eq!(address(&host, "three"), "10.233.3.2");
    host.run(&["destroy", "one"]);
    host.create("four");
    assert_eq!(address(&host, "four"), "10.233.1.2");
}

#[test]
fn a_restart_keeps_the_addresses() {
    let host = Host::new();
    host.create("first");
    host.create_and_start("foo");
    let inside = Side::Container("foo");
    let both = || {
        let host_side = addresses(&host, Side::Host, 4, "ve-foo");
        [host_side, addresses(&host, inside, 4, "eth0")].concat()
    };
    let before = both();
    assert_eq!(before, ["10.233.2.1/32", "10.233.2.2/32"]);
    host.run(&["restart", "foo"]);
    assert_eq!(both(), before);
    assert_carries(&host, "foo", Side::Host, "10.233.2.2");
}

#[test]
fn link_and_route_go_soon_after_a_stop() {
    let host = Host::new();
    host.create_and_start("foo");
    assert!(host.shell("ip route").contains("10.233.1.2 dev ve-foo"));
    host.run(&["stop", "foo"]);
    wait::until("the link is gone", || links(&host, Side::Host) == ["lo"]);
    assert_eq!(host.shell("ip route"), "");
}
