//! The elements of sets that make up a container in our table.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::nfnetlink::{attribute, attributes, find, nested, text_attribute as text};
use super::set::{Datatype, Set};
use super::uapi::*;
use crate::firewall::{Family, Protocol, Step};
use crate::{ContainerName, HostLink};

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub set: Set,
    pub key: Vec<u8>,
    /// The end of the range, in a set with ranges.
    pub last_key: Option<Vec<u8>>,
    /// Empty if the set is not a map.
    pub value: Vec<u8>,
    /// The container's name. `None` for an element that stays until the last
    /// container goes, such as one for a link that several containers share.
    pub owner: Option<String>,
}

/// A forward that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The container's name.
    pub container: String,
    pub protocol: Protocol,
    /// The host's address and port.
    pub listen: SocketAddr,
    /// The container's address and port.
    pub to: SocketAddr,
}

/// `NFTNL_UDATA_SET_ELEM_COMMENT` of libnftnl, the type of nft's comments.
const COMMENT: u8 = 0;

impl Element {
    /// The element that a step adds; `None` if it adds none.
    pub fn of(step: &Step, container: &ContainerName) -> Option<Self> {
        let mut owner = Some(container.as_str().to_owned());
        let mut value = Vec::new();
        let (set, key, last_key) = match step {
            Step::Forward {
                protocol,
                listen,
                to,
            } => {
                let key = |address| {
                    let port = listen.port().to_be_bytes();
                    concatenate(&[&octets(address), &[protocol.number()], &port])
                };
                value = concatenate(&[&octets(to.ip()), &to.port().to_be_bytes()]);
                let addresses = match listen.ip() {
                    all if all.is_unspecified() => IpNet::new_assert(all, 0),
                    one => one.into(),
                };
                let (first, last) = (key(addresses.network()), key(addresses.broadcast()));
                (Set::Ports(Family::of(listen.ip())), first, Some(last))
            }
            Step::Masquerade { sources, to } => {
                let key = |source| concatenate(&[&octets(*to), &octets(source)]);
                let (first, last) = (key(sources.network()), key(sources.broadcast()));
                (Set::Masquerade(Family::of(*to)), first, Some(last))
            }
            Step::MasqueradeOutside { source } => {
                (Set::Nat(Family::of(*source)), octets(*source), None)
            }
            Step::GuardLoopback { link } => {
                let mut key = link.as_bytes().to_vec();
                key.resize(Datatype::Interface.width(), 0);
                owner = owner.filter(|_| link == HostLink::veth(container).interface());
                (Set::Guarded, key, None)
            }
            Step::EnableForwarding { .. } | Step::RouteLoopback { .. } => return None,
        };
        Some(Self {
            set,
            key,
            last_key,
            value,
            owner,
        })
    }

    /// The attributes of a message about the element, without the table.
    pub fn encode(&self) -> Vec<u8> {
        let data = |kind, bytes: &[u8]| nested(kind, &[attribute(NFTA_DATA_VALUE, bytes)]);
        let mut parts = vec![data(NFTA_SET_ELEM_KEY, &self.key)];
        if let Some(last) = &self.last_key {
            parts.push(data(NFTA_SET_ELEM_KEY_END, last));
        }
        if !self.value.is_empty() {
            parts.push(data(NFTA_SET_ELEM_DATA, &self.value));
        }
        if let Some(owner) = &self.owner {
            parts.push(attribute(NFTA_SET_ELEM_USERDATA, &comment(owner)));
        }
        let element = nested(NFTA_LIST_ELEM, &parts);
        [
            text(NFTA_SET_ELEM_LIST_SET, self.set.name()),
            nested(NFTA_SET_ELEM_LIST_ELEMENTS, &[element]),
        ]
        .concat()
    }

    /// The elements in an answer of the kernel about a set.
    pub fn decode_all(set: Set, answer: &[u8]) -> Vec<Self> {
        let list = find(answer, NFTA_SET_ELEM_LIST_ELEMENTS).unwrap_or_default();
        let elements = attributes(list).filter(|(kind, _)| *kind == NFTA_LIST_ELEM);
        elements
            .filter_map(|(_, parts)| Self::decode(set, parts))
            .collect()
    }

    fn decode(set: Set, parts: &[u8]) -> Option<Self> {
        let data = |kind| Some(find(find(parts, kind)?, NFTA_DATA_VALUE)?.to_vec());
        Some(Self {
            set,
            key: data(NFTA_SET_ELEM_KEY)?,
            last_key: data(NFTA_SET_ELEM_KEY_END),
            value: data(NFTA_SET_ELEM_DATA).unwrap_or_default(),
            owner: find(parts, NFTA_SET_ELEM_USERDATA).and_then(read_comment),
        })
    }

    /// Whether the element belongs to this container.
    pub fn is_of(&self, container: &ContainerName) -> bool {
        self.owner.as_deref() == Some(container.as_str())
    }

    /// The forward, if the element is one.
    pub fn claim(&self) -> Option<Claim> {
        let Set::Ports(family) = self.set else {
            return None;
        };
        let (address, rest) = split_address(family, &self.key)?;
        let [protocol, _, _, _, high, low, ..] = *rest else {
            return None;
        };
        let (to, rest) = split_address(family, &self.value)?;
        let [to_high, to_low, ..] = *rest else {
            return None;
        };
        Some(Claim {
            container: self.owner.clone()?,
            protocol: Protocol::from_number(protocol)?,
            // A range of all addresses begins with the unspecified one.
            listen: SocketAddr::new(address, u16::from_be_bytes([high, low])),
            to: SocketAddr::new(to, u16::from_be_bytes([to_high, to_low])),
        })
    }
}

impl fmt::Display for Element {
    /// Its set and key, as nft(8) writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.key.as_slice();
        let mut parts = Vec::new();
        for part in self.set.key() {
            let (bytes, following) = rest.split_at(rest.len().min(part.width()));
            let padding = part.width().next_multiple_of(4) - part.width();
            rest = following.get(padding..).unwrap_or_default();
            parts.push(show(part, bytes));
        }
        write!(f, "{} {{ {} }}", self.set.name(), parts.join(" . "))
    }
}

fn show(kind: Datatype, bytes: &[u8]) -> String {
    match (kind, bytes) {
        (Datatype::Address(family), bytes) => match split_address(family, bytes) {
            Some((address, _)) => address.to_string(),
            None => String::new(),
        },
        (Datatype::Protocol, [number]) => match Protocol::from_number(*number) {
            Some(protocol) => protocol.to_string(),
            None => number.to_string(),
        },
        (Datatype::Port, [high, low]) => u16::from_be_bytes([*high, *low]).to_string(),
        _ => format!(
            "{:?}",
            String::from_utf8_lossy(bytes).trim_end_matches('\0')
        ),
    }
}

/// A comment in libnftnl's format: type, length, value.
fn comment(text: &str) -> Vec<u8> {
    // A container's name has at most 64 bytes.
    [&[COMMENT, text.len() as u8 + 1], text.as_bytes(), &[0]].concat()
}

/// The comment among values of other types.
fn read_comment(mut userdata: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, following) = rest.split_at_checked(usize::from(*length))?;
        if *kind == COMMENT {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return String::from_utf8(text.to_vec()).ok();
        }
        userdata = following;
    }
    None
}

/// Joins parts, each of which begins in a register of 4 bytes.
fn concatenate(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(*part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// An address in network byte order.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

fn split_address(family: Family, bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    match family {
        Family::V4 => bytes
            .split_first_chunk::<4>()
            .map(|(octets, rest)| (Ipv4Addr::from(*octets).into(), rest)),
        Family::V6 => bytes
            .split_first_chunk::<16>()
            .map(|(octets, rest)| (Ipv6Addr::from(*octets).into(), rest)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn web() -> ContainerName {
        ContainerName::new("web").unwrap()
    }

    fn forward(listen: &str, to: &str) -> Step {
        Step::Forward {
            protocol: Protocol::Udp,
            listen: listen.parse().unwrap(),
            to: to.parse().unwrap(),
        }
    }

    #[test]
    fn a_forward_is_read_back_from_its_element() {
        for (listen, to) in [
            ("0.0.0.0:8080", "10.233.1.2:80"),
            ("192.0.2.1:8080", "10.233.1.2:80"),
            ("[::]:8080", "[fd00::2]:80"),
            ("[2001:db8::1]:8080", "[fd00::2]:80"),
        ] {
            let element = Element::of(&forward(listen, to), &web()).unwrap();
            let expected = Claim {
                container: "web".to_owned(),
                protocol: Protocol::Udp,
                listen: listen.parse().unwrap(),
                to: to.parse().unwrap(),
            };
            assert_eq!(element.claim(), Some(expected));
        }
    }

    /// As nft 1.0.6 sends `0.0.0.0/0 . udp . 8080 : 10.233.1.2 . 80`.
    #[test]
    fn each_part_of_a_key_begins_at_a_register() {
        let element = Element::of(&forward("0.0.0.0:8080", "10.233.1.2:80"), &web()).unwrap();
        assert_eq!(element.key, [0, 0, 0, 0, 17, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        let last = [255, 255, 255, 255, 17, 0, 0, 0, 0x1f, 0x90, 0, 0];
        assert_eq!(element.last_key.unwrap(), last);
        assert_eq!(element.value, [10, 233, 1, 2, 0, 80, 0, 0]);
    }

    #[test]
    fn an_element_is_read_back_from_its_message() {
        let steps = [
            forward("0.0.0.0:8080", "10.233.1.2:80"),
            Step::GuardLoopback {
                link: "br0".to_owned(),
            },
        ];
        for step in steps {
            let element = Element::of(&step, &web()).unwrap();
            let read = Element::decode_all(element.set, &element.encode());
            assert_eq!(read, [element]);
        }
    }

    #[test]
    fn an_element_in_nfts_words() {
        let words = |step: &Step| Element::of(step, &web()).unwrap().to_string();
        assert_eq!(
            words(&forward("[2001:db8::1]:8080", "[fd00::2]:80")),
            "ports6 { 2001:db8::1 . udp . 8080 }"
        );
        let link = "ve-web".to_owned();
        assert_eq!(
            words(&Step::GuardLoopback { link }),
            "guarded { \"ve-web\" }"
        );
    }

    #[test]
    fn sources_are_all_of_a_network() {
        let step = Step::Masquerade {
            sources: "127.0.0.0/8".parse().unwrap(),
            to: "10.233.1.2".parse().unwrap(),
        };
        let element = Element::of(&step, &web()).unwrap();
        assert_eq!(element.key, [10, 233, 1, 2, 127, 0, 0, 0]);
        assert_eq!(
            element.last_key.unwrap(),
            [10, 233, 1, 2, 127, 255, 255, 255]
        );
    }

    #[test]
    fn the_guard_of_a_shared_link_is_nobodys() {
        let owner = |link: &str| {
            let link = link.to_owned();
            Element::of(&Step::GuardLoopback { link }, &web())
                .unwrap()
                .owner
        };
        assert_eq!(owner("ve-web").as_deref(), Some("web"));
        assert_eq!(owner("br0"), None);
    }
}
