//! The sets of our table. Each container has some elements in them.

use super::nfnetlink::{attribute, nested, number_attribute as number, text_attribute as text};
use super::uapi::*;
use crate::firewall::Family;

/// A set, or a map: nft(8) calls a set so if its elements have values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Maps address, protocol and port on the host to address and port of a
    /// container.
    Ports(Family),
    /// Container and source of forwarded connections, the source of which is
    /// replaced by the address of the container's link.
    Masquerade(Family),
    /// Containers that send packets to the outside with an address of the host.
    Nat(Family),
    /// Links from which no packet with an address of 127.0.0.0/8 is accepted.
    Guarded,
}

/// A type of data in nft(8): `ipv4_addr` or `ipv6_addr`, `inet_proto`,
/// `inet_service`, `ifname`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    Address(Family),
    Protocol,
    Port,
    Interface,
}

/// Tells nft the byte order of keys that are names:
/// `NFTNL_UDATA_SET_KEYBYTEORDER` of libnftnl, 4 bytes long,
/// `BYTEORDER_HOST_ENDIAN`. Without it, nft lists them wrongly.
const HOST_ORDER: [u8; 6] = if cfg!(target_endian = "little") {
    [0, 4, 1, 0, 0, 0]
} else {
    [0, 4, 0, 0, 0, 1]
};

impl Set {
    pub const ALL: [Self; 7] = [
        Self::Ports(Family::V4),
        Self::Ports(Family::V6),
        Self::Masquerade(Family::V4),
        Self::Masquerade(Family::V6),
        Self::Nat(Family::V4),
        Self::Nat(Family::V6),
        Self::Guarded,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ports(Family::V4) => "ports4",
            Self::Ports(Family::V6) => "ports6",
            Self::Masquerade(Family::V4) => "masquerade4",
            Self::Masquerade(Family::V6) => "masquerade6",
            Self::Nat(Family::V4) => "nat4",
            Self::Nat(Family::V6) => "nat6",
            Self::Guarded => "guarded",
        }
    }

    /// The keyword of nft(8).
    pub fn kind(self) -> &'static str {
        match self.value().is_empty() {
            true => "set",
            false => "map",
        }
    }

    /// The parts of an element's key.
    pub fn key(self) -> Vec<Datatype> {
        match self {
            Self::Ports(family) => {
                vec![
                    Datatype::Address(family),
                    Datatype::Protocol,
                    Datatype::Port,
                ]
            }
            Self::Masquerade(family) => vec![Datatype::Address(family); 2],
            Self::Nat(family) => vec![Datatype::Address(family)],
            Self::Guarded => vec![Datatype::Interface],
        }
    }

    /// The parts of an element's value; none in a set that is not a map.
    pub fn value(self) -> Vec<Datatype> {
        match self {
            Self::Ports(family) => vec![Datatype::Address(family), Datatype::Port],
            _ => Vec::new(),
        }
    }

    /// Whether an element can be a range: it has a first and a last key, and
    /// contains a key if each part of it is between theirs.
    pub fn has_ranges(self) -> bool {
        matches!(self, Self::Ports(_) | Self::Masquerade(_))
    }

    /// The attributes of a message about the set, without the table.
    pub fn encode(self) -> Vec<u8> {
        let (key, value) = (self.key(), self.value());
        let mut flags = 0;
        if self.has_ranges() {
            flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT;
        }
        if !value.is_empty() {
            flags |= NFT_SET_MAP;
        }
        let mut attributes = vec![
            text(NFTA_SET_NAME, self.name()),
            number(NFTA_SET_FLAGS, flags),
            number(NFTA_SET_KEY_TYPE, type_number(&key)),
            number(NFTA_SET_KEY_LEN, length(&key)),
            // Any number; rules of the same transaction could refer to it.
            number(NFTA_SET_ID, 0),
        ];
        if !value.is_empty() {
            attributes.push(number(NFTA_SET_DATA_TYPE, type_number(&value)));
            attributes.push(number(NFTA_SET_DATA_LEN, length(&value)));
        }
        if key == [Datatype::Interface] {
            attributes.push(attribute(NFTA_SET_USERDATA, &HOST_ORDER));
        }
        if self.has_ranges() {
            let field = |part: &Datatype| {
                let length = number(NFTA_SET_FIELD_LEN, part.width() as u32);
                nested(NFTA_LIST_ELEM, &[length])
            };
            let fields: Vec<_> = key.iter().map(field).collect();
            attributes.push(nested(
                NFTA_SET_DESC,
                &[nested(NFTA_SET_DESC_CONCAT, &fields)],
            ));
        }
        attributes.concat()
    }
}

impl Datatype {
    /// Its number in nft (`enum datatypes` of its datatype.h), which the kernel
    /// stores for nft.
    pub fn number(self) -> u32 {
        match self {
            Self::Address(Family::V4) => 7,
            Self::Address(Family::V6) => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Interface => 41,
        }
    }

    /// Its width, in bytes.
    pub fn width(self) -> usize {
        match self {
            Self::Address(Family::V4) => 4,
            Self::Address(Family::V6) => 16,
            Self::Protocol => 1,
            Self::Port => 2,
            // IFNAMSIZ of netdevice(7)
            Self::Interface => 16,
        }
    }
}

/// The type of a concatenation in nft: 6 bits for each part
/// (`TYPE_BITS` of its datatype.h).
fn type_number(parts: &[Datatype]) -> u32 {
    parts
        .iter()
        .fold(0, |number, part| number << 6 | part.number())
}

/// Length of a key or a value, in bytes: each part takes whole registers of 4.
fn length(parts: &[Datatype]) -> u32 {
    let lengths = parts.iter().map(|part| part.width().next_multiple_of(4));
    lengths.sum::<usize>() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nft 1.0.6 declares `type ipv4_addr . inet_proto . inet_service :
    /// ipv4_addr . inet_service; flags interval`, but for what it notes of
    /// types in the user's data.
    #[test]
    fn a_map_is_declared_as_nft_does() {
        let expected = [
            [11, 0, 2, 0].as_slice(),
            b"ports4\0\0",
            &[8, 0, 3, 0, 0, 0, 0, 0x8c],
            &[8, 0, 4, 0, 0, 0, 0x73, 0x0d],
            &[8, 0, 5, 0, 0, 0, 0, 12],
            &[8, 0, 10, 0, 0, 0, 0, 0],
            &[8, 0, 6, 0, 0, 0, 0x01, 0xcd],
            &[8, 0, 7, 0, 0, 0, 0, 8],
            &[44, 0, 9, 0x80, 40, 0, 2, 0x80],
            &[12, 0, 1, 0x80, 8, 0, 1, 0, 0, 0, 0, 4],
            &[12, 0, 1, 0x80, 8, 0, 1, 0, 0, 0, 0, 1],
            &[12, 0, 1, 0x80, 8, 0, 1, 0, 0, 0, 0, 2],
        ];
        assert_eq!(Set::Ports(Family::V4).encode(), expected.concat());
    }
}
