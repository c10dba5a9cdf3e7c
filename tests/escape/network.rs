//! Packets of a container that pretend to come from others, to others on its bridge
//! and through the host. Each is known to arrive with `SPOOF_CHECK=0`.

use std::net::{Ipv6Addr, UdpSocket};

use crate::common::frames::{
    Arp, EVERY_MAC, Mac, Wire, arp, ethernet, icmpv6, ipv4, ipv6, mac_of, token, udp,
};
use crate::common::packets::Protocol;
use crate::common::world::{OUTSIDE, OUTSIDE6};
use crate::common::{Host, Network, wait};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

// Next headers of IPv6.
const HOP_BY_HOP: u8 = 0;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;

const FOO: Network<'_> = Network::Container("foo");
const LAN: Network<'_> = Network::Machine("lan");

/// A container on `br0`, and what the machine `lan` there hears of it.
struct OnBridge {
    host: Host,
    own: Mac,
    own_address: &'static str,
    inside: Wire,
    lan: Wire,
}

impl OnBridge {
    /// Beside it is the container bar, with 10.0.0.3 and fd01::3.
    fn new(conf: &str, own_address: &'static str) -> Self {
        let host = Host::among_others();
        host.start_with("foo", &format!("HOST_BRIDGE=br0\n{conf}"));
        host.start_with(
            "bar",
            "HOST_BRIDGE=br0\nHOST_ADDRESS=10.0.0.1\nLOCAL_ADDRESS=10.0.0.3/24\n\
             LOCAL_ADDRESS6=fd01::3/64",
        );
        Self {
            own: mac_of(&host, FOO, "eth0"),
            own_address,
            inside: Wire::of(&host, FOO, "eth0"),
            lan: Wire::of(&host, LAN, "eth0"),
            host,
        }
    }

    /// Whether a frame with these bytes crosses the bridge.
    fn crosses(&self, frame: &[u8], token: &[u8]) -> bool {
        let honest = self::token();
        let asks = (self.own, self.own_address);
        self.inside.send(frame);
        let later = arp(Arp::Request, self.own, asks, "10.0.0.9", &honest);
        self.inside.send(&later);
        self.lan.hears(token, &honest)
    }

    /// The names of those frames that cross the bridge.
    fn crossing(&self, frames: &[(&'static str, Make<'_>)]) -> Vec<&'static str> {
        let mut crossing = Vec::new();
        for (name, make) in frames {
            let token = token();
            if self.crosses(&make(&token), &token) {
                crossing.push(*name);
            }
        }
        crossing
    }

    fn frame(&self, kind: u16, packet: &[u8]) -> Vec<u8> {
        ethernet(EVERY_MAC, self.own, kind, packet)
    }
}

/// Makes a frame that contains a token.
type Make<'a> = Box<dyn Fn(&[u8; 8]) -> Vec<u8> + 'a>;

/// The link-local address that a kernel makes of a hardware address (RFC 4291,
/// appendix A).
fn link_local(mac: Mac) -> String {
    let [a, b, c, d, e, f] = mac;
    let halves = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
    let [a, b, c, d] = halves;
    Ipv6Addr::new(0xfe80, 0, 0, 0, a, b, c, d).to_string()
}

/// A message of neighbour discovery about an address (RFC 4861, 4.3 to 4.5).
fn neighbour(kind: u8, target: &str, token: &[u8]) -> Vec<u8> {
    let target: Ipv6Addr = target.parse().expect("an address");
    [&[kind, 0, 0, 0, 0x20, 0, 0, 0], &target.octets()[..], token].concat()
}

/// A router advertisement (RFC 4861, 4.2).
fn router(token: &[u8]) -> Vec<u8> {
    [&[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0], token].concat()
}

/// What a container cannot send whether its addresses are known or not.
fn lies<'a>(world: &'a OnBridge) -> Vec<(&'static str, Make<'a>)> {
    let own = world.own;
    let address = world.own_address;
    let of_lan = mac_of(&world.host, LAN, "eth0");
    let own_ll = link_local(own);
    let of_bridge = link_local(mac_of(&world.host, Network::Host, "br0"));
    let ip4 = move |from: &str, payload: &[u8]| ipv4(from, "10.0.0.9", UDP, &[], payload);
    let ll = own_ll.clone();
    let ip6 = move |next, payload: &[u8]| ipv6(&ll, "ff02::1", next, payload);
    let says = |sender: (Mac, &'static str)| -> Make<'a> {
        Box::new(move |token| arp(Arp::Reply, own, sender, "10.0.0.9", token))
    };
    let advertises = |target: String| -> Make<'a> {
        let own_ll = own_ll.clone();
        Box::new(move |token| {
            let message = neighbour(136, &target, token);
            world.frame(IPV6, &ipv6(&own_ll, "ff02::1", ICMPV6, &message))
        })
    };
    let sends6 = |next, make: fn(&[u8]) -> Vec<u8>| -> Make<'a> {
        let ip6 = ip6.clone();
        Box::new(move |token| world.frame(IPV6, &ip6(next, &make(token))))
    };
    vec![
        (
            "the hardware address of another",
            Box::new(move |token| arp(Arp::Request, of_lan, (of_lan, address), "10.0.0.1", token)),
        ),
        (
            "ARP with the hardware address of another",
            says((of_lan, address)),
        ),
        ("ARP as the gateway", says((own, "10.0.0.1"))),
        ("ARP as another container", says((own, "10.0.0.3"))),
        (
            "an ARP probe for the gateway's address",
            Box::new(move |token| arp(Arp::Request, own, (own, "0.0.0.0"), "10.0.0.1", token)),
        ),
        (
            "IPv4 as the gateway",
            Box::new(move |token| world.frame(IPV4, &ip4("10.0.0.1", &udp(7, 7, token)))),
        ),
        (
            "IPv4 as another container",
            Box::new(move |token| world.frame(IPV4, &ip4("10.0.0.3", &udp(7, 7, token)))),
        ),
        (
            "an answer of a DHCP server",
            Box::new(move |token| world.frame(IPV4, &ip4(address, &udp(67, 68, token)))),
        ),
        (
            "IPv4 with a route for the packet",
            Box::new(move |token| {
                // A loose source route (RFC 791, 3.1).
                let route = [131, 7, 4, 10, 0, 0, 1, 0];
                let packet = ipv4(address, "10.0.0.9", UDP, &route, &udp(7, 7, token));
                world.frame(IPV4, &packet)
            }),
        ),
        ("an advertisement of a router", sends6(ICMPV6, router)),
        (
            "the same behind an option",
            sends6(HOP_BY_HOP, |token| {
                [&[ICMPV6, 0, 1, 4, 0, 0, 0, 0], &router(token)[..]].concat()
            }),
        ),
        (
            "the same in a fragment",
            sends6(FRAGMENT, |token| {
                [&[ICMPV6, 0, 0, 1, 0, 0, 0, 1], &router(token)[..]].concat()
            }),
        ),
        (
            "the same in a fragment behind an option",
            sends6(HOP_BY_HOP, |token| {
                let headers = [FRAGMENT, 0, 1, 4, 0, 0, 0, 0, ICMPV6, 0, 0, 1, 0, 0, 0, 1];
                [&headers, &router(token)[..]].concat()
            }),
        ),
        (
            "a redirect",
            sends6(ICMPV6, |token| neighbour(137, "2001:db8::1", token)),
        ),
        (
            "an answer of a DHCPv6 server",
            sends6(UDP, |token| udp(547, 546, token)),
        ),
        (
            "the gateway's address in IPv6",
            advertises("fd01::1".to_owned()),
        ),
        (
            "another container's address in IPv6",
            advertises("fd01::3".to_owned()),
        ),
        ("the bridge's link-local address", advertises(of_bridge)),
        (
            "a machine's link-local address",
            advertises(link_local(of_lan)),
        ),
        (
            "IPv6 as another container",
            Box::new(move |token| {
                world.frame(IPV6, &ipv6("fd01::3", "fd01::9", UDP, &udp(7, 7, token)))
            }),
        ),
        (
            "a search for another owner of the gateway's address",
            Box::new(move |token| {
                let message = neighbour(135, "fd01::1", token);
                world.frame(IPV6, &ipv6("::", "ff02::1:ff00:1", ICMPV6, &message))
            }),
        ),
        (
            "a frame with a VLAN tag",
            Box::new(move |token| {
                let tag = [0, 7, 8, 0];
                let packet = ip4("10.0.0.1", &udp(7, 7, token));
                world.frame(0x8100, &[&tag[..], &packet].concat())
            }),
        ),
        (
            "a message between bridges",
            Box::new(move |token| {
                // The root bridge, as everyone should believe (IEEE 802.1D, 9.3.1).
                let message = [&[0x42, 0x42, 3][..], &[0; 35], token].concat();
                ethernet([1, 0x80, 0xc2, 0, 0, 0], own, 38, &message)
            }),
        ),
    ]
}

const KNOWN: &str = "HOST_ADDRESS=10.0.0.1\nLOCAL_ADDRESS=10.0.0.2/24\n\
                     HOST_ADDRESS6=fd01::1\nLOCAL_ADDRESS6=fd01::2/64";

/// All of them arrive without the check: else the test would test nothing.
#[test]
fn without_the_check_every_lie_crosses_a_bridge() {
    let world = OnBridge::new(&format!("{KNOWN}\nSPOOF_CHECK=0"), "10.0.0.2");
    let lies = lies(&world);
    let crossing = world.crossing(&lies);
    assert_eq!(crossing.len(), lies.len(), "{crossing:#?}");
}

#[test]
fn a_container_tells_no_lies_on_a_bridge() {
    let world = OnBridge::new(KNOWN, "10.0.0.2");
    let more: [(_, Make<'_>); 2] = [
        (
            "ARP with an address that it was not given",
            Box::new(|token| {
                arp(
                    Arp::Reply,
                    world.own,
                    (world.own, "10.0.0.77"),
                    "10.0.0.9",
                    token,
                )
            }),
        ),
        (
            "IPv4 from anywhere",
            Box::new(|token| {
                let packet = ipv4("8.8.8.8", "10.0.0.9", UDP, &[], &udp(53, 7, token));
                world.frame(IPV4, &packet)
            }),
        ),
    ];
    let lies: Vec<_> = lies(&world).into_iter().chain(more).collect();
    assert_eq!(world.crossing(&lies), [""; 0]);
}

/// Its addresses come from a DHCP server and a router of the bridge's network.
#[test]
fn a_container_with_addresses_of_its_network_tells_no_lies() {
    let world = OnBridge::new("", "10.0.0.50");
    assert_eq!(world.crossing(&lies(&world)), [""; 0]);
}

#[test]
fn what_a_container_has_to_say_crosses_its_bridge() {
    let world = OnBridge::new("", "10.0.0.50");
    let own = world.own;
    let own_ll = link_local(own);
    let own_ll = own_ll.as_str();
    let frames: [(_, Make<'_>); 6] = [
        (
            "a question to DHCP servers",
            Box::new(|token| {
                let packet = ipv4("0.0.0.0", "255.255.255.255", UDP, &[], &udp(68, 67, token));
                world.frame(IPV4, &packet)
            }),
        ),
        (
            "an ARP probe",
            Box::new(|token| arp(Arp::Request, own, (own, "0.0.0.0"), "10.0.0.50", token)),
        ),
        (
            "an ARP announcement",
            Box::new(|token| arp(Arp::Request, own, (own, "10.0.0.50"), "10.0.0.50", token)),
        ),
        (
            "an IGMP report",
            Box::new(|token| {
                let report = [&[0x22, 0, 0, 0, 0, 0, 0, 0], &token[..]].concat();
                let packet = ipv4("0.0.0.0", "224.0.0.22", 2, &[0x94, 4, 0, 0], &report);
                world.frame(IPV4, &packet)
            }),
        ),
        (
            "a search for routers",
            Box::new(|token| {
                let message = [&[133, 0, 0, 0, 0, 0, 0, 0], &token[..]].concat();
                world.frame(IPV6, &ipv6(own_ll, "ff02::2", ICMPV6, &message))
            }),
        ),
        (
            "a search for another owner of its address",
            Box::new(|token| {
                let message = neighbour(135, own_ll, token);
                world.frame(IPV6, &ipv6("::", "ff02::1:ff00:1", ICMPV6, &message))
            }),
        ),
    ];
    assert_eq!(world.crossing(&frames), frames.map(|(name, _)| name));
}

/// The kernel's own stack on both sides: an address of a router's prefix, its route,
/// and neighbour discovery.
#[test]
fn a_container_gets_its_address_from_a_router_of_the_bridge() {
    let world = OnBridge::new("", "10.0.0.50");
    world
        .host
        .shell("ip -n lan address add fd05::9/64 dev eth0 nodad");
    let of_lan = mac_of(&world.host, LAN, "eth0");
    // A prefix for addresses, for an hour (RFC 4861, 4.6.2).
    let hour = 3600_u32.to_be_bytes();
    let prefix: Ipv6Addr = "fd05::".parse().expect("an address");
    let option = [
        &[3, 4, 64, 0xc0],
        &hour[..],
        &hour,
        &[0; 4],
        &prefix.octets(),
    ]
    .concat();
    let from = link_local(of_lan);
    let packet = icmpv6(&from, "ff02::1", router(&option));
    let advertisement = ethernet([0x33, 0x33, 0, 0, 0, 1], of_lan, IPV6, &packet);
    wait::until("it has an address", || {
        world.lan.send(&advertisement);
        let addresses = world
            .host
            .inside("foo", "ip -6 -o address show dev eth0 -tentative");
        addresses.contains("fd05:")
    });
    let seen = world
        .host
        .exchange(Protocol::Tcp, FOO, "[fd05::9]:7", (LAN, 7));
    assert!(seen.to_string().starts_with("fd05:"), "{seen}");
    let route = world.host.inside("foo", "ip -6 route show default");
    assert!(
        route.contains(&format!("via {from} dev eth0 proto ra")),
        "{route}"
    );
}

/// An address that the bridge gets later, as systemd-networkd gives it to zones.
#[test]
fn a_container_does_not_take_an_address_that_the_host_gets_later() {
    let world = OnBridge::new("", "10.0.0.50");
    let says_it_is = |token: &[u8; 8]| {
        let sender = (world.own, "10.0.0.66");
        arp(Arp::Reply, world.own, sender, "10.0.0.9", token)
    };
    let crosses = || {
        let token = token();
        world.crosses(&says_it_is(&token), &token)
    };
    assert!(crosses());
    world.host.shell("ip address add 10.0.0.66/24 dev br0");
    wait::until("it is the host's", || !crosses());
    world.host.shell("ip address delete 10.0.0.66/24 dev br0");
    wait::until("it is free again", crosses);
}

/// What a container was given is its own while it runs.
#[test]
fn an_address_is_free_again_when_its_container_has_gone() {
    let world = OnBridge::new("", "10.0.0.50");
    let crosses = || {
        let token = token();
        let sender = (world.own, "10.0.0.3");
        world.crosses(
            &arp(Arp::Reply, world.own, sender, "10.0.0.9", &token),
            &token,
        )
    };
    assert!(!crosses());
    world.host.run(&["stop", "bar"]);
    // The kernel removes its link some time after its last process.
    wait::until("its address is free", crosses);
    world.host.run(&["start", "bar"]);
    assert!(!crosses());
}

/// To the outside, unmasqueraded or under the name of a neighbour.
#[test]
fn forged_sources_do_not_pass_the_host() {
    let host = Host::among_others();
    let start = |name, number, further: &str| {
        host.start_with(
            name,
            &format!(
                "HOST_ADDRESS=10.233.{number}.1\nLOCAL_ADDRESS=10.233.{number}.2\n\
                 HOST_ADDRESS6=fd00:{number}::1\nLOCAL_ADDRESS6=fd00:{number}::2\nNAT=1\n{further}"
            ),
        )
    };
    start("bar", 8, "");
    let outside = Wire::of(&host, Network::Machine("outside"), "eth0");
    for (check, passes) in [("SPOOF_CHECK=0", true), ("", false)] {
        start("foo", 7, check);
        let inside = Wire::of(&host, FOO, "eth0");
        let (own, of_host) = (
            mac_of(&host, FOO, "eth0"),
            mac_of(&host, Network::Host, "ve-foo"),
        );
        let send4 = |from, token: &[u8]| {
            let packet = ipv4(from, OUTSIDE, UDP, &[], &udp(7, 7, token));
            inside.send(&ethernet(of_host, own, IPV4, &packet));
        };
        let send6 = |from, token: &[u8]| {
            let packet = ipv6(from, OUTSIDE6, UDP, &udp(7, 7, token));
            inside.send(&ethernet(of_host, own, IPV6, &packet));
        };
        for from in ["8.8.8.8", "10.233.8.2", "2001:db8::1", "fd00:8::2"] {
            let (forged, honest) = (token(), token());
            match from.contains(':') {
                true => send6(from, &forged),
                false => send4(from, &forged),
            }
            send4("10.233.7.2", &honest);
            assert_eq!(outside.hears(&forged, &honest), passes, "{from} {check}");
        }
        host.run(&["stop", "foo"]);
    }
}

/// The rules that guard the host's loopback go with a flush, and a supervisor that
/// does not run puts none back.
#[test]
fn the_hosts_loopback_is_closed_while_the_rules_are_away() {
    for check in ["", "SPOOF_CHECK=0"] {
        let host = Host::among_others();
        host.start_with(
            "foo",
            &format!(
                "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\nHOST_PORT=8080:80\n{check}"
            ),
        );
        let bind = |address: &str| host.within(Network::Host, || UdpSocket::bind(address));
        let loopback = bind("127.0.0.1:7777").expect("a socket");
        let link = bind("10.233.7.1:7777").expect("a socket");
        link.set_read_timeout(Some(crate::common::PATIENCE))
            .expect("a time");
        loopback.set_nonblocking(true).expect("a mode");
        let inside = Wire::of(&host, FOO, "eth0");
        let own = mac_of(&host, FOO, "eth0");
        let of_host = mac_of(&host, Network::Host, "ve-foo");
        host.shell(
            "kill -STOP $(pgrep -fx '.*nixos-container supervise --detached foo')
             nft flush ruleset",
        );
        for to in ["127.0.0.1", "10.233.7.1"] {
            let packet = ipv4("10.233.7.2", to, UDP, &[], &udp(7, 7777, b"secret"));
            inside.send(&ethernet(of_host, own, IPV4, &packet));
        }
        let mut buffer = [0; 16];
        assert_eq!(link.recv(&mut buffer).expect("the second packet"), 6);
        assert!(
            loopback.recv(&mut buffer).is_err(),
            "the first one came {check}"
        );
        host.shell("kill -CONT $(pgrep -fx '.*nixos-container supervise --detached foo')");
    }
}

/// A bridge of the host on which it listens to routers, as it does by default.
#[test]
fn a_container_does_not_become_the_router_of_the_host() {
    let host = Host::among_others();
    host.shell("ip link add br1 type bridge; ip link set br1 up");
    host.start_with("foo", "HOST_BRIDGE=br1");
    let listens = "cat /proc/sys/net/ipv6/conf/br1/accept_ra";
    assert_eq!(host.shell(listens), "1\n");
    wait::until("its link has an address", || {
        let addresses = host.inside("foo", "ip -6 address show dev eth0 scope link -tentative");
        addresses.contains("fe80")
    });
    let bridge = Wire::of(&host, Network::Host, "br1");
    host.advertise_router(FOO, "eth0");
    let (honest, own) = (token(), mac_of(&host, FOO, "eth0"));
    let later = arp(Arp::Request, own, (own, "10.0.0.2"), "10.0.0.1", &honest);
    Wire::of(&host, FOO, "eth0").send(&later);
    bridge.hears(&honest, &honest);
    assert_eq!(host.shell("ip -6 route show default dev br1"), "");

    // A router that is made of the host listens to no other on such a bridge.
    let said = host.start_with(
        "bar",
        "HOST_ADDRESS6=fd00:8::1\nLOCAL_ADDRESS6=fd00:8::2\nNAT=1",
    );
    assert_eq!(host.shell(listens), "1\n", "{said}");
    let uplink = "cat /proc/sys/net/ipv6/conf/uplink/accept_ra";
    assert_eq!(host.shell(uplink), "2\n", "{said}");
}
