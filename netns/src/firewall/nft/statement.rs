//! The statements of rules, and their encoding for the kernel: expressions that
//! pass data on through registers.
//!
//! A [`Statement`] is displayed as in nft(8). Expressions and their attributes are
//! those of `linux/netfilter/nf_tables.h`; `nft --debug=netlink list table inet
//! nixos-containers` shows them.

use std::fmt;

use super::nfnetlink::{attribute, nested, number_attribute as number, text_attribute as text};
use super::set::{Datatype, Set};
use super::uapi::*;
use crate::firewall::{Family, Protocol};

/// A property of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Source(Family),
    Destination(Family),
    Protocol,
    /// The destination port.
    Port(Protocol),
    /// The name of the link that received it.
    InputLink,
    /// The name of the link that sends it.
    OutputLink,
}

/// A condition, or what is done with a packet if all conditions before hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    Family(Family),
    Protocol(Protocol),
    /// The address is one of 127.0.0.0/8.
    IsLoopback4(Field),
    /// The name does not begin so.
    BeginsNot(Field, &'static str),
    /// The fields are a key of the set.
    In(Vec<Field>, Set),
    /// The destination is an address of this host.
    ToThisHost,
    /// The connection's destination has been replaced.
    IsForwarded,
    /// Replaces the destination by the value that the map has for the fields.
    Forward(Family, Vec<Field>, Set),
    Masquerade,
    Drop,
    /// The packet passes another chain and comes back.
    Jump(&'static str),
}

impl Field {
    fn datatype(self) -> Datatype {
        match self {
            Self::Source(family) | Self::Destination(family) => Datatype::Address(family),
            Self::Protocol => Datatype::Protocol,
            Self::Port(_) => Datatype::Port,
            Self::InputLink | Self::OutputLink => Datatype::Interface,
        }
    }

    /// Loads the property, or the first `length` bytes of it if it is in a header.
    fn load(self, length: usize, register: u32) -> Vec<u8> {
        let in_header = |header, offset| payload(header, offset, length, register);
        match self {
            // RFC 791, 3.1
            Self::Source(Family::V4) => in_header(NFT_PAYLOAD_NETWORK_HEADER, 12),
            Self::Destination(Family::V4) => in_header(NFT_PAYLOAD_NETWORK_HEADER, 16),
            // RFC 8200, 3
            Self::Source(Family::V6) => in_header(NFT_PAYLOAD_NETWORK_HEADER, 8),
            Self::Destination(Family::V6) => in_header(NFT_PAYLOAD_NETWORK_HEADER, 24),
            // RFC 9293, 3.1; UDP and SCTP have it there, too.
            Self::Port(_) => in_header(NFT_PAYLOAD_TRANSPORT_HEADER, 2),
            Self::Protocol => meta(NFT_META_L4PROTO, register),
            Self::InputLink => meta(NFT_META_IIFNAME, register),
            Self::OutputLink => meta(NFT_META_OIFNAME, register),
        }
    }
}

impl Statement {
    /// The expressions, one after the other.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Family(family) => equals(meta(NFT_META_NFPROTO, FIRST), &[family.nfproto()]),
            Self::Protocol(protocol) => equals(load(&[Field::Protocol]), &[protocol.number()]),
            Self::IsLoopback4(field) => begins(*field, NFT_CMP_EQ, &[127]),
            Self::BeginsNot(field, text) => begins(*field, NFT_CMP_NEQ, text.as_bytes()),
            Self::In(fields, set) => [load(fields), lookup(*set, None)].concat(),
            Self::ToThisHost => equals(type_of_destination(), &RTN_LOCAL.to_ne_bytes()),
            Self::IsForwarded => [
                connection_status(),
                mask(&IPS_DST_NAT.to_ne_bytes()),
                compare(NFT_CMP_NEQ, &[0; 4]),
            ]
            .concat(),
            Self::Forward(family, fields, map) => [
                load(fields),
                lookup(*map, Some(FIRST)),
                replace_destination(*family),
            ]
            .concat(),
            Self::Masquerade => expression("masq", &[]),
            Self::Drop => verdict(&[number(NFTA_VERDICT_CODE, NF_DROP)]),
            Self::Jump(chain) => verdict(&[
                number(NFTA_VERDICT_CODE, NFT_JUMP),
                text(NFTA_VERDICT_CHAIN, chain),
            ]),
        }
    }
}

/// The first register of 4 bytes, `NFT_REG32_00`.
const FIRST: u32 = 8;

fn expression(name: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let data = nested(NFTA_EXPR_DATA, attributes);
    nested(NFTA_LIST_ELEM, &[text(NFTA_EXPR_NAME, name), data])
}

fn value(kind: u16, bytes: &[u8]) -> Vec<u8> {
    nested(kind, &[attribute(NFTA_DATA_VALUE, bytes)])
}

/// Loads fields in the layout of keys: each into the next free register.
fn load(fields: &[Field]) -> Vec<u8> {
    let mut register = FIRST;
    let mut expressions = Vec::new();
    for field in fields {
        let width = field.datatype().width();
        expressions.extend(field.load(width, register));
        register += width.div_ceil(4) as u32;
    }
    expressions
}

fn begins(field: Field, operator: u32, beginning: &[u8]) -> Vec<u8> {
    let loaded = field.load(beginning.len(), FIRST);
    [loaded, compare(operator, beginning)].concat()
}

fn meta(key: u32, register: u32) -> Vec<u8> {
    let attributes = [number(NFTA_META_KEY, key), number(NFTA_META_DREG, register)];
    expression("meta", &attributes)
}

fn payload(header: u32, offset: u32, length: usize, register: u32) -> Vec<u8> {
    let attributes = [
        number(NFTA_PAYLOAD_DREG, register),
        number(NFTA_PAYLOAD_BASE, header),
        number(NFTA_PAYLOAD_OFFSET, offset),
        number(NFTA_PAYLOAD_LEN, length as u32),
    ];
    expression("payload", &attributes)
}

fn compare(operator: u32, with: &[u8]) -> Vec<u8> {
    let attributes = [
        number(NFTA_CMP_SREG, FIRST),
        number(NFTA_CMP_OP, operator),
        value(NFTA_CMP_DATA, with),
    ];
    expression("cmp", &attributes)
}

/// Compares what `loaded` has loaded.
fn equals(loaded: Vec<u8>, value: &[u8]) -> Vec<u8> {
    [loaded, compare(NFT_CMP_EQ, value)].concat()
}

/// Looks a key up, and loads the value into `register` if the set is a map.
fn lookup(set: Set, register: Option<u32>) -> Vec<u8> {
    let mut attributes = vec![
        text(NFTA_LOOKUP_SET, set.name()),
        number(NFTA_LOOKUP_SREG, FIRST),
    ];
    attributes.extend(register.map(|register| number(NFTA_LOOKUP_DREG, register)));
    expression("lookup", &attributes)
}

fn type_of_destination() -> Vec<u8> {
    let attributes = [
        number(NFTA_FIB_DREG, FIRST),
        number(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE),
        number(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR),
    ];
    expression("fib", &attributes)
}

fn connection_status() -> Vec<u8> {
    let attributes = [
        number(NFTA_CT_DREG, FIRST),
        number(NFTA_CT_KEY, NFT_CT_STATUS),
    ];
    expression("ct", &attributes)
}

fn mask(mask: &[u8; 4]) -> Vec<u8> {
    let attributes = [
        number(NFTA_BITWISE_SREG, FIRST),
        number(NFTA_BITWISE_DREG, FIRST),
        number(NFTA_BITWISE_LEN, 4),
        value(NFTA_BITWISE_MASK, mask),
        value(NFTA_BITWISE_XOR, &[0; 4]),
    ];
    expression("bitwise", &attributes)
}

/// Replaces the destination by the loaded address and the port after it.
fn replace_destination(family: Family) -> Vec<u8> {
    let address = Datatype::Address(family).width();
    let attributes = [
        number(NFTA_NAT_TYPE, NFT_NAT_DNAT),
        number(NFTA_NAT_FAMILY, u32::from(family.nfproto())),
        number(NFTA_NAT_REG_ADDR_MIN, FIRST),
        number(NFTA_NAT_REG_PROTO_MIN, FIRST + address.div_ceil(4) as u32),
    ];
    expression("nat", &attributes)
}

fn verdict(attributes: &[Vec<u8>]) -> Vec<u8> {
    let verdict = nested(NFTA_DATA_VERDICT, attributes);
    let attributes = [
        number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT),
        nested(NFTA_IMMEDIATE_DATA, &[verdict]),
    ];
    expression("immediate", &attributes)
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(family) => write!(f, "{} saddr", family.nft_name()),
            Self::Destination(family) => write!(f, "{} daddr", family.nft_name()),
            Self::Protocol => f.write_str("meta l4proto"),
            Self::Port(protocol) => write!(f, "{protocol} dport"),
            Self::InputLink => f.write_str("iifname"),
            Self::OutputLink => f.write_str("oifname"),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(Family::V4) => f.write_str("meta nfproto ipv4"),
            Self::Family(Family::V6) => f.write_str("meta nfproto ipv6"),
            Self::Protocol(protocol) => write!(f, "meta l4proto {protocol}"),
            Self::IsLoopback4(field) => write!(f, "{field} 127.0.0.0/8"),
            Self::BeginsNot(field, text) => write!(f, "{field} != \"{text}*\""),
            Self::In(fields, set) => write!(f, "{} @{}", joined(fields), set.name()),
            Self::ToThisHost => f.write_str("fib daddr type local"),
            Self::IsForwarded => f.write_str("ct status dnat"),
            Self::Forward(family, fields, map) => {
                let (family, fields, map) = (family.nft_name(), joined(fields), map.name());
                write!(f, "dnat {family} to {fields} map @{map}")
            }
            Self::Masquerade => f.write_str("masquerade"),
            Self::Drop => f.write_str("drop"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
        }
    }
}

fn joined(fields: &[Field]) -> String {
    let fields: Vec<_> = fields.iter().map(Field::to_string).collect();
    fields.join(" . ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nft 1.0.6 sends for `ip saddr 127.0.0.0/8` in a table of the family
    /// inet, after `meta nfproto ipv4`.
    #[test]
    fn an_expression_is_what_nft_makes_of_the_statement() {
        let encoded = Statement::IsLoopback4(Field::Source(Family::V4)).encode();
        let expected = [
            [52, 0, 1, 0x80, 12, 0, 1, 0].as_slice(),
            b"payload\0",
            &[36, 0, 2, 0x80],
            &[8, 0, 1, 0, 0, 0, 0, 8],
            &[8, 0, 2, 0, 0, 0, 0, 1],
            &[8, 0, 3, 0, 0, 0, 0, 12],
            &[8, 0, 4, 0, 0, 0, 0, 1],
            &[44, 0, 1, 0x80, 8, 0, 1, 0],
            b"cmp\0",
            &[32, 0, 2, 0x80],
            &[8, 0, 1, 0, 0, 0, 0, 8],
            &[8, 0, 2, 0, 0, 0, 0, 0],
            &[12, 0, 3, 0x80, 5, 0, 1, 0, 127, 0, 0, 0],
        ];
        assert_eq!(encoded, expected.concat());
    }

    #[test]
    fn fields_are_loaded_where_a_key_has_them() {
        let key = [
            Field::Destination(Family::V6),
            Field::Protocol,
            Field::Port(Protocol::Tcp),
        ];
        let expected = [
            payload(NFT_PAYLOAD_NETWORK_HEADER, 24, 16, 8),
            meta(NFT_META_L4PROTO, 12),
            payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 13),
        ];
        assert_eq!(load(&key), expected.concat());
    }
}
