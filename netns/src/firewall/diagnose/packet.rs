//! A packet of which some properties are known, and whether a rule matches it.
//!
//! `Option<bool>` is true, false, or unknown.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde_json::Value;

use crate::firewall::{Family, Protocol};

/// A packet; what is `None` is not known.
#[derive(Clone, Debug)]
pub struct Packet {
    pub family: Family,
    /// The link that it comes in by.
    pub from: Link,
    /// The link that it leaves by.
    pub to: Link,
    pub source: Option<IpAddr>,
    pub destination: Option<IpAddr>,
    pub protocol: Option<Protocol>,
    /// The port of the destination.
    pub port: Option<u16>,
    /// Whether it belongs to a connection to a forwarded port.
    pub is_forwarded: bool,
    /// Whether it is the first of a connection.
    pub is_new: bool,
}

/// A link that a packet passes.
#[derive(Clone, Debug)]
pub enum Link {
    Named(String),
    /// Some link that is neither lo nor a container's.
    Outside,
    /// None: the host itself sends or receives the packet.
    None,
}

impl Packet {
    /// The first packet of a connection, in the family of `address`.
    pub fn new(address: IpAddr) -> Self {
        Self {
            family: Family::of(address),
            from: Link::None,
            to: Link::None,
            source: None,
            destination: None,
            protocol: None,
            port: None,
            is_forwarded: false,
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

    /// Whether a match statement of libnftables-json(5) matches.
    pub fn matches(&self, statement: &Value) -> Option<bool> {
        let left = &statement["left"];
        if self.lacks(left) {
            return Some(false);
        }
        let equal = self.equals(left, &statement["right"]);
        match statement["op"].as_str()? {
            "==" | "in" => equal,
            "!=" => equal.map(|equal| !equal),
            _ => None,
        }
    }

    /// Whether the expression `left` has the value `right`, or one of the values
    /// if `right` is a set.
    pub fn equals(&self, left: &Value, right: &Value) -> Option<bool> {
        let Some(choices) = right.as_array().or_else(|| right["set"].as_array()) else {
            return self.equals_one(left, right);
        };
        let choices = choices.iter().map(|choice| self.equals(left, choice));
        let equal: Vec<_> = choices.collect();
        if equal.contains(&Some(true)) {
            Some(true)
        } else if equal.contains(&None) {
            None
        } else {
            Some(false)
        }
    }

    /// Whether the packet has no header of the kind that `expression` reads. A
    /// rule with such an expression does not match, even if it says `!=`.
    fn lacks(&self, expression: &Value) -> bool {
        match expression["payload"]["protocol"].as_str() {
            Some(header @ ("ip" | "ip6")) => header != self.family.nft_name(),
            Some(header @ ("tcp" | "udp" | "sctp")) => self
                .protocol
                .is_some_and(|protocol| header != protocol.name()),
            _ => false,
        }
    }

    fn equals_one(&self, left: &Value, right: &Value) -> Option<bool> {
        // What is in a named set, as in `iifname @trusted`, is not looked up.
        let word = || right.as_str().filter(|word| !word.starts_with('@'));
        if let Some(key) = left["meta"]["key"].as_str() {
            return match key {
                "iif" | "iifname" => self.from.is_named(word()?),
                "oif" | "oifname" => self.to.is_named(word()?),
                "nfproto" => Some(word()? == self.family.nfproto_name()),
                "protocol" => Some(word()? == self.family.nft_name()),
                "l4proto" => Some(word()? == self.protocol?.name()),
                _ => None,
            };
        }
        match left["ct"]["key"].as_str() {
            Some("state") if self.is_new => return Some(word()? == "new"),
            Some("state") => return Some(word()? == "established"),
            Some("status") if right == "dnat" => return Some(self.is_forwarded),
            _ => {}
        }
        let payload = &left["payload"];
        match (payload["protocol"].as_str()?, payload["field"].as_str()?) {
            _ if self.lacks(left) => Some(false),
            ("ip" | "ip6", "saddr") => Some(network(right)?.contains(&self.source?)),
            ("ip" | "ip6", "daddr") => Some(network(right)?.contains(&self.destination?)),
            ("tcp" | "udp" | "sctp" | "th", "dport") => {
                Some(ports(right)?.contains(&self.port?.into()))
            }
            _ => None,
        }
    }
}

impl Link {
    /// Whether it is the link of this name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Named(own) if own == name)
    }

    fn is_named(&self, pattern: &str) -> Option<bool> {
        match self {
            Self::Named(name) => Some(match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == pattern,
            }),
            Self::Outside if pattern == "lo" || pattern.starts_with("ve-") => Some(false),
            Self::Outside => None,
            Self::None => Some(false),
        }
    }
}

/// A port or a range of ports.
fn ports(value: &Value) -> Option<RangeInclusive<u64>> {
    match value["range"].as_array().map(Vec::as_slice) {
        Some([first, last]) => Some(first.as_u64()?..=last.as_u64()?),
        _ => value.as_u64().map(|port| port..=port),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tcp() -> Packet {
        Packet {
            from: Link::Named("ve-web".to_owned()),
            protocol: Some(Protocol::Tcp),
            port: Some(80),
            destination: Some([10, 233, 1, 2].into()),
            ..Packet::new([10, 233, 1, 2].into())
        }
    }

    fn matches(left: &Value, op: &str, right: &Value) -> Option<bool> {
        tcp().matches(&json!({ "left": left, "op": op, "right": right }))
    }

    fn payload(protocol: &str, field: &str) -> Value {
        json!({ "payload": { "protocol": protocol, "field": field } })
    }

    #[test]
    fn headers_that_a_packet_lacks_match_nothing() {
        for op in ["==", "!="] {
            assert_eq!(
                matches(&payload("udp", "dport"), op, &json!(81)),
                Some(false)
            );
            assert_eq!(
                matches(&payload("ip6", "daddr"), op, &json!("::1")),
                Some(false)
            );
        }
        assert_eq!(
            matches(&payload("tcp", "dport"), "!=", &json!(81)),
            Some(true)
        );
    }

    #[test]
    fn named_sets_are_unknown() {
        let from = json!({ "meta": { "key": "iifname" } });
        assert_eq!(matches(&from, "==", &json!("@trusted")), None);
        assert_eq!(matches(&from, "==", &json!("ve-*")), Some(true));
        assert_eq!(matches(&payload("ip", "daddr"), "==", &json!("@lan")), None);
    }

    #[test]
    fn one_of_a_set_suffices() {
        let port = payload("tcp", "dport");
        for (set, truth) in [
            (json!({ "set": [22, { "range": [79, 81] }] }), Some(true)),
            (json!({ "set": ["@web", 80] }), Some(true)),
            (json!({ "set": ["@web", 22] }), None),
            (json!({ "set": [22, 443] }), Some(false)),
        ] {
            assert_eq!(matches(&port, "==", &set), truth, "{set}");
        }
    }
}
