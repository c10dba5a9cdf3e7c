//! The host's rules, as nft(8) lists them in JSON (libnftables-json(5)).
//!
//! They are read loosely: a listing holds what other tools and later releases of
//! nft put there, and what is not understood is unknown.

use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use super::packet::Packet;
use crate::firewall::nft::TABLE;

/// How deep jumps may lead: `NFT_JUMP_STACK_SIZE` of the kernel.
const JUMPS_MAX: usize = 16;

/// Tables, our own included.
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

/// A chain that a hook leads to.
#[derive(Debug)]
pub struct BaseChain {
    name: ChainName,
    hook: String,
    policy_accepts: bool,
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

impl Ruleset {
    /// Runs nft.
    ///
    /// # Errors
    ///
    /// Why there is no listing, in words.
    pub fn list() -> Result<Self, String> {
        let output = Command::new("nft")
            .args(["-j", "list", "ruleset"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => "nft is not installed".to_owned(),
                _ => format!("cannot run nft: {error}"),
            })?;
        if output.status.success() {
            return Self::parse(&output.stdout).map_err(|error| format!("nft: {error}"));
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().next().unwrap_or("it failed without a message");
        Err(format!("nft: {line}"))
    }

    fn parse(listing: &[u8]) -> Result<Self, serde_json::Error> {
        let listing: Value = serde_json::from_slice(listing)?;
        let mut ruleset = Self {
            base_chains: Vec::new(),
            rules: HashMap::new(),
        };
        for object in listing["nftables"].as_array().into_iter().flatten() {
            let (chain, rule) = (&object["chain"], &object["rule"]);
            if let Some(name) = chain_name(rule, "chain") {
                let statements = rule["expr"].as_array().cloned().unwrap_or_default();
                ruleset.rules.entry(name).or_default().push(statements);
            }
            if let (Some(name), Some(hook)) = (chain_name(chain, "name"), chain["hook"].as_str()) {
                ruleset.base_chains.push(BaseChain {
                    name,
                    hook: hook.to_owned(),
                    policy_accepts: chain["policy"] != "drop",
                });
            }
        }
        Ok(ruleset)
    }

    /// The base chains of others at a hook, numbered in the order of the listing.
    pub fn base_chains_at(&self, hook: &str) -> impl Iterator<Item = (usize, &BaseChain)> {
        let chains = self.base_chains.iter().enumerate();
        chains.filter(move |(_, chain)| chain.hook == hook && chain.name.table != TABLE)
    }

    /// Whether a chain accepts a packet; unknown if it drops it unless a rule
    /// accepts it that is not understood.
    pub fn accepts(&self, chain: &BaseChain, packet: &Packet) -> Option<bool> {
        if !["inet", packet.family.nft_name()].contains(&&*chain.name.family) {
            return Some(true);
        }
        let mut walk = Walk {
            ruleset: self,
            packet,
            may_be_accepted: false,
        };
        let accepted = walk.chain(&chain.name, 0).unwrap_or(chain.policy_accepts);
        (accepted || !walk.may_be_accepted).then_some(accepted)
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
    /// Whether it passed a rule that may have accepted it.
    may_be_accepted: bool,
}

/// Whether the chain ends, and if so, whether with a packet that is accepted;
/// `None` leaves it to the chain before.
type Flow = ControlFlow<Option<bool>>;

impl Walk<'_> {
    /// Whether the packet is accepted; `None` if no rule of the chain decides.
    fn chain(&mut self, name: &ChainName, jumps: usize) -> Option<bool> {
        for rule in self.ruleset.rules.get(name)? {
            if let Flow::Break(accepted) = self.rule(name, rule, jumps) {
                return accepted;
            }
        }
        None
    }

    fn rule(&mut self, chain: &ChainName, statements: &[Value], jumps: usize) -> Flow {
        let mut applies = Some(true);
        for (kind, body) in statements.iter().filter_map(only_entry) {
            let matches = match kind {
                "match" => self.packet.matches(body),
                "counter" | "log" | "mangle" => Some(true),
                "vmap" => return self.verdict_map(chain, body, applies, jumps),
                "accept" | "drop" | "reject" | "return" | "jump" | "goto" => {
                    return self.verdict(chain, kind, body, applies, jumps);
                }
                // A limit, a quota, a match of iptables.
                _ => None,
            };
            match matches {
                Some(true) => {}
                Some(false) => break,
                None => applies = None,
            }
        }
        Flow::Continue(())
    }

    /// A verdict map: `ct state vmap { established : accept, … }`.
    fn verdict_map(
        &mut self,
        chain: &ChainName,
        body: &Value,
        applies: Option<bool>,
        jumps: usize,
    ) -> Flow {
        for entry in body["data"]["set"].as_array().into_iter().flatten() {
            let applies = match self.packet.equals(&body["key"], &entry[0]) {
                Some(false) => continue,
                Some(true) => applies,
                None => None,
            };
            if let Some((kind, body)) = only_entry(&entry[1]) {
                self.verdict(chain, kind, body, applies, jumps)?;
            }
        }
        Flow::Continue(())
    }

    /// A verdict of a rule that applies, or may apply.
    fn verdict(
        &mut self,
        chain: &ChainName,
        kind: &str,
        body: &Value,
        applies: Option<bool>,
        jumps: usize,
    ) -> Flow {
        let accepted = match kind {
            "accept" => Some(true),
            "drop" | "reject" => Some(false),
            "jump" | "goto" if jumps < JUMPS_MAX => {
                let target = ChainName {
                    chain: body["target"].as_str().unwrap_or_default().to_owned(),
                    ..chain.clone()
                };
                self.chain(&target, jumps + 1)
            }
            _ => None,
        };
        if applies.is_none() {
            self.may_be_accepted |= accepted == Some(true) || kind == "return";
            return Flow::Continue(());
        }
        match (kind, accepted) {
            ("jump", None) | ("continue", _) => Flow::Continue(()),
            _ => Flow::Break(accepted),
        }
    }
}

/// The name and the value of an object with one entry, as statements and
/// verdicts are.
fn only_entry(object: &Value) -> Option<(&str, &Value)> {
    let (name, value) = object
        .as_object()
        .and_then(|object: &Map<_, _>| object.iter().next())?;
    Some((name, value))
}
