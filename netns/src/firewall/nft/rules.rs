//! The chains and rules of our table, as data.
//!
//! The rules are always the same. They look up sets, the elements of which are
//! the containers (`set.rs`), so the cost of a packet and of a change does not
//! depend on the number of containers. Only the first packet of a connection
//! passes the chains of the type nat. Every packet that the host receives passes
//! the guard, which first compares the address with 127.0.0.0/8.

use std::fmt;

use super::nfnetlink::{nested, number_attribute as number, text_attribute as text};
use super::set::Set;
use super::statement::{Field, Statement};
use super::uapi::*;
use crate::firewall::{Family, Protocol};

/// Our table, in the family inet.
pub const TABLE: &str = "nixos-containers";

/// The prefix of links to containers ([`HostLink`](crate::HostLink)). Packets from
/// one container to another keep their source.
const CONTAINER_LINKS: &str = "ve-";

const GUARD: &str = "guard";
const PREROUTING: &str = "prerouting";
const OUTPUT: &str = "output";
const POSTROUTING: &str = "postrouting";
const PORTS: &str = "ports";

/// A chain of our table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    pub name: &'static str,
    /// The hook of a base chain.
    pub base: Option<Base>,
}

/// The hook of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// Type of the chain, as nft(8) calls it.
    pub kind: &'static str,
    pub hook: Hook,
    /// Chains with a lower priority come first.
    pub priority: i32,
}

/// The point at which a packet enters a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// After a link received it, before it is routed.
    Prerouting,
    /// After it was routed from one link to another.
    Forward,
    /// After the host itself sent it.
    Output,
    /// Before a link sends it.
    Postrouting,
}

/// A rule at the end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub chain: &'static str,
    pub statements: Vec<Statement>,
}

/// The chains. A chain comes before those that jump to it.
pub fn chains() -> [Chain; 5] {
    let base = |name, kind, hook, priority| Chain {
        name,
        base: Some(Base {
            kind,
            hook,
            priority,
        }),
    };
    // The priorities have names in nft(8): raw, dstnat, srcnat. Raw is before
    // connection tracking, so that addresses are those on the wire.
    [
        Chain {
            name: PORTS,
            base: None,
        },
        base(GUARD, "filter", Hook::Prerouting, -300),
        base(PREROUTING, "nat", Hook::Prerouting, -100),
        base(OUTPUT, "nat", Hook::Output, -100),
        base(POSTROUTING, "nat", Hook::Postrouting, 100),
    ]
}

/// All rules, in the order in which packets pass them.
pub fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for field in [Field::Source(Family::V4), Field::Destination(Family::V4)] {
        rules.push(Rule {
            chain: GUARD,
            statements: vec![
                Statement::Family(Family::V4),
                Statement::IsLoopback4(field),
                Statement::In(vec![Field::InputLink], Set::Guarded),
                Statement::Drop,
            ],
        });
    }
    for chain in [PREROUTING, OUTPUT] {
        rules.push(Rule {
            chain,
            statements: vec![Statement::ToThisHost, Statement::Jump(PORTS)],
        });
    }
    for protocol in Protocol::ALL {
        rules.extend(FAMILIES.map(|family| ports(protocol, family)));
    }
    rules.extend(FAMILIES.map(masquerade));
    rules.extend(FAMILIES.map(nat));
    rules
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

fn ports(protocol: Protocol, family: Family) -> Rule {
    let key = vec![
        Field::Destination(family),
        Field::Protocol,
        Field::Port(protocol),
    ];
    Rule {
        chain: PORTS,
        statements: vec![
            Statement::Protocol(protocol),
            Statement::Family(family),
            Statement::Forward(family, key, Set::Ports(family)),
        ],
    }
}

fn masquerade(family: Family) -> Rule {
    let key = vec![Field::Destination(family), Field::Source(family)];
    Rule {
        chain: POSTROUTING,
        statements: vec![
            Statement::IsForwarded,
            Statement::Family(family),
            Statement::In(key, Set::Masquerade(family)),
            Statement::Masquerade,
        ],
    }
}

fn nat(family: Family) -> Rule {
    Rule {
        chain: POSTROUTING,
        statements: vec![
            Statement::Family(family),
            Statement::In(vec![Field::Source(family)], Set::Nat(family)),
            Statement::BeginsNot(Field::OutputLink, CONTAINER_LINKS),
            Statement::Masquerade,
        ],
    }
}

impl Chain {
    /// The attributes of a message about it, without the table.
    pub fn encode(&self) -> Vec<u8> {
        let mut attributes = vec![text(NFTA_CHAIN_NAME, self.name)];
        if let Some(base) = self.base {
            let hook = [
                number(NFTA_HOOK_HOOKNUM, base.hook.number()),
                number(NFTA_HOOK_PRIORITY, base.priority as u32),
            ];
            attributes.push(nested(NFTA_CHAIN_HOOK, &hook));
            attributes.push(text(NFTA_CHAIN_TYPE, base.kind));
            attributes.push(number(NFTA_CHAIN_POLICY, NF_ACCEPT));
        }
        attributes.concat()
    }
}

impl Rule {
    /// The attributes of a message about it, without the table.
    pub fn encode(&self) -> Vec<u8> {
        let expressions: Vec<_> = self.statements.iter().map(Statement::encode).collect();
        [
            text(NFTA_RULE_CHAIN, self.chain),
            nested(NFTA_RULE_EXPRESSIONS, &expressions),
        ]
        .concat()
    }
}

impl Hook {
    /// Its number, `NF_INET_…` of `linux/netfilter.h`.
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

impl fmt::Display for Rule {
    /// As nft(8) lists it, without statements that other statements imply.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let implied = |statement: &&Statement| {
            !matches!(statement, Statement::Family(_) | Statement::Protocol(_))
        };
        let shown = self.statements.iter().filter(implied);
        let shown: Vec<_> = shown.map(Statement::to_string).collect();
        f.write_str(&shown.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_in_nfts_words() {
        let words: Vec<_> = rules()
            .iter()
            .map(|rule| format!("{}: {rule}", rule.chain))
            .collect();
        assert_eq!(
            words,
            [
                "guard: ip saddr 127.0.0.0/8 iifname @guarded drop",
                "guard: ip daddr 127.0.0.0/8 iifname @guarded drop",
                "prerouting: fib daddr type local jump ports",
                "output: fib daddr type local jump ports",
                "ports: dnat ip to ip daddr . meta l4proto . tcp dport map @ports4",
                "ports: dnat ip6 to ip6 daddr . meta l4proto . tcp dport map @ports6",
                "ports: dnat ip to ip daddr . meta l4proto . udp dport map @ports4",
                "ports: dnat ip6 to ip6 daddr . meta l4proto . udp dport map @ports6",
                "ports: dnat ip to ip daddr . meta l4proto . sctp dport map @ports4",
                "ports: dnat ip6 to ip6 daddr . meta l4proto . sctp dport map @ports6",
                "postrouting: ct status dnat ip daddr . ip saddr @masquerade4 masquerade",
                "postrouting: ct status dnat ip6 daddr . ip6 saddr @masquerade6 masquerade",
                "postrouting: ip saddr @nat4 oifname != \"ve-*\" masquerade",
                "postrouting: ip6 saddr @nat6 oifname != \"ve-*\" masquerade",
            ]
        );
    }
}
