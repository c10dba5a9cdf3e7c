//! The program of one container's link: what it may send by its own properties.
//!
//! Offsets count from the Ethernet header, of 14 bytes. ARP is RFC 826, IPv4 RFC
//! 791, IPv6 RFC 8200, ICMPv6 RFC 4443, neighbour discovery RFC 4861, multicast
//! listener discovery RFC 3810, DHCP RFC 2131 and RFC 8415.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::code::*;
use super::{Policy, Senders, Verdict};
use crate::MacAddress;

// Types of `linux/if_ether.h`.
pub const ARP: u32 = 0x0806;
pub const IPV4: u32 = 0x0800;
pub const IPV6: u32 = 0x86dd;

// Protocols of `linux/in.h`.
const IGMP: u32 = 2;
const UDP: u32 = 17;
pub const ICMPV6: u32 = 58;

// Extension headers of IPv6.
const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const DESTINATION_OPTIONS: u32 = 60;

// Types of ICMPv6.
const MULTICAST_LISTENER_QUERY: u32 = 130;
const ROUTER_SOLICITATION: u32 = 133;
const ROUTER_ADVERTISEMENT: u32 = 134;
pub const NEIGHBOUR_SOLICITATION: u32 = 135;
pub const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
const REDIRECT: u32 = 137;
const ROUTER_RENUMBERING: u32 = 138;

const IGMP_QUERY: u32 = 0x11;

// Ports of UDP.
const DHCP_SERVER: u32 = 67;
const DHCP_CLIENT: u32 = 68;
const DHCPV6_SERVER: u32 = 547;

/// The address `::`.
pub const UNSPECIFIED: [u32; 4] = [0; 4];

/// Where the kind of the header at the index is kept.
const HEADER: u32 = 0;

/// The program.
pub fn program(policy: &Policy) -> Block {
    [
        vlan_tag(),
        drop_if(If::IsNot(0)),
        length(),
        drop_if(If::Below(34)),
        from_own_mac(policy.mac_address, 6),
        half(12),
        when(If::Is(ARP), arp(policy)),
        half(12),
        when(If::Is(IPV4), ipv4(policy)),
        half(12),
        when(If::Is(IPV6), ipv6(policy)),
        end(Verdict::Drop),
    ]
    .concat()
}

fn from_own_mac(own: MacAddress, at: u32) -> Block {
    let [a, b, c, d, e, g] = own.octets();
    [
        word(at),
        drop_if(If::IsNot(u32::from_be_bytes([a, b, c, d]))),
        half(at + 4),
        drop_if(If::IsNot(u32::from_be_bytes([0, 0, e, g]))),
    ]
    .concat()
}

fn arp(policy: &Policy) -> Block {
    let senders = &policy.sources.ipv4;
    [
        length(),
        drop_if(If::Below(42)),
        // Addresses of Ethernet and IPv4; a question or an answer.
        word(14),
        drop_if(If::IsNot(0x0001_0800)),
        half(18),
        drop_if(If::IsNot(0x0604)),
        half(20),
        drop_if(If::Is(0)),
        drop_if(If::MoreThan(2)),
        from_own_mac(policy.mac_address, 22),
        byte(28),
        drop_if(If::Is(127)),
        word(28),
        // A probe for an address claims it too (RFC 5227, 2.1.1).
        when(If::Is(0), [word(38), from_own_ipv4(senders)].concat()),
        word(28),
        when(If::IsNot(0), from_own_ipv4(senders)),
        end(Verdict::Pass),
    ]
    .concat()
}

/// Drops the packet unless the container may send from the loaded address.
fn from_own_ipv4(senders: &Senders<Ipv4Addr>) -> Block {
    match senders {
        Senders::Only(own) => {
            let own = own.iter().map(|address| address.to_bits());
            unless_one_of(own, end(Verdict::Drop))
        }
        Senders::AllBut { others, own } => {
            let others = others.iter().map(|address| address.to_bits());
            let others = others.flat_map(|address| drop_if(If::Is(address)));
            let own = own.iter().map(|address| address.to_bits());
            unless_one_of(
                own,
                others.chain(drop_if(If::AtLeast(0xe000_0000))).collect(),
            )
        }
    }
}

fn ipv4(policy: &Policy) -> Block {
    // A container has no address while it asks a DHCP server for one, and may have
    // none in a multicast group (RFC 3376, 4.2.13).
    let without_address = [
        byte(23),
        unless_one_of(
            [IGMP],
            [
                drop_if(If::IsNot(UDP)),
                length(),
                drop_if(If::Below(42)),
                word(34),
                drop_if(If::IsNot(DHCP_CLIENT << 16 | DHCP_SERVER)),
            ]
            .concat(),
        ),
    ]
    .concat();
    [
        drop_loopback(),
        byte(14),
        // Of the options, only that of IGMP, which asks routers to look at the
        // packet (RFC 2113): others could name a route for it.
        unless_one_of(
            [0x45],
            [
                drop_if(If::IsNot(0x46)),
                length(),
                drop_if(If::Below(38)),
                byte(23),
                drop_if(If::IsNot(IGMP)),
                word(34),
                drop_if(If::IsNot(0x9404_0000)),
            ]
            .concat(),
        ),
        word(26),
        when(If::Is(0), without_address),
        word(26),
        when(If::IsNot(0), from_own_ipv4(&policy.sources.ipv4)),
        // Only the first fragment has the header of UDP or IGMP.
        half(20),
        and(0x1fff),
        when(If::Is(0), ipv4_payload()),
        end(Verdict::Pass),
    ]
    .concat()
}

/// Drops IPv4 packets from and to 127.0.0.0/8.
pub fn drop_loopback() -> Block {
    [
        byte(26),
        drop_if(If::Is(127)),
        byte(30),
        drop_if(If::Is(127)),
    ]
    .concat()
}

fn ipv4_payload() -> Block {
    let udp = [
        length(),
        drop_if(If::Below(42)),
        half(34),
        drop_if(If::Is(DHCP_SERVER)),
    ]
    .concat();
    let igmp = [
        index_ipv4_header(14),
        length_from_index(),
        drop_if(If::Below(15)),
        byte_from_index(14),
        drop_if(If::Is(IGMP_QUERY)),
    ]
    .concat();
    [
        byte(23),
        when(If::Is(UDP), udp),
        byte(23),
        when(If::Is(IGMP), igmp),
    ]
    .concat()
}

fn ipv6(policy: &Policy) -> Block {
    // Without an address, a container looks for a router, for other owners of the
    // address that it wants, and joins multicast groups (with an option for
    // routers).
    let without_address = [
        byte(20),
        unless_one_of([ICMPV6, HOP_BY_HOP], end(Verdict::Drop)),
    ];
    let without_address = without_address.concat();
    [
        length(),
        drop_if(If::Below(54)),
        byte(14),
        and(0xf0),
        drop_if(If::IsNot(0x60)),
        when_at(22, &UNSPECIFIED, without_address),
        unless_at(22, &UNSPECIFIED, from_own_ipv6(policy, 22)),
        byte(20),
        when(If::Is(ICMPV6), icmpv6(policy)),
        byte(20),
        store(HEADER),
        index(54),
        skip_extension(HOP_BY_HOP),
        skip_extension(DESTINATION_OPTIONS),
        skip_extension(DESTINATION_OPTIONS),
        skip_fragment(),
        behind_extensions(),
        end(Verdict::Pass),
    ]
    .concat()
}

/// An address as four words.
fn ipv6_words(address: Ipv6Addr) -> [u32; 4] {
    let bits = address.to_bits();
    [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
}

/// Drops the packet if the address is at this place.
pub fn drop_if_at(at: u32, address: Ipv6Addr) -> Block {
    when_at(at, &ipv6_words(address), end(Verdict::Drop))
}

/// Drops the packet unless the container may send from the address at this place.
fn from_own_ipv6(policy: &Policy, at: u32) -> Block {
    let (own, rest) = match &policy.sources.ipv6 {
        Senders::Only(own) => {
            let rest = [half(at), and(0xffc0), drop_if(If::IsNot(0xfe80))].concat();
            (own.as_slice(), rest)
        }
        Senders::AllBut { others, own } => {
            let others = others.iter().flat_map(|address| drop_if_at(at, *address));
            (own.as_slice(), others.collect())
        }
    };
    // The lower half of an address is often made of the hardware address (RFC 4291,
    // appendix A): ff:fe in its middle shows that. Of 65536 random ones (RFC 8981,
    // RFC 7217), one looks like that too, and is refused.
    let [a, b, c, d, e, g] = policy.mac_address.octets();
    let upper = u32::from_be_bytes([a ^ 0b10, b, c, 0xff]);
    let lower = u32::from_be_bytes([0xfe, d, e, g]);
    let of_hardware = [
        word(at + 8),
        drop_if(If::IsNot(upper)),
        word(at + 12),
        drop_if(If::IsNot(lower)),
    ]
    .concat();
    let others = [
        byte(at),
        drop_if(If::Is(0xff)),
        half(at + 11),
        when(If::Is(0xfffe), of_hardware),
        rest,
    ]
    .concat();
    own.iter().fold(others, |block, address| {
        unless_at(at, &ipv6_words(*address), block)
    })
}

/// What directly follows the header of IPv6.
fn icmpv6(policy: &Policy) -> Block {
    let target = |is_claimed: Block| [length(), drop_if(If::Below(78)), is_claimed].concat();
    let solicitation = target(when_at(22, &UNSPECIFIED, from_own_ipv6(policy, 62)));
    let advertisement = target(from_own_ipv6(policy, 62));
    [
        length(),
        drop_if(If::Below(55)),
        byte(54),
        drop_if_router(),
        byte(54),
        when(If::Is(NEIGHBOUR_SOLICITATION), solicitation),
        byte(54),
        when(If::Is(NEIGHBOUR_ADVERTISEMENT), advertisement),
        end(Verdict::Pass),
    ]
    .concat()
}

/// Drops what only routers send, by the loaded type of ICMPv6.
fn drop_if_router() -> Block {
    let types = [
        MULTICAST_LISTENER_QUERY,
        ROUTER_ADVERTISEMENT,
        REDIRECT,
        ROUTER_RENUMBERING,
    ];
    types
        .into_iter()
        .flat_map(|kind| drop_if(If::Is(kind)))
        .collect()
}

/// Drops a packet that has fewer bytes than these at the index. Its length from the
/// index on is negative if the index is behind its end.
fn require_at_index(bytes: u32) -> Block {
    [
        length_from_index(),
        drop_if(If::AtLeast(1 << 31)),
        drop_if(If::Below(bytes)),
    ]
    .concat()
}

/// Moves the index behind the extension header there if it is of this kind.
fn skip_extension(kind: u32) -> Block {
    let skip = [
        require_at_index(8),
        byte_from_index(0),
        store(HEADER),
        byte_from_index(1),
        index_behind_extension(),
    ]
    .concat();
    [stored(HEADER), when(If::Is(kind), skip)].concat()
}

/// Moves the index behind the fragment header there, if there is one. The program
/// ends with a fragment that is not the first.
fn skip_fragment() -> Block {
    let skip = [
        require_at_index(8),
        byte_from_index(0),
        store(HEADER),
        half_from_index(2),
        and(0xfff8),
        when(If::IsNot(0), end(Verdict::Pass)),
        move_index(8),
    ]
    .concat();
    [stored(HEADER), when(If::Is(FRAGMENT), skip)].concat()
}

/// Looks at what follows extension headers. These headers hide nothing: of further
/// ones, none is passed (RFC 7113, 2), and neighbour discovery has none except
/// before fragments, which are not heard (RFC 6980).
fn behind_extensions() -> Block {
    let icmpv6 = [
        require_at_index(1),
        byte_from_index(0),
        drop_if_router(),
        drop_if_neighbour_discovery(),
    ]
    .concat();
    let udp = [
        require_at_index(8),
        half_from_index(0),
        drop_if(If::Is(DHCPV6_SERVER)),
    ]
    .concat();
    let further = [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS];
    let mut all = stored(HEADER);
    all.extend(further.into_iter().flat_map(|kind| drop_if(If::Is(kind))));
    all.extend(when(If::Is(ICMPV6), icmpv6));
    all.extend(stored(HEADER));
    all.extend(when(If::Is(UDP), udp));
    all
}

fn drop_if_neighbour_discovery() -> Block {
    let types = [
        ROUTER_SOLICITATION,
        NEIGHBOUR_SOLICITATION,
        NEIGHBOUR_ADVERTISEMENT,
    ];
    types
        .into_iter()
        .flat_map(|kind| drop_if(If::Is(kind)))
        .collect()
}
