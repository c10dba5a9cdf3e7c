//! Deletes tracked connections with an outdated translation.
//!
//! The translation of a connection is decided by its first packet and lasts as
//! long as the connection. So a client that keeps sending datagrams would never
//! reach a container that has a new address or that started later. The messages
//! are those of `linux/netfilter/nfnetlink_conntrack.h`; the kernel deletes by a
//! filter since 5.8, and by status since 5.18.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use super::element::octets;
use super::nfnetlink::{Ask, CTNETLINK, Netfilter, attribute, nested, number_attribute as number};
use crate::firewall::{Family, Protocol};

const IPCTNL_MSG_CT_DELETE: u8 = 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_FILTER: u16 = 25;
const CTA_STATUS_MASK: u16 = 26;

const CTA_TUPLE_IP: u16 = 1;
/// `CTA_IP_V4_SRC` and `CTA_IP_V6_SRC`
const SOURCE: [u16; 2] = [1, 3];
/// `CTA_IP_V4_DST` and `CTA_IP_V6_DST`
const DESTINATION: [u16; 2] = [2, 4];

const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;

const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// `CTA_FILTER_FLAG` of net/netfilter/nf_conntrack_netlink.c: the parts of a
/// tuple that have to match.
const BY_SOURCE: u32 = 1 << 0;
const BY_DESTINATION: u32 = 1 << 1;
const BY_PROTOCOL: u32 = 1 << 3;
const BY_DESTINATION_PORT: u32 = 1 << 5;

/// `IPS_SRC_NAT | IPS_DST_NAT` of `linux/netfilter/nf_conntrack_common.h`.
const TRANSLATED: u32 = 1 << 4 | 1 << 5;

/// Deletes the connections in which `address` answers. Further packets of them
/// are answered with an error.
pub fn forget_answers_of(netfilter: &Netfilter, address: IpAddr) -> io::Result<()> {
    let tuple = nested(CTA_TUPLE_REPLY, &[ip(SOURCE, address)]);
    delete(netfilter, address, &[tuple, filter(0, BY_SOURCE)])
}

/// Deletes the UDP connections from clients to `listen` on the host itself. In
/// other protocols, the host's connections go on, and new ones are translated.
pub fn forget_untranslated(
    netfilter: &Netfilter,
    protocol: Protocol,
    listen: SocketAddr,
) -> io::Result<()> {
    if protocol != Protocol::Udp {
        return Ok(());
    }
    let port = [
        attribute(CTA_PROTO_NUM, &[protocol.number()]),
        attribute(CTA_PROTO_DST_PORT, &listen.port().to_be_bytes()),
    ];
    let mut tuple = vec![nested(CTA_TUPLE_PROTO, &port)];
    let mut by = BY_PROTOCOL | BY_DESTINATION_PORT;
    if !listen.ip().is_unspecified() {
        tuple.push(ip(DESTINATION, listen.ip()));
        by |= BY_DESTINATION;
    }
    let untranslated = [
        nested(CTA_TUPLE_ORIG, &tuple),
        number(CTA_STATUS, 0),
        number(CTA_STATUS_MASK, TRANSLATED),
        filter(by, 0),
    ];
    delete(netfilter, listen.ip(), &untranslated)
}

/// The part of a tuple with an address; `kinds` are those of its families.
fn ip(kinds: [u16; 2], address: IpAddr) -> Vec<u8> {
    let kind = kinds[usize::from(address.is_ipv6())];
    nested(CTA_TUPLE_IP, &[attribute(kind, &octets(address))])
}

fn filter(original: u32, reply: u32) -> Vec<u8> {
    let flags = [
        attribute(CTA_FILTER_ORIG_FLAGS, &original.to_ne_bytes()),
        attribute(CTA_FILTER_REPLY_FLAGS, &reply.to_ne_bytes()),
    ];
    nested(CTA_FILTER, &flags)
}

/// Deletes the connections that match, in the family of `address`.
fn delete(netfilter: &Netfilter, address: IpAddr, attributes: &[Vec<u8>]) -> io::Result<()> {
    let (family, attributes) = (Family::of(address).nfproto(), attributes.concat());
    match netfilter.request(
        CTNETLINK,
        IPCTNL_MSG_CT_DELETE,
        family,
        Ask::Do,
        &attributes,
    ) {
        // The kernel has no ctnetlink.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => Ok(()),
        other => other.map(drop),
    }
}
