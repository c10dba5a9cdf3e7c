//! What is known of a packet in question, and whether a rule's match holds.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::firewall::{Family, Protocol};

/// A packet of which some is known.
#[derive(Clone, Debug)]
pub struct Packet {
    pub family: Family,
    pub from: Link,
    pub to: Link,
    pub source: Option<IpAddr>,
    pub destination: Option<IpAddr>,
    pub protocol: Option<Protocol>,
    /// That of the destination.
    pub port: Option<u16>,
    /// Whether it belongs to a connection to a forwarded port.
    pub forwarded_port: bool,
    /// Whether it is a connection's first.
    pub is_new: bool,
}

/// Where a packet comes in or leaves.
#[derive(Clone, Debug)]
pub enum Link {
    Named(String),
    /// Some link that is neither lo nor a container's.
    Outside,
    /// The packet is the host's own.
    None,
}

impl Link {
    /// Whether it is the link of this name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Named(own) if own == name)
    }
}

/// Whether something holds for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }

    fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What an expression of a rule stands for in a packet.
enum Fact<'a> {
    Word(&'static str),
    Address(IpAddr),
    Port(u16),
    Link(&'a Link),
    /// The packet has no such thing.
    Absent,
    Unknown,
}

impl Packet {
    /// The first packet of a connection in the family of `address`, of which
    /// nothing else is known.
    pub fn new(address: IpAddr) -> Self {
        Self {
            family: Family::of(address),
            from: Link::None,
            to: Link::None,
            source: None,
            destination: None,
            protocol: None,
            port: None,
            forwarded_port: false,
            is_new: true,
        }
    }

    /// A packet that answers this one.
    pub fn answer(&self) -> Self {
        Self {
            from: self.to.clone(),
            to: self.from.clone(),
            source: self.destination,
            destination: self.source,
            port: None,
            is_new: false,
            ..self.clone()
        }
    }

    /// Whether the match statement `statement` of libnftables-json(5) holds.
    pub fn matches(&self, statement: &Value) -> Truth {
        let truth = self.equals(&statement["left"], &statement["right"]);
        match statement["op"].as_str() {
            Some("==" | "in") => truth,
            Some("!=") => truth.negated(),
            _ => Truth::Unknown,
        }
    }

    /// Whether the expression `left` has the value, or one of the values,
    /// `right`.
    pub fn equals(&self, left: &Value, right: &Value) -> Truth {
        let choices = match right {
            Value::Array(choices) => Some(choices),
            other => other["set"].as_array(),
        };
        match choices {
            Some(choices) => choices
                .iter()
                .map(|choice| self.equals(left, choice))
                .fold(Truth::No, Truth::or),
            None => self.fact(left, right).is(right),
        }
    }

    fn fact(&self, left: &Value, right: &Value) -> Fact<'_> {
        let address = |address: Option<IpAddr>| address.map_or(Fact::Unknown, Fact::Address);
        if let Some(key) = left["meta"]["key"].as_str() {
            return match key {
                "iif" | "iifname" => Fact::Link(&self.from),
                "oif" | "oifname" => Fact::Link(&self.to),
                "nfproto" => Fact::Word(match self.family {
                    Family::V4 => "ipv4",
                    Family::V6 => "ipv6",
                }),
                "protocol" => Fact::Word(self.header()),
                "l4proto" => self
                    .protocol
                    .map_or(Fact::Unknown, |protocol| Fact::Word(protocol.name())),
                _ => Fact::Unknown,
            };
        }
        if let Some(key) = left["ct"]["key"].as_str() {
            return match key {
                "state" if self.is_new => Fact::Word("new"),
                "state" => Fact::Word("established"),
                "status" if right == "dnat" => match self.forwarded_port {
                    true => Fact::Word("dnat"),
                    false => Fact::Absent,
                },
                _ => Fact::Unknown,
            };
        }
        let payload = &left["payload"];
        let (Some(header), Some(field)) = (payload["protocol"].as_str(), payload["field"].as_str())
        else {
            return Fact::Unknown;
        };
        match (header, field) {
            ("ip" | "ip6", _) if header != self.header() => Fact::Absent,
            ("ip" | "ip6", "saddr") => address(self.source),
            ("ip" | "ip6", "daddr") => address(self.destination),
            ("tcp" | "udp" | "sctp", _)
                if self.protocol.is_some_and(|known| known.name() != header) =>
            {
                Fact::Absent
            }
            ("tcp" | "udp" | "sctp" | "th", "dport") if self.protocol.is_some() => {
                self.port.map_or(Fact::Unknown, Fact::Port)
            }
            _ => Fact::Unknown,
        }
    }

    fn header(&self) -> &'static str {
        match self.family {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        }
    }
}

impl Fact<'_> {
    fn is(&self, value: &Value) -> Truth {
        match self {
            Self::Absent => Truth::No,
            Self::Unknown => Truth::Unknown,
            Self::Word(word) => value
                .as_str()
                .map_or(Truth::Unknown, |value| (value == *word).into()),
            Self::Port(port) => match (value.as_u64(), value["range"].as_array()) {
                (Some(value), _) => (value == u64::from(*port)).into(),
                (None, Some(range)) => in_range(*port, range),
                _ => Truth::Unknown,
            },
            Self::Address(address) => match network(value) {
                Some(network) => network.contains(address).into(),
                None => Truth::Unknown,
            },
            Self::Link(link) => value
                .as_str()
                .map_or(Truth::Unknown, |pattern| link.is_named(pattern)),
        }
    }
}

impl Link {
    fn is_named(&self, pattern: &str) -> Truth {
        match self {
            Self::Named(name) => match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning).into(),
                None => (name == pattern).into(),
            },
            Self::Outside if pattern == "lo" || pattern.starts_with("ve-") => Truth::No,
            Self::Outside => Truth::Unknown,
            Self::None => Truth::No,
        }
    }
}

fn in_range(port: u16, range: &[Value]) -> Truth {
    match range {
        [first, last] => match (first.as_u64(), last.as_u64()) {
            (Some(first), Some(last)) => (first..=last).contains(&port.into()).into(),
            _ => Truth::Unknown,
        },
        _ => Truth::Unknown,
    }
}

/// An address or a prefix.
fn network(value: &Value) -> Option<IpNet> {
    if let Some(address) = value.as_str() {
        return address.parse().ok().map(|address: IpAddr| address.into());
    }
    let prefix = &value["prefix"];
    let address = prefix["addr"].as_str()?.parse().ok()?;
    let length = prefix["len"].as_u64()?.try_into().ok()?;
    IpNet::new(address, length).ok()
}
