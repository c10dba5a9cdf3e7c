//! Reads chains and rules of other programs.
//!
//! Rules are read loosely: what is not understood is no reason to accept a packet.

use std::{fmt, io};

use super::TABLE;
use super::nfnetlink::{
    Ask, INET, NFTABLES, Netfilter, attributes, find, find_number, find_text, text_attribute,
};
use super::rules::Hook;
use super::uapi::*;
use crate::firewall::Family;

/// A base chain of another program with the policy drop, which packets of
/// containers pass.
pub struct DroppingChain {
    /// The family of its table; `None` for inet.
    family: Option<Family>,
    table: String,
    name: String,
    /// [`Hook::Forward`] or [`Hook::Output`].
    pub hook: Hook,
}

/// What the packets that rules accept have in common.
#[derive(Default)]
pub struct Accepted {
    /// They come in by the container's link.
    pub from_link: bool,
    /// They leave by it.
    pub to_link: bool,
    /// They belong to forwarded connections.
    pub is_forwarded: bool,
}

/// The chains of all families that see packets of the Internet protocol.
pub fn dropping_chains(netfilter: &Netfilter) -> io::Result<Vec<DroppingChain>> {
    let mut chains = Vec::new();
    for family in [None, Some(Family::V4), Some(Family::V6)] {
        let answers = dump(netfilter, NFT_MSG_GETCHAIN, family, &[])?;
        let decode = |answer: &Vec<u8>| DroppingChain::decode(family, answer);
        chains.extend(answers.iter().filter_map(decode));
    }
    Ok(chains)
}

fn dump(
    netfilter: &Netfilter,
    message: u8,
    family: Option<Family>,
    attributes: &[u8],
) -> io::Result<Vec<Vec<u8>>> {
    let family = family.map_or(INET, Family::nfproto);
    netfilter.request(NFTABLES, message, family, Ask::Dump, attributes)
}

impl DroppingChain {
    fn decode(family: Option<Family>, answer: &[u8]) -> Option<Self> {
        let table = find_text(answer, NFTA_TABLE)?;
        let number = find_number(find(answer, NFTA_CHAIN_HOOK)?, NFTA_HOOK_HOOKNUM)?;
        let hooks = [Hook::Forward, Hook::Output];
        let hook = hooks.into_iter().find(|hook| hook.number() == number)?;
        let drops = find_number(answer, NFTA_CHAIN_POLICY)? == NF_DROP;
        let name = find_text(answer, NFTA_CHAIN_NAME)?;
        (drops && table != TABLE).then_some(Self {
            family,
            table,
            name,
            hook,
        })
    }

    /// Whether packets of the family pass the chain.
    pub fn sees(&self, family: Family) -> bool {
        self.family.is_none_or(|own| own == family)
    }

    /// What the rules of its table accept, since the chain may jump to others
    /// there.
    pub fn accepted(&self, netfilter: &Netfilter, link: &str) -> io::Result<Accepted> {
        let table = text_attribute(NFTA_TABLE, &self.table);
        let mut accepted = Accepted::default();
        for rule in dump(netfilter, NFT_MSG_GETRULE, self.family, &table)? {
            accepted.add_rule(&rule, link);
        }
        Ok(accepted)
    }
}

impl fmt::Display for DroppingChain {
    /// As nft names a chain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.family.map_or("inet", Family::nft_name);
        write!(f, "{family} {} {}", self.table, self.name)
    }
}

impl Accepted {
    fn add_rule(&mut self, rule: &[u8], link: &str) {
        let mut matched = Self::default();
        // What the next expression compares: the key of `meta` or of `ct`.
        let (mut meta, mut ct) = (None, None);
        let expressions = find(rule, NFTA_RULE_EXPRESSIONS).unwrap_or_default();
        for (_, expression) in attributes(expressions) {
            let data = find(expression, NFTA_EXPR_DATA).unwrap_or_default();
            match find_text(expression, NFTA_EXPR_NAME).as_deref() {
                Some("meta") => (meta, ct) = (find_number(data, NFTA_META_KEY), None),
                Some("ct") => (meta, ct) = (None, find_number(data, NFTA_CT_KEY)),
                Some("bitwise") => {
                    let masks = value(data, NFTA_BITWISE_MASK) == Some(&IPS_DST_NAT.to_ne_bytes());
                    matched.is_forwarded |= ct == Some(NFT_CT_STATUS) && masks;
                }
                Some("cmp") if is_name(data, link) => match meta {
                    Some(NFT_META_IIFNAME) => matched.from_link = true,
                    Some(NFT_META_OIFNAME) => matched.to_link = true,
                    _ => {}
                },
                Some("immediate") if is_accept(data) => {
                    self.from_link |= matched.from_link;
                    self.to_link |= matched.to_link;
                    self.is_forwarded |= matched.is_forwarded;
                }
                _ => {}
            }
        }
    }
}

fn value(data: &[u8], kind: u16) -> Option<&[u8]> {
    find(find(data, kind)?, NFTA_DATA_VALUE)
}

/// Whether a comparison is with the name of the link, which NULs follow, or with
/// its beginning.
fn is_name(comparison: &[u8], link: &str) -> bool {
    let is_equal = find_number(comparison, NFTA_CMP_OP) == Some(NFT_CMP_EQ);
    let name = value(comparison, NFTA_CMP_DATA).unwrap_or_default();
    is_equal && [link.as_bytes(), &[0; 16]].concat().starts_with(name)
}

fn is_accept(immediate: &[u8]) -> bool {
    let verdict = find(immediate, NFTA_IMMEDIATE_DATA)
        .and_then(|data| find(data, NFTA_DATA_VERDICT))
        .and_then(|verdict| find_number(verdict, NFTA_VERDICT_CODE));
    verdict == Some(NF_ACCEPT)
}
