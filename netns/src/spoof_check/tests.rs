//! Runs the programs in the kernel, on packets that a socket receives, beside a
//! plain reading of the same rules.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixDatagram;

use proptest::prelude::*;
use socket2::{SockFilter, SockRef};

use super::code::Block;
use super::*;

const OWN: [u8; 6] = [0x3e, 0xd3, 4, 0x58, 0x32, 0x24];
const OTHER: [u8; 6] = [0x3e, 0xd3, 4, 0x58, 0x32, 0x25];

/// A program, attached to a socket: filters of sockets and of links are the same
/// language.
struct Run {
    sender: UnixDatagram,
    receiver: UnixDatagram,
}

impl Run {
    fn new(program: &Block) -> Self {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        receiver.set_nonblocking(true).unwrap();
        let filter: Vec<_> = program
            .iter()
            .map(|one| SockFilter::new(one.code, one.jump_true, one.jump_false, one.k))
            .collect();
        SockRef::from(&receiver).attach_filter(&filter).unwrap();
        Self { sender, receiver }
    }

    /// The socket gets as many bytes as the program returns.
    fn verdict(&self, frame: &[u8]) -> Verdict {
        self.sender.send(frame).unwrap();
        let mut buffer = [0; 4096];
        match self.receiver.recv(&mut buffer) {
            Ok(length) if length == frame.len() => Verdict::Pass,
            Ok(2) => Verdict::Drop,
            other => panic!("beyond the end of {frame:x?}: {other:?}"),
        }
    }
}

fn known() -> Policy {
    Policy {
        mac_address: MacAddress::new(OWN).unwrap(),
        sources: Sources {
            ipv4: Senders::Only(vec!["10.0.0.2".parse().unwrap()]),
            ipv6: Senders::Only(vec!["fd01::2".parse().unwrap()]),
        },
    }
}

fn unknown() -> Policy {
    Policy {
        sources: Sources {
            ipv4: Senders::AllBut {
                others: vec!["10.0.0.1".parse().unwrap()],
                own: Vec::new(),
            },
            ipv6: Senders::AllBut {
                others: vec!["fd01::1".parse().unwrap()],
                own: vec!["fd01::ff:fe00:2".parse().unwrap()],
            },
        },
        ..known()
    }
}

/// The rules again, in the words of Rust.
fn read(policy: &Policy, frame: &[u8]) -> Verdict {
    match allowed(policy, frame) {
        Some(true) => Verdict::Pass,
        // What is too short to be read is dropped.
        Some(false) | None => Verdict::Drop,
    }
}

fn half(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

fn ipv4_at(frame: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(*frame.get(at..)?.first_chunk::<4>()?))
}

fn ipv6_at(frame: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(*frame.get(at..)?.first_chunk::<16>()?))
}

fn allowed(policy: &Policy, frame: &[u8]) -> Option<bool> {
    let mac = policy.mac_address.octets();
    if frame.get(6..12)? != mac || frame.len() < 34 {
        return Some(false);
    }
    match half(frame, 12)? {
        0x0806 => {
            let question_or_answer = matches!(half(frame, 20)?, 1 | 2);
            let sender = ipv4_at(frame, 28)?;
            let claimed = match sender.is_unspecified() {
                true => ipv4_at(frame, 38)?,
                false => sender,
            };
            Some(
                frame[14..20] == [0, 1, 8, 0, 6, 4]
                    && question_or_answer
                    && frame.get(22..28)? == mac
                    && frame.len() >= 42
                    && !sender.is_loopback()
                    && is_own4(policy, claimed),
            )
        }
        0x0800 => allowed4(policy, frame),
        0x86dd => allowed6(policy, frame),
        _ => Some(false),
    }
}

fn is_own4(policy: &Policy, address: Ipv4Addr) -> bool {
    match &policy.sources.ipv4 {
        Senders::Only(own) => own.contains(&address),
        Senders::AllBut { others, .. } => !others.contains(&address) && address.octets()[0] < 224,
    }
}

fn allowed4(policy: &Policy, frame: &[u8]) -> Option<bool> {
    let (source, destination) = (ipv4_at(frame, 26)?, ipv4_at(frame, 30)?);
    let protocol = frame[23];
    if source.is_loopback() || destination.is_loopback() {
        return Some(false);
    }
    let header = match frame[14] {
        0x45 => 20,
        0x46 if protocol == 2 && frame.get(34..38)? == [0x94, 4, 0, 0] => 24,
        _ => return Some(false),
    };
    if source.is_unspecified() {
        let asks = protocol == 17 && frame.get(34..38)? == [0, 68, 0, 67] && frame.len() >= 42;
        if !asks && protocol != 2 {
            return Some(false);
        }
    } else if !is_own4(policy, source) {
        return Some(false);
    }
    if half(frame, 20)? & 0x1fff != 0 {
        return Some(true);
    }
    Some(match protocol {
        17 => frame.len() >= 42 && half(frame, 34)? != 67,
        2 => *frame.get(14 + header)? != 0x11,
        _ => true,
    })
}

fn is_own6(policy: &Policy, address: Ipv6Addr) -> bool {
    let octets = address.octets();
    let [a, b, c, d, e, g] = policy.mac_address.octets();
    let (Senders::Only(own) | Senders::AllBut { own, .. }) = &policy.sources.ipv6;
    if own.contains(&address) {
        return true;
    }
    if octets[11..13] == [0xff, 0xfe] && octets[8..] != [a ^ 2, b, c, 0xff, 0xfe, d, e, g] {
        return false;
    }
    !address.is_multicast()
        && match &policy.sources.ipv6 {
            Senders::Only(_) => address.is_unicast_link_local(),
            Senders::AllBut { others, .. } => !others.contains(&address),
        }
}

fn allowed6(policy: &Policy, frame: &[u8]) -> Option<bool> {
    let source = ipv6_at(frame, 22)?;
    let mut next = frame[20];
    if frame[14] >> 4 != 6 || frame.len() < 54 {
        return Some(false);
    }
    if source.is_unspecified() {
        if !matches!(next, 0 | 58) {
            return Some(false);
        }
    } else if !is_own6(policy, source) {
        return Some(false);
    }
    if next == 58 {
        return Some(match *frame.get(54)? {
            130 | 134 | 137 | 138 => false,
            135 if source.is_unspecified() => is_own6(policy, ipv6_at(frame, 62)?),
            135 => frame.len() >= 78,
            136 => is_own6(policy, ipv6_at(frame, 62)?),
            _ => true,
        });
    }
    let mut at = 54;
    for kind in [0, 60, 60] {
        if next == kind {
            let header = frame.get(at..at + 8)?;
            next = header[0];
            at += (usize::from(header[1]) + 1) * 8;
        }
    }
    if next == 44 {
        let header = frame.get(at..at + 8)?;
        next = header[0];
        if half(header, 2)? & 0xfff8 != 0 {
            return Some(true);
        }
        at += 8;
    }
    Some(match next {
        0 | 43 | 44 | 60 => false,
        58 => !matches!(*frame.get(at)?, 130 | 133..=138),
        17 => frame.get(at..at + 8).is_some() && half(frame, at)? != 547,
        _ => true,
    })
}

fn ethernet(source: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    let header = [&[0xff; 6], &source[..], &kind.to_be_bytes()].concat();
    [header, payload.to_vec()].concat()
}

fn arp(sender_mac: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let fixed = [0, 1, 8, 0, 6, 4, 0, 1];
    let payload = [&fixed[..], &sender_mac, &sender, &[0; 6], &target].concat();
    ethernet(OWN, 0x0806, &payload)
}

fn udp4(source: [u8; 4], destination: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
    let mut payload = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    payload.extend(source);
    payload.extend(destination);
    payload.extend(ports.map(u16::to_be_bytes).concat());
    payload.extend([0, 8, 0, 0]);
    ethernet(OWN, 0x0800, &payload)
}

fn ipv6(next: u8, source: &str, payload: &[u8]) -> Vec<u8> {
    let source: Ipv6Addr = source.parse().unwrap();
    let length = (payload.len() as u16).to_be_bytes();
    let header = [0x60, 0, 0, 0, length[0], length[1], next, 255];
    let all_nodes: Ipv6Addr = "ff02::1".parse().unwrap();
    let packet = [&header[..], &source.octets(), &all_nodes.octets(), payload];
    ethernet(OWN, 0x86dd, &packet.concat())
}

fn neighbour(kind: u8, target: &str) -> Vec<u8> {
    let target: Ipv6Addr = target.parse().unwrap();
    [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target.octets()].concat()
}

/// The link-local address that is made of [`OWN`], and that of [`OTHER`].
const OWN_EUI: &str = "fe80::3cd3:4ff:fe58:3224";
const OTHER_EUI: &str = "fe80::3cd3:4ff:fe58:3225";

#[test]
fn what_a_container_needs_passes() {
    for policy in [known(), unknown()] {
        let run = Run::new(&own::program(&policy));
        let router_alert = [58, 0, 5, 2, 0, 0, 1, 0];
        let report = [&router_alert[..], &[143, 0, 0, 0]].concat();
        let fragment = [58, 0, 0, 1, 0, 0, 0, 1, 128, 0, 0, 0];
        for frame in [
            arp(OWN, [10, 0, 0, 2], [10, 0, 0, 1]),
            arp(OWN, [0; 4], [10, 0, 0, 2]),
            udp4([10, 0, 0, 2], [8, 8, 8, 8], [1000, 53]),
            udp4([0; 4], [255; 4], [68, 67]),
            ipv6(17, "fd01::2", &[0, 53, 0, 53, 0, 8, 0, 0]),
            ipv6(17, OWN_EUI, &[2, 34, 2, 35, 0, 8, 0, 0]),
            ipv6(17, "fe80::1234", &[2, 34, 2, 35, 0, 8, 0, 0]),
            ipv6(58, "fd01::2", &[128, 0, 0, 0]),
            ipv6(58, OWN_EUI, &[133, 0, 0, 0, 0, 0, 0, 0]),
            ipv6(58, "::", &neighbour(135, OWN_EUI)),
            ipv6(58, "::", &neighbour(135, "fd01::2")),
            ipv6(58, "fd01::2", &neighbour(135, "fd01::1")),
            ipv6(58, "fd01::2", &neighbour(136, "fd01::2")),
            ipv6(0, "::", &report),
            ipv6(0, OWN_EUI, &report),
            ipv6(44, "fd01::2", &fragment),
            ipv6(6, "fd01::2", &[0; 20]),
        ] {
            assert_eq!(run.verdict(&frame), Verdict::Pass, "{frame:x?}");
            assert_eq!(read(&policy, &frame), Verdict::Pass, "{frame:x?}");
        }
    }
    // Any address, where it is not known.
    let run = Run::new(&own::program(&unknown()));
    for frame in [
        arp(OWN, [10, 0, 0, 77], [10, 0, 0, 1]),
        udp4([192, 168, 0, 7], [8, 8, 8, 8], [1000, 53]),
        ipv6(6, "2001:db8::7", &[0; 20]),
        ipv6(6, "fd01::ff:fe00:2", &[0; 20]),
    ] {
        assert_eq!(run.verdict(&frame), Verdict::Pass, "{frame:x?}");
    }
}

#[test]
fn what_only_others_send_is_dropped() {
    let router = [134, 0, 0, 0, 64, 0, 7, 8];
    let behind = |headers: &[u8]| [headers, &router].concat();
    for policy in [known(), unknown()] {
        let run = Run::new(&own::program(&policy));
        let mut foreign = arp(OWN, [10, 0, 0, 2], [10, 0, 0, 1]);
        foreign[6..12].copy_from_slice(&OTHER);
        let mut route = udp4([10, 0, 0, 2], [8, 8, 8, 8], [1000, 53]);
        route[14] = 0x46;
        for frame in [
            foreign,
            route,
            arp(OTHER, [10, 0, 0, 2], [10, 0, 0, 1]),
            arp(OWN, [10, 0, 0, 1], [10, 0, 0, 3]),
            arp(OWN, [0; 4], [10, 0, 0, 1]),
            arp(OWN, [127, 0, 0, 1], [10, 0, 0, 1]),
            udp4([10, 0, 0, 1], [8, 8, 8, 8], [1000, 53]),
            udp4([10, 0, 0, 2], [127, 0, 0, 1], [1000, 53]),
            udp4([127, 0, 0, 1], [10, 0, 0, 1], [1000, 53]),
            udp4([10, 0, 0, 2], [10, 0, 0, 3], [67, 68]),
            udp4([0; 4], [255; 4], [1, 67]),
            udp4([224, 0, 0, 1], [10, 0, 0, 1], [1, 2]),
            ipv6(17, OWN_EUI, &[2, 35, 2, 34, 0, 8, 0, 0]),
            ipv6(17, "::", &[2, 34, 2, 35, 0, 8, 0, 0]),
            ipv6(58, OWN_EUI, &router),
            ipv6(58, OWN_EUI, &neighbour(137, "fd01::2")),
            ipv6(58, OWN_EUI, &[130, 0, 0, 0]),
            ipv6(0, OWN_EUI, &behind(&[58, 0, 1, 4, 0, 0, 0, 0])),
            ipv6(60, OWN_EUI, &behind(&[58, 0, 1, 4, 0, 0, 0, 0])),
            ipv6(44, OWN_EUI, &behind(&[58, 0, 0, 1, 0, 0, 0, 1])),
            ipv6(44, OWN_EUI, &behind(&[60, 0, 0, 1, 0, 0, 0, 1])),
            ipv6(43, OWN_EUI, &behind(&[58, 0, 0, 0, 0, 0, 0, 0])),
            ipv6(0, OWN_EUI, &behind(&[0, 0, 1, 4, 0, 0, 0, 0])),
            ipv6(0, OWN_EUI, &behind(&[58, 255, 1, 4, 0, 0, 0, 0])),
            ipv6(58, "fd01::2", &neighbour(136, "fd01::1")),
            ipv6(58, "fd01::2", &neighbour(136, OTHER_EUI)),
            ipv6(58, "::", &neighbour(135, "fd01::1")),
            ipv6(58, OTHER_EUI, &[128, 0, 0, 0]),
            ipv6(6, "fd01::1", &[0; 20]),
            ipv6(6, "ff02::1", &[0; 20]),
            ethernet(OWN, 0x8100, &[0; 40]),
            ethernet(OWN, 38, &[0x42; 40]),
        ] {
            assert_eq!(run.verdict(&frame), Verdict::Drop, "{frame:x?}");
            assert_eq!(read(&policy, &frame), Verdict::Drop, "{frame:x?}");
        }
    }
    let run = Run::new(&own::program(&known()));
    for frame in [
        arp(OWN, [10, 0, 0, 77], [10, 0, 0, 1]),
        udp4([8, 8, 8, 8], [10, 0, 0, 1], [1000, 53]),
        ipv6(6, "2001:db8::7", &[0; 20]),
        ipv6(58, "fd01::2", &neighbour(136, "fd01::7")),
    ] {
        assert_eq!(run.verdict(&frame), Verdict::Drop, "{frame:x?}");
    }
}

#[test]
fn taken_addresses_are_dropped_and_no_others() {
    let many = u8::try_from(taken::MOST).unwrap();
    let run = Run::new(&taken::program(&Taken {
        ipv4: (0..many).map(|n| [10, 0, 1, n].into()).collect(),
        ipv6: (0..many)
            .map(|n| Ipv6Addr::from_bits(0xfd01 << 112 | u128::from(n)))
            .collect(),
    }));
    let last = many - 1;
    let (last6, next6) = (format!("fd01::{last:x}"), format!("fd01::{many:x}"));
    for (frame, verdict) in [
        (arp(OWN, [10, 0, 1, last], [1; 4]), Verdict::Drop),
        (arp(OWN, [10, 0, 1, many], [1; 4]), Verdict::Pass),
        (arp(OWN, [0; 4], [10, 0, 1, 0]), Verdict::Drop),
        (arp(OWN, [1; 4], [10, 0, 1, 0]), Verdict::Pass),
        (udp4([10, 0, 1, last], [1; 4], [1, 2]), Verdict::Drop),
        (udp4([1; 4], [10, 0, 1, last], [1, 2]), Verdict::Pass),
        (ipv6(6, &last6, &[0; 20]), Verdict::Drop),
        (ipv6(6, &next6, &[0; 20]), Verdict::Pass),
        (ipv6(58, "fe80::1", &neighbour(136, &last6)), Verdict::Drop),
        (ipv6(58, "fe80::1", &neighbour(135, &last6)), Verdict::Pass),
        (ipv6(58, "::", &neighbour(135, &last6)), Verdict::Drop),
    ] {
        assert_eq!(run.verdict(&frame), verdict, "{frame:x?}");
    }
}

#[test]
fn without_a_check_only_the_loopback_is_closed() {
    let run = Run::new(&loopback::program());
    for (frame, verdict) in [
        (udp4([8, 8, 8, 8], [127, 0, 0, 1], [1, 2]), Verdict::Drop),
        (udp4([127, 1, 1, 1], [8, 8, 8, 8], [1, 2]), Verdict::Drop),
        (udp4([8, 8, 8, 8], [10, 0, 0, 1], [67, 68]), Verdict::Pass),
        (ipv6(58, OTHER_EUI, &[134, 0, 0, 0]), Verdict::Pass),
        (ethernet(OTHER, 0x8100, &[0; 4]), Verdict::Pass),
    ] {
        assert_eq!(run.verdict(&frame), verdict, "{frame:x?}");
    }
}

/// Frames that are wrong in few places, so that they get far.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let router_alert = [58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0];
    let igmp = [
        &[0x46, 0, 0, 32, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 2][..],
        &[224, 0, 0, 22, 0x94, 4, 0, 0, 0x22, 0, 0, 0, 0, 0, 0, 0],
    ];
    let valid = vec![
        arp(OWN, [10, 0, 0, 2], [10, 0, 0, 1]),
        arp(OWN, [0; 4], [10, 0, 0, 2]),
        udp4([10, 0, 0, 2], [8, 8, 8, 8], [1000, 53]),
        udp4([0; 4], [255; 4], [68, 67]),
        ethernet(OWN, 0x0800, &igmp.concat()),
        ipv6(17, "fd01::2", &[0, 53, 0, 53, 0, 8, 0, 0]),
        ipv6(58, OWN_EUI, &neighbour(136, "fd01::2")),
        ipv6(58, "::", &neighbour(135, "fd01::2")),
        ipv6(0, "::", &router_alert),
        ipv6(
            60,
            "fd01::2",
            &[
                60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0,
            ],
        ),
        ipv6(
            44,
            "fd01::2",
            &[17, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0, 8, 0, 0],
        ),
    ];
    // Values that mean something in some place.
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![
            0, 2, 6, 17, 43, 44, 58, 60, 67, 127, 130, 134, 136, 137, 0x45, 0x46
        ]),
    ];
    let change = (12_usize..90, byte);
    (
        prop::sample::select(valid),
        prop::collection::vec(change, 0..4),
        prop::option::of(0_usize..110),
    )
        .prop_map(|(mut frame, changes, length)| {
            for (place, value) in changes {
                if let Some(byte) = frame.get_mut(place) {
                    *byte = value;
                }
            }
            if let Some(length) = length {
                frame.resize(length.max(3), 0);
            }
            frame
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_program_is_what_the_rules_say(frames in prop::collection::vec(frames(), 50)) {
        for policy in [known(), unknown()] {
            let run = Run::new(&own::program(&policy));
            for frame in &frames {
                prop_assert_eq!(run.verdict(frame), read(&policy, frame), "{:x?}", frame);
            }
        }
    }
}
