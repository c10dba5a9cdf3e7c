//! Whole Ethernet frames on links of a host's networks, right or wrong.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Host, Network, PATIENCE};

/// A hardware address.
pub type Mac = [u8; 6];

pub const EVERY_MAC: Mac = [0xff; 6];

/// A link, for sending and receiving frames as they are (`man 7 packet`).
pub struct Wire(File);

impl Wire {
    /// The link of this name.
    pub fn of(host: &Host, network: Network<'_>, link: &str) -> Self {
        let link = std::ffi::CString::new(link).expect("a name");
        let opened = host.within(network, || open(&link));
        Self(opened.expect("a packet socket"))
    }

    pub fn send(&self, frame: &[u8]) {
        (&self.0).write_all(frame).expect("it is sent");
    }

    /// Whether these bytes of a frame arrive here before those of a later frame,
    /// which must arrive.
    pub fn hears(&self, bytes: &[u8], before: &[u8]) -> bool {
        let (start, mut heard) = (Instant::now(), false);
        let mut frame = [0; 4096];
        loop {
            assert!(start.elapsed() < PATIENCE, "no later frame arrived");
            match (&self.0).read(&mut frame) {
                Ok(length) => {
                    let has =
                        |bytes: &[u8]| frame[..length].windows(bytes.len()).any(|w| w == bytes);
                    heard |= has(bytes);
                    if has(before) {
                        return heard;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn open(link: &std::ffi::CStr) -> io::Result<File> {
    let all = libc::ETH_P_ALL as u16;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the call takes numbers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, kind, all.to_be().into()) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made the descriptor.
    let socket = unsafe { File::from_raw_fd(socket) };
    // SAFETY: the name ends with a NUL.
    let index = unsafe { libc::if_nametoindex(link.as_ptr()) };
    // SAFETY: zeros are a valid address.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = all.to_be();
    address.sll_ifindex = index as i32;
    // SAFETY: the address is as long as is said.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of_val(&address) as u32,
        )
    };
    match bound {
        0 => Ok(socket),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Eight bytes by which a frame is recognized.
pub fn token() -> [u8; 8] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    (0x746f_6b65_6e00_0000 + COUNT.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
}

/// The hardware address of a link.
pub fn mac_of(host: &Host, network: Network<'_>, link: &str) -> Mac {
    let path = format!("cat /sys/class/net/{link}/address");
    let text = match network {
        Network::Host => host.shell(&path),
        Network::Container(name) => host.inside(name, &path),
        Network::Machine(name) => host.shell(&format!(
            "ip -n {name} -o link show {link} | sed -E 's/.*ether ([^ ]+).*/\\1/'"
        )),
    };
    let octets = text.trim().split(':');
    let octets: Vec<_> = octets
        .map(|octet| u8::from_str_radix(octet, 16).expect("an octet"))
        .collect();
    octets.try_into().expect("six octets")
}

/// A frame.
pub fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to, &from, &kind.to_be_bytes()[..], payload].concat()
}

/// The kind of an ARP message (RFC 826).
#[derive(Clone, Copy)]
pub enum Arp {
    Request = 1,
    Reply = 2,
}

/// An ARP message to all, with some bytes behind it.
pub fn arp(kind: Arp, from: Mac, sender: (Mac, &str), target: &str, behind: &[u8]) -> Vec<u8> {
    let ipv4 = |text: &str| text.parse::<Ipv4Addr>().expect("an address").octets();
    let payload = [
        &[0, 1, 8, 0, 6, 4, 0, kind as u8][..],
        &sender.0,
        &ipv4(sender.1),
        &[0; 6],
        &ipv4(target),
        behind,
    ];
    ethernet(EVERY_MAC, from, 0x0806, &payload.concat())
}

/// An IPv4 packet (RFC 791), with options of whole words.
pub fn ipv4(from: &str, to: &str, protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv4Addr>().expect("an address").octets();
    let words = (20 + options.len()) / 4;
    let length = 4 * words + payload.len();
    let mut header = vec![0x40 | words as u8, 0];
    header.extend((length as u16).to_be_bytes());
    header.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    header.extend(address(from));
    header.extend(address(to));
    header.extend(options);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header, payload].concat()
}

/// An IPv6 packet (RFC 8200).
pub fn ipv6(from: &str, to: &str, next: u8, payload: &[u8]) -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
    let length = (payload.len() as u16).to_be_bytes();
    [
        &[0x60, 0, 0, 0, length[0], length[1], next, 255][..],
        &address(from),
        &address(to),
        payload,
    ]
    .concat()
}

/// A UDP datagram without a checksum, which is valid in IPv4.
pub fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let header = [from, to, length, 0].map(u16::to_be_bytes).concat();
    [&header, payload].concat()
}

/// Sets the checksum of a message of ICMPv6 (RFC 4443, 2.3).
pub fn icmpv6(from: &str, to: &str, mut message: Vec<u8>) -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
    let length = (message.len() as u32).to_be_bytes();
    let header = [&address(from)[..], &address(to), &length, &[0, 0, 0, 58]].concat();
    message[2..4].fill(0);
    let sum = checksum(&[header, message.clone()].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv6(from, to, 58, &message)
}

/// The checksum of IPv4 (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| {
        let low = word.get(1).copied().unwrap_or_default();
        u32::from(u16::from_be_bytes([word[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
