//! The nft transactions, as data. Pure.
//!
//! A container has base chains of its own, so that they come and go by their
//! names alone. Only the first packet of a connection goes through those of
//! the type nat; every packet of the host goes through the guard, which is one
//! comparison for those of other links.

use std::{collections::HashSet, net::IpAddr};

use nftables::{
    batch::Batch,
    expr::{
        CT, Expression, Fib, FibFlag, FibResult, Meta, MetaKey, NamedExpression, Payload,
        PayloadField, Prefix,
    },
    schema::{Chain, FlushObject, NfCmd, NfListObject, Nftables, Rule, Table},
    stmt::{Drop, JumpTarget, Match, NAT, NATFamily, Operator, Statement},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};

use super::{Family, Step};
use crate::ContainerName;

/// Our table, in the family inet.
pub const TABLE: &str = "nixos-containers";

/// The links that lead to containers, as [`HostLink`](crate::HostLink) names
/// them: those behind them need no other address to answer.
const CONTAINER_LINKS: &str = "ve-*";

/// Where a packet is met by a chain of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What comes in through any link, with the addresses that it has on the
    /// wire: before connection tracking undoes any NAT.
    Guard,
    /// What comes in through any link, before it is routed.
    Prerouting,
    /// What the host itself sends.
    Output,
    /// What leaves through any link.
    Postrouting,
    /// The forwards; prerouting and output lead there.
    Ports,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::Guard,
        Self::Prerouting,
        Self::Output,
        Self::Postrouting,
        Self::Ports,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Prerouting => "prerouting",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Ports => "ports",
        }
    }
}

/// The name of a container's chain. The container's name alone could begin
/// with a digit, which the grammar of nft(8) does not take.
pub fn chain_name(place: Place, container: &str) -> String {
    format!("{}-{container}", place.name())
}

/// Whose chain it is, and where.
pub fn owner(chain: &str) -> Option<(Place, &str)> {
    let (prefix, container) = chain.split_once('-')?;
    let place = Place::ALL
        .into_iter()
        .find(|place| place.name() == prefix)?;
    Some((place, container))
}

/// Puts chains for `steps` in place of those that the container has, which are
/// `existing`.
pub fn replace(
    container: &ContainerName,
    existing: &[String],
    steps: &[Step],
) -> Nftables<'static> {
    let mut batch = Batch::new();
    batch.add(NfListObject::Table(table()));
    delete_chains(&mut batch, existing);
    let container = container.as_str();
    let mut added = Vec::new();
    for step in steps {
        let Some((place, rules)) = rules(step) else {
            continue;
        };
        if !added.contains(&place) {
            added.push(place);
            add_chains(&mut batch, container, place);
        }
        for statements in rules {
            let mut rule = rule_in(&chain_name(place, container), statements);
            rule.comment = comment(step).map(Into::into);
            batch.add(NfListObject::Rule(rule));
        }
    }
    batch.to_nftables()
}

/// Takes chains away.
pub fn remove_chains(chains: &[String]) -> Nftables<'static> {
    let mut batch = Batch::new();
    delete_chains(&mut batch, chains);
    batch.to_nftables()
}

/// Takes the whole table away.
pub fn remove_table() -> Nftables<'static> {
    let mut batch = Batch::new();
    batch.delete(NfListObject::Table(table()));
    batch.to_nftables()
}

/// What [`claims`](super::claims) reads back.
fn comment(step: &Step) -> Option<String> {
    match step {
        Step::Forward {
            protocol,
            listen,
            to,
        } => Some(format!("{protocol} {listen} to {to}")),
        _ => None,
    }
}

fn table() -> Table<'static> {
    Table {
        family: NfFamily::INet,
        name: TABLE.into(),
        handle: None,
    }
}

fn chain(name: &str) -> Chain<'static> {
    Chain {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: name.to_owned().into(),
        ..Chain::default()
    }
}

fn rule_in(chain: &str, statements: Vec<Statement<'static>>) -> Rule<'static> {
    Rule {
        family: NfFamily::INet,
        table: TABLE.into(),
        chain: chain.to_owned().into(),
        expr: statements.into(),
        ..Rule::default()
    }
}

/// Empties all first: a chain to which another jumps is busy.
fn delete_chains(batch: &mut Batch<'static>, chains: &[String]) {
    for name in chains {
        batch.add_cmd(NfCmd::Flush(FlushObject::Chain(chain(name))));
    }
    for name in chains {
        batch.delete(NfListObject::Chain(chain(name)));
    }
}

/// Adds the container's chain at `place`, and those that lead there.
fn add_chains(batch: &mut Batch<'static>, container: &str, place: Place) {
    // Priorities as in nft(8): the table of standard priority names.
    let (kind, hook, priority) = match place {
        Place::Ports => {
            let ports = chain_name(Place::Ports, container);
            batch.add(NfListObject::Chain(chain(&ports)));
            for place in [Place::Prerouting, Place::Output] {
                add_chains(batch, container, place);
                let jump = Statement::Jump(JumpTarget {
                    target: ports.clone().into(),
                });
                let rule = rule_in(&chain_name(place, container), vec![jump]);
                batch.add(NfListObject::Rule(rule));
            }
            return;
        }
        Place::Guard => (NfChainType::Filter, NfHook::Prerouting, -300),
        Place::Prerouting => (NfChainType::NAT, NfHook::Prerouting, -100),
        Place::Output => (NfChainType::NAT, NfHook::Output, -100),
        Place::Postrouting => (NfChainType::NAT, NfHook::Postrouting, 100),
    };
    batch.add(NfListObject::Chain(Chain {
        _type: Some(kind),
        hook: Some(hook),
        prio: Some(priority),
        policy: Some(NfChainPolicy::Accept),
        ..chain(&chain_name(place, container))
    }));
}

/// The rules of a step, and where they go; none for one that nft does not do.
fn rules(step: &Step) -> Option<(Place, Vec<Vec<Statement<'static>>>)> {
    let found = match step {
        Step::GuardLoopback { link } => {
            let drop_where = |field| {
                let loopback = prefix("127.0.0.0", 8);
                vec![
                    is(meta(MetaKey::Iifname), text(link)),
                    is(header("ip", field), loopback),
                    Statement::Drop(None::<Drop>),
                ]
            };
            let rules = ["saddr", "daddr"].map(drop_where);
            (Place::Guard, rules.into())
        }
        Step::Forward {
            protocol,
            listen,
            to,
        } => {
            let family = Family::of(listen.ip());
            let mut rule = vec![
                is(
                    header(protocol.name(), "dport"),
                    Expression::Number(listen.port().into()),
                ),
                is(meta(MetaKey::Nfproto), text(nfproto(family))),
            ];
            rule.push(if listen.ip().is_unspecified() {
                is(type_of_destination(), text("local"))
            } else {
                is(header(nft_family(family), "daddr"), address(listen.ip()))
            });
            rule.push(Statement::DNAT(Some(NAT {
                addr: Some(address(to.ip())),
                family: Some(nat_family(family)),
                port: Some(Expression::Number(to.port().into())),
                flags: None,
            })));
            (Place::Ports, vec![rule])
        }
        Step::MasqueradeLoopback { link, family } => {
            let loopback = match family {
                Family::V4 => prefix("127.0.0.0", 8),
                Family::V6 => text("::1"),
            };
            let rule = vec![
                is(meta(MetaKey::Oifname), text(link)),
                is(header(nft_family(*family), "saddr"), loopback),
                Statement::Masquerade(None),
            ];
            (Place::Postrouting, vec![rule])
        }
        Step::MasqueradeNeighbours { neighbours, link } => {
            let family = Family::of(neighbours.addr());
            let prefix = prefix(
                &neighbours.addr().to_string(),
                neighbours.prefix_len().into(),
            );
            let rule = vec![
                is(meta(MetaKey::Oifname), text(link)),
                is(header(nft_family(family), "saddr"), prefix),
                matching(Operator::IN, ct("status"), text("dnat")),
                Statement::Masquerade(None),
            ];
            (Place::Postrouting, vec![rule])
        }
        Step::MasqueradeOutside { source, link } => {
            let family = Family::of(*source);
            let rule = vec![
                is(header(nft_family(family), "saddr"), address(*source)),
                matching(Operator::NEQ, meta(MetaKey::Oifname), text(link)),
                matching(Operator::NEQ, meta(MetaKey::Oifname), text(CONTAINER_LINKS)),
                Statement::Masquerade(None),
            ];
            (Place::Postrouting, vec![rule])
        }
        Step::EnableForwarding { .. } | Step::RouteLoopback { .. } => return None,
    };
    Some(found)
}

fn is(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    matching(Operator::EQ, left, right)
}

fn matching(
    op: Operator,
    left: Expression<'static>,
    right: Expression<'static>,
) -> Statement<'static> {
    Statement::Match(Match { left, right, op })
}

fn text(text: &str) -> Expression<'static> {
    Expression::String(text.to_owned().into())
}

fn address(address: IpAddr) -> Expression<'static> {
    text(&address.to_string())
}

fn prefix(network: &str, length: u32) -> Expression<'static> {
    Expression::Named(NamedExpression::Prefix(Prefix {
        addr: Box::new(text(network)),
        len: length,
    }))
}

fn header(protocol: &'static str, field: &'static str) -> Expression<'static> {
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(
        PayloadField {
            protocol: protocol.into(),
            field: field.into(),
        },
    )))
}

fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

fn ct(key: &'static str) -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT {
        key: key.into(),
        ..CT::default()
    }))
}

/// `fib daddr type`: `local` for an address of the host's own.
fn type_of_destination() -> Expression<'static> {
    Expression::Named(NamedExpression::Fib(Fib {
        result: FibResult::Type,
        flags: HashSet::from([FibFlag::Daddr]),
    }))
}

fn nfproto(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn nft_family(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn nat_family(family: Family) -> NATFamily {
    match family {
        Family::V4 => NATFamily::IP,
        Family::V6 => NATFamily::IP6,
    }
}
