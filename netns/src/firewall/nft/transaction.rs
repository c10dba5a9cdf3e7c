//! Changes of our table, as data and as messages to the kernel.

use std::fmt;

use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};

use super::element::Element;
use super::nfnetlink::{self, Netfilter, text_attribute as text};
use super::rules::{self, Chain, Rule, TABLE};
use super::set::Set;
use super::uapi::*;
use crate::ContainerName;
use crate::firewall::Error;

/// One change of our table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    AddTable,
    AddSet(Set),
    AddChain(Chain),
    AddRule(Rule),
    AddElement(Element),
    DeleteElement(Element),
    /// The table with everything in it.
    DeleteTable,
}

/// Replaces the elements that the container has by `wanted`. `existing` are the
/// elements of all containers; `None` if the table is missing.
pub fn replace(
    container: &ContainerName,
    existing: Option<&[Element]>,
    wanted: &[Element],
) -> Vec<Change> {
    let mut changes = match existing {
        Some(existing) => {
            let own = existing.iter().filter(|element| element.is_of(container));
            remove(own.filter(|element| !wanted.contains(element)))
        }
        None => add_table(),
    };
    let existing = existing.unwrap_or_default();
    let added = wanted.iter().filter(|element| !existing.contains(element));
    changes.extend(added.cloned().map(Change::AddElement));
    changes
}

/// Removes elements.
pub fn remove<'a>(elements: impl IntoIterator<Item = &'a Element>) -> Vec<Change> {
    let elements = elements.into_iter().cloned();
    elements.map(Change::DeleteElement).collect()
}

/// Adds the table. Rules come last, because they name sets and chains.
fn add_table() -> Vec<Change> {
    let mut changes = vec![Change::AddTable];
    changes.extend(Set::ALL.map(Change::AddSet));
    changes.extend(rules::chains().map(Change::AddChain));
    changes.extend(rules::rules().into_iter().map(Change::AddRule));
    changes
}

/// Performs all changes, or none.
pub fn perform(
    netfilter: &Netfilter,
    changes: &[Change],
    operation: &'static str,
) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let messages: Vec<_> = changes.iter().map(Change::message).collect();
    netfilter.transact(&messages).map_err(|refusal| {
        let source = refusal.source;
        match refusal.change.and_then(|number| changes.get(number)) {
            Some(change) => Error::Refused {
                operation,
                change: change.to_string(),
                source,
            },
            None => Error::Netlink { operation, source },
        }
    })
}

/// Refused if the object exists.
const ADD: u16 = NLM_F_CREATE | NLM_F_EXCL;
/// Rules have no names that could exist already.
const APPEND: u16 = NLM_F_CREATE | NLM_F_APPEND;

impl Change {
    fn message(&self) -> nfnetlink::Change {
        let (message, flags, part) = match self {
            Self::AddTable => (NFT_MSG_NEWTABLE, ADD, Vec::new()),
            Self::AddSet(set) => (NFT_MSG_NEWSET, ADD, set.encode()),
            Self::AddChain(chain) => (NFT_MSG_NEWCHAIN, ADD, chain.encode()),
            Self::AddRule(rule) => (NFT_MSG_NEWRULE, APPEND, rule.encode()),
            Self::AddElement(element) => (NFT_MSG_NEWSETELEM, ADD, element.encode()),
            Self::DeleteElement(element) => (NFT_MSG_DELSETELEM, 0, element.encode()),
            Self::DeleteTable => (NFT_MSG_DELTABLE, 0, Vec::new()),
        };
        nfnetlink::Change {
            message,
            flags,
            attributes: [text(NFTA_TABLE, TABLE), part].concat(),
        }
    }
}

impl fmt::Display for Change {
    /// As a command of nft(8).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddTable => write!(f, "add table inet {TABLE}"),
            Self::AddSet(set) => write!(f, "add {} inet {TABLE} {}", set.kind(), set.name()),
            Self::AddChain(chain) => write!(f, "add chain inet {TABLE} {}", chain.name),
            Self::AddRule(rule) => write!(f, "add rule inet {TABLE} {} {rule}", rule.chain),
            Self::AddElement(element) => write!(f, "add element inet {TABLE} {element}"),
            Self::DeleteElement(element) => write!(f, "delete element inet {TABLE} {element}"),
            Self::DeleteTable => write!(f, "delete table inet {TABLE}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::firewall::Step;

    fn nat(container: &ContainerName, source: &str) -> Element {
        let source = source.parse().unwrap();
        Element::of(&Step::MasqueradeOutside { source }, container).unwrap()
    }

    fn words(changes: &[Change]) -> Vec<String> {
        changes.iter().map(Change::to_string).collect()
    }

    #[test]
    fn the_first_container_brings_the_table() {
        let web = ContainerName::new("web").unwrap();
        let changes = words(&replace(&web, None, &[nat(&web, "10.233.1.2")]));
        assert_eq!(changes[0], "add table inet nixos-containers");
        assert_eq!(changes[1], "add map inet nixos-containers ports4");
        assert_eq!(changes[8], "add chain inet nixos-containers ports");
        assert_eq!(
            changes[13],
            "add rule inet nixos-containers guard ip saddr 127.0.0.0/8 iifname @guarded drop"
        );
        assert_eq!(
            changes.last().unwrap(),
            "add element inet nixos-containers nat4 { 10.233.1.2 }"
        );
    }

    #[test]
    fn only_what_differs_is_changed() {
        let (web, other) = (
            ContainerName::new("web").unwrap(),
            ContainerName::new("other").unwrap(),
        );
        let existing = [
            nat(&web, "10.233.1.2"),
            nat(&other, "10.233.2.2"),
            nat(&web, "fd00::2"),
        ];
        let wanted = [nat(&web, "fd00::2"), nat(&web, "10.233.3.2")];
        assert_eq!(
            words(&replace(&web, Some(&existing), &wanted)),
            [
                "delete element inet nixos-containers nat4 { 10.233.1.2 }",
                "add element inet nixos-containers nat4 { 10.233.3.2 }",
            ]
        );
        assert_eq!(replace(&web, Some(&existing[2..]), &existing[2..]), []);
    }
}
