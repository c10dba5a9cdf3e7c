//! The host's rules, as nft lists them in JSON (libnftables-json(5)).
//!
//! Read loosely: a listing holds what other tools and later releases of nft put
//! there, and what is not understood here is just not known.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::packet::{Packet, Truth};
use crate::firewall::nft::TABLE;

/// How far jumps may lead: `NFT_JUMP_STACK_SIZE` of the kernel.
const JUMPS_MAX: usize = 16;

/// All tables but ours.
pub struct Ruleset {
    base_chains: Vec<BaseChain>,
    /// The statements of each rule.
    rules: HashMap<ChainName, Vec<Vec<Value>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ChainName {
    family: String,
    table: String,
    chain: String,
}

/// A chain that packets come to by themselves.
#[derive(Debug)]
pub struct BaseChain {
    name: ChainName,
    pub hook: String,
    drops: bool,
}

impl fmt::Display for BaseChain {
    /// As nft names a chain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChainName {
            family,
            table,
            chain,
        } = &self.name;
        write!(f, "{family} {table} {chain}")
    }
}

/// What becomes of a packet in a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    Dropped,
    /// Dropped, unless a rule that could not be judged accepts it.
    Unclear,
}

/// What a chain decides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
}

impl Ruleset {
    pub fn parse(listing: &[u8]) -> Result<Self, serde_json::Error> {
        let listing: Value = serde_json::from_slice(listing)?;
        let mut ruleset = Self {
            base_chains: Vec::new(),
            rules: HashMap::new(),
        };
        for object in listing["nftables"].as_array().into_iter().flatten() {
            ruleset.take(object);
        }
        Ok(ruleset)
    }

    fn take(&mut self, object: &Value) {
        if let Some(name) = chain_name(&object["rule"], "chain") {
            let statements = object["rule"]["expr"].as_array().cloned();
            let rules = self.rules.entry(name).or_default();
            rules.push(statements.unwrap_or_default());
        }
        let chain = &object["chain"];
        if let (Some(name), Some(hook)) = (chain_name(chain, "name"), chain["hook"].as_str()) {
            self.base_chains.push(BaseChain {
                name,
                hook: hook.to_owned(),
                drops: chain["policy"] == "drop",
            });
        }
    }

    /// The base chains of the Internet protocol at a hook, numbered through.
    pub fn base_chains_at(&self, hook: &str) -> impl Iterator<Item = (usize, &BaseChain)> {
        let chains = self.base_chains.iter().enumerate();
        chains.filter(move |(_, chain)| chain.hook == hook && chain.name.table != TABLE)
    }

    pub fn ask(&self, chain: &BaseChain, packet: &Packet) -> Answer {
        let family = match packet.family {
            super::Family::V4 => "ip",
            super::Family::V6 => "ip6",
        };
        if chain.name.family != "inet" && chain.name.family != family {
            return Answer::Accepted;
        }
        let mut walk = Walk {
            ruleset: self,
            packet,
            maybe_accepted: false,
        };
        let policy = match chain.drops {
            true => Verdict::Drop,
            false => Verdict::Accept,
        };
        match walk.through(&chain.name, 0).unwrap_or(policy) {
            Verdict::Accept => Answer::Accepted,
            Verdict::Drop if walk.maybe_accepted => Answer::Unclear,
            Verdict::Drop => Answer::Dropped,
        }
    }
}

fn chain_name(object: &Value, key: &str) -> Option<ChainName> {
    Some(ChainName {
        family: object["family"].as_str()?.to_owned(),
        table: object["table"].as_str()?.to_owned(),
        chain: object[key].as_str()?.to_owned(),
    })
}

/// A packet's way through the chains of one table.
struct Walk<'a> {
    ruleset: &'a Ruleset,
    packet: &'a Packet,
    /// Whether it came past a rule that may have accepted it.
    maybe_accepted: bool,
}

/// What follows after a statement.
enum Next {
    Statement,
    Rule,
    /// The chain ends here, undecided or not.
    End(Option<Verdict>),
}

impl Walk<'_> {
    /// `None` if no rule decides.
    fn through(&mut self, chain: &ChainName, jumps: usize) -> Option<Verdict> {
        for rule in self.ruleset.rules.get(chain)? {
            let mut truth = Truth::Yes;
            for statement in rule {
                match self.take(chain, statement, &mut truth, jumps) {
                    Next::Statement => {}
                    Next::Rule => break,
                    Next::End(verdict) => return verdict,
                }
            }
        }
        None
    }

    /// `truth` is whether the rule has applied as far as here.
    fn take(
        &mut self,
        chain: &ChainName,
        statement: &Value,
        truth: &mut Truth,
        jumps: usize,
    ) -> Next {
        let Some((kind, body)) = statement.as_object().and_then(|one| one.iter().next()) else {
            return Next::Statement;
        };
        match kind.as_str() {
            "match" => *truth = truth.and(self.packet.matches(body)),
            "counter" | "log" | "mangle" => {}
            "vmap" => return self.look_up(chain, body, *truth, jumps),
            "accept" | "drop" | "reject" | "return" | "jump" | "goto" => {
                return self.decide(chain, kind, body, *truth, jumps);
            }
            // A limit, a quota, a match of iptables: it may or may not go on.
            _ => *truth = truth.and(Truth::Unknown),
        }
        match truth {
            Truth::No => Next::Rule,
            _ => Next::Statement,
        }
    }

    /// A verdict map: `ct state vmap { established : accept, … }`.
    fn look_up(&mut self, chain: &ChainName, body: &Value, truth: Truth, jumps: usize) -> Next {
        let entries = body["data"]["set"].as_array().into_iter().flatten();
        for entry in entries {
            let truth = truth.and(self.packet.equals(&body["key"], &entry[0]));
            let verdict = entry[1].as_object().and_then(|one| one.iter().next());
            let (Some((kind, body)), true) = (verdict, truth != Truth::No) else {
                continue;
            };
            if let Next::End(verdict) = self.decide(chain, kind, body, truth, jumps) {
                return Next::End(verdict);
            }
        }
        Next::Rule
    }

    fn decide(
        &mut self,
        chain: &ChainName,
        kind: &str,
        body: &Value,
        truth: Truth,
        jumps: usize,
    ) -> Next {
        let verdict = match kind {
            "accept" => Some(Verdict::Accept),
            "drop" | "reject" => Some(Verdict::Drop),
            "jump" | "goto" if jumps < JUMPS_MAX => {
                let target = ChainName {
                    chain: body["target"].as_str().unwrap_or_default().to_owned(),
                    ..chain.clone()
                };
                self.through(&target, jumps + 1)
            }
            _ => None,
        };
        if truth == Truth::Unknown {
            self.maybe_accepted |= verdict == Some(Verdict::Accept) || kind == "return";
            return Next::Rule;
        }
        match (kind, verdict) {
            ("jump", None) => Next::Rule,
            ("continue", _) => Next::Rule,
            _ => Next::End(verdict),
        }
    }
}
