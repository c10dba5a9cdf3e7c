//! Bad values of what is said of networks: one error each, that names the key,
//! flag or option, the value and what is expected.

mod common;

use common::{Host, minimal_system};

const SWITCH: &str = "0 or 1";
const ADDRESS: &str = "an IPv4 address, as 10.233.1.2 or 10.233.1.2/24";
const ADDRESS6: &str = "an IPv6 address, as fc00::2 or fc00::2/64";
const HARDWARE: &str = "the hardware address of one interface, as 02:00:00:12:34:56";
const INTERFACE: &str = "an interface's name of at most 15 characters";
const INTERFACES: &str = "names of interfaces separated by blanks, as eth1 or eth1:lan0";
const ON_INTERFACE: &str = "an interface's name, as eth1 or eth1:lan0";
const PORT: &str = "a port, as 8080:80 or udp:53";
const PORTS: &str = "ports separated by commas, as 8080:80 or udp:53";
const HOST_ADDRESSES: &str = "addresses of the host, as 192.0.2.1";
const EXTRA: &str = "NAME[,OPTION=VALUE…] separated by blanks, with the options hostName, \
                     hostBridge, hostAddress, hostAddress6, localAddress, localAddress6";
const PATH: &str = "an absolute path";

/// Starts a container with this line of configuration; what came of it.
fn start_with(host: &Host, line: &str) -> String {
    host.configure("foo", line);
    let conf = host.conf_path("foo");
    let error = host.fail(1, &["start", "foo"]);
    let place = format!("error: cannot start container 'foo': {conf}:2: ");
    let problem = error.strip_prefix(&place);
    problem
        .unwrap_or_else(|| panic!("{line}: {error}"))
        .to_owned()
}

#[test]
fn a_container_that_can_change_the_hosts_network_is_told() {
    let host = Host::new();
    // As nixpkgs' module writes them for enableTun.
    let tun = "ADDITIONAL_CAPABILITIES=CAP_NET_ADMIN\nALLOWED_DEVICES=\"/dev/net/tun rwm\"";
    let said = |more: &str| {
        let system = minimal_system();
        host.write_conf("foo", &format!("SYSTEM_PATH={system}\n{tun}\n{more}"));
        let start = host.try_run(&["start", "foo"]);
        host.run(&["stop", "foo"]);
        String::from_utf8_lossy(&start.stderr).into_owned()
    };
    let told = "note: the container is in the host's network and has CAP_NET_ADMIN";
    assert!(said("").starts_with(told));
    assert!(!said("PRIVATE_NETWORK=1").contains(told));
    assert!(!said("PRIVATE_USERS=pick").contains(told));
}

#[test]
fn a_bad_value_of_a_key() {
    let host = Host::new();
    for (key, value, expected) in [
        ("PRIVATE_NETWORK", "yes", SWITCH),
        ("NAT", "2", SWITCH),
        ("COPY_RESOLV_CONF", "true", SWITCH),
        ("HOST_ADDRESS", "10.0.0.300", ADDRESS),
        ("HOST_ADDRESS", "fd00::1/129", ADDRESS6),
        ("LOCAL_ADDRESS", "10.0.0.1/33", ADDRESS),
        ("HOST_ADDRESS6", "10.0.0.1", ADDRESS6),
        ("LOCAL_ADDRESS6", "fd00::1/129", ADDRESS6),
        ("LOCAL_MAC_ADDRESS", "02:00:00:12:34", HARDWARE),
        ("LOCAL_MAC_ADDRESS", "ff:ff:ff:ff:ff:ff", HARDWARE),
        ("HOST_BRIDGE", "a-bridge-of-too-many", INTERFACE),
        ("HOST_BRIDGE", "br/0", INTERFACE),
        ("INTERFACES", "eth1:", INTERFACES),
        ("MACVLANS", "eth0 eth/1", INTERFACES),
        ("EXTRA_VETHS", "lan,speed=9", EXTRA),
        ("EXTRA_VETHS", "lan,localAddress=x", ADDRESS),
        (
            "EXTRA_VETHS",
            "lan,hostBridge=a-bridge-of-too-many",
            INTERFACE,
        ),
        ("NETWORK_NAMESPACE_PATH", "netns/a", PATH),
        ("HOST_PORT", "65536", PORTS),
        ("HOST_PORT", "0:80", PORTS),
        ("HOST_PORT", "icmp:8", PORTS),
        ("HOST_PORT", "80,,81", PORTS),
        ("BIND_HOST", "localhost", HOST_ADDRESSES),
    ] {
        let message = format!("{key} is {value:?}, but must be {expected}\n");
        assert_eq!(start_with(&host, &format!("{key}={value}")), message);
    }
}

#[test]
fn a_bad_value_of_a_flag() {
    let host = Host::new();
    let ends = "names of the host's and the container's end of a link, as lan-web:lan0";
    let zone = "a zone's name of at most 12 characters";
    let resolv_conf = "off, auto, delete, or one of copy-, replace- and bind- before host, static, \
                       uplink or stub";
    for (flag, value, expected) in [
        ("--network-veth-extra", "a:b:c", ends),
        ("--network-bridge", "br/0", INTERFACE),
        ("--network-zone", "a-zone-of-too-many", zone),
        ("--network-interface", "eth1:", ON_INTERFACE),
        ("--network-macvlan", "", ON_INTERFACE),
        ("--network-ipvlan", "eth/1", ON_INTERFACE),
        ("--network-namespace-path", "netns/a", PATH),
        ("--port", "tcp:0", PORT),
        ("-p", "8080:80:1", PORT),
        ("--resolv-conf", "copy", resolv_conf),
    ] {
        let equals = if flag.starts_with("--") { "=" } else { "" };
        let line = format!("EXTRA_NSPAWN_FLAGS={flag}{equals}{value}");
        let message = format!("EXTRA_NSPAWN_FLAGS: {flag} is {value:?}, but must be {expected}\n");
        assert_eq!(start_with(&host, &line), message);
    }
    for flag in ["--private-network", "--network-veth"] {
        assert_eq!(
            start_with(&host, &format!("EXTRA_NSPAWN_FLAGS={flag}=x")),
            format!("EXTRA_NSPAWN_FLAGS: {flag} takes no value, but is \"x\"\n")
        );
    }
}

#[test]
fn a_bad_value_of_an_option() {
    let host = Host::new();
    let before = host.inventory();
    for (option, value, expected) in [
        ("--host-address <IP>", "10.0.0.300", ADDRESS),
        ("--local-address <IP>", "fd00::1", ADDRESS),
        ("--bridge <INTERFACE>", "br/0", INTERFACE),
        ("--port <PORT>", "icmp:8", PORT),
    ] {
        let (name, _) = option.split_once(' ').expect("two words");
        let create = ["create", "foo", "--system-path", minimal_system()];
        let error = host.fail(2, &[&create[..], &[name, value]].concat());
        let message =
            format!("error: invalid value '{value}' for '{option}': expected {expected}\n");
        assert!(error.starts_with(&message), "{error}");
        host.await_inventory(&before);
    }
}

#[test]
fn what_contradicts_itself_names_both() {
    let host = Host::among_others();
    for (conf, message) in [
        (
            "NETWORK_NAMESPACE_PATH=/run/netns/outside\nHOST_BRIDGE=br0",
            "NETWORK_NAMESPACE_PATH cannot be combined with PRIVATE_NETWORK, HOST_ADDRESS, \
             LOCAL_ADDRESS, LOCAL_MAC_ADDRESS, HOST_BRIDGE, EXTRA_VETHS, INTERFACES, MACVLANS or \
             their flags: the network of /run/netns/outside was set up elsewhere",
        ),
        (
            "HOST_BRIDGE=br0\nEXTRA_NSPAWN_FLAGS=--network-zone=inner",
            "HOST_BRIDGE (or --network-bridge) is br0 and the bridge of --network-zone is \
             vz-inner, but a link ends in one bridge; remove one of them",
        ),
        (
            "HOST_PORT=8080:80",
            "HOST_PORT and --port need PRIVATE_NETWORK=1: without a network of its own, the \
             container opens its ports on the host",
        ),
        (
            "PRIVATE_NETWORK=1\nHOST_PORT=8080:80",
            "HOST_PORT needs LOCAL_ADDRESS or LOCAL_ADDRESS6, to which the ports are forwarded",
        ),
        (
            "LOCAL_ADDRESS=10.233.7.2\nHOST_PORT=8080:80\nBIND_HOST=::1",
            "BIND_HOST is ::1, but the container has no address of that family",
        ),
        (
            "LOCAL_ADDRESS=10.233.7.2\nHOST_PORT=8080:80,8080:81",
            "cannot forward tcp port 8080 twice",
        ),
        (
            "LOCAL_ADDRESS=10.233.7.2\nMACVLANS=uplink:eth0",
            "cannot create two links named eth0 inside the container",
        ),
        (
            "INTERFACES=nic\nMACVLANS=nic",
            "cannot move interface nic into the container: it is also named for a macvlan link",
        ),
    ] {
        host.configure("foo", conf);
        let error = host.fail(1, &["start", "foo"]);
        let whole = format!("error: cannot start container 'foo': {message}\n");
        assert_eq!(error, whole, "{conf}");
    }
}
