//! Finds out what blocks a container's packets although our own rules pass them.
//!
//! A packet passes a hook only if every base chain there accepts it (nft(8),
//! VERDICT STATEMENTS). So each chain of others is asked for each kind of packet
//! that has to pass, such as "a connection from somewhere outside to the
//! container's port". Not all of such a packet is known, and not all rules are
//! understood: then the answer is that the chain may drop it.

mod addresses;
mod packet;
mod ruleset;

use std::collections::BTreeMap;

use super::nft::nfnetlink::Netfilter;
use super::nft::table;
use super::{Spec, Step, plan};
use packet::{Link, Packet};
use ruleset::{BaseChain, Ruleset};

/// As [`Firewall::diagnose`](super::Firewall::diagnose).
pub fn diagnose(netfilter: &Netfilter, spec: &Spec) -> Vec<String> {
    let mut sentences = addresses::sentences(spec);
    let flows = flows(spec);
    if flows.is_empty() {
        return sentences;
    }
    match others_ruleset(netfilter) {
        Ok(None) => {}
        Ok(Some(ruleset)) => sentences.extend(blocked(spec, &ruleset, &flows)),
        Err(why) => sentences.push(format!(
            "cannot find out whether the host's rules pass the container's packets: {why}"
        )),
    }
    sentences
}

/// The host's rules; `None` if only our own chains could drop packets.
fn others_ruleset(netfilter: &Netfilter) -> Result<Option<Ruleset>, String> {
    if !table::others_filter(netfilter).map_err(|error| error.to_string())? {
        return Ok(None);
    }
    Ruleset::list().map(Some)
}

/// Packets that have to pass a hook.
struct Flow {
    hook: &'static str,
    /// Completes "the chain drops …".
    words: String,
    packet: Packet,
}

/// What has to pass so that the plan works.
fn flows(spec: &Spec) -> Vec<Flow> {
    let flow = |hook, words, packet: &Packet| Flow {
        hook,
        words,
        packet: packet.clone(),
    };
    let container = || Link::Named(spec.link.clone());
    let mut flows = Vec::new();
    for step in plan(spec) {
        match step {
            Step::Forward {
                protocol,
                listen,
                to,
            } => {
                let port = format!("forwarded port {protocol} {listen}");
                let request = Packet {
                    from: Link::Outside,
                    to: container(),
                    destination: Some(to.ip()),
                    protocol: Some(protocol),
                    port: Some(to.port()),
                    is_forwarded: true,
                    ..Packet::new(to.ip())
                };
                if !listen.ip().is_loopback() {
                    let answer = request.answer();
                    flows.push(flow("forward", format!("packets to the {port}"), &request));
                    flows.push(flow("forward", format!("answers of the {port}"), &answer));
                }
                let request = Packet {
                    from: Link::None,
                    ..request
                };
                let words = format!("the host's packets to the {port}");
                flows.push(flow("output", words, &request));
                let words = format!("answers of the {port} to the host");
                flows.push(flow("input", words, &request.answer()));
            }
            Step::MasqueradeOutside { source } => {
                let request = Packet {
                    from: container(),
                    to: Link::Outside,
                    source: Some(source),
                    ..Packet::new(source)
                };
                let words = format!("packets from {source} to the outside");
                flows.push(flow("forward", words, &request));
                let words = format!("answers to {source} from the outside");
                flows.push(flow("forward", words, &request.answer()));
            }
            _ => {}
        }
    }
    flows
}

/// A sentence for each chain that drops packets.
fn blocked(spec: &Spec, ruleset: &Ruleset, flows: &[Flow]) -> Vec<String> {
    // In the order of the listing, so that the sentences are always the same.
    let mut blockers: BTreeMap<usize, Blocker<'_>> = BTreeMap::new();
    for flow in flows {
        for (number, chain) in ruleset.base_chains_at(flow.hook) {
            let accepted = ruleset.accepts(chain, &flow.packet);
            if accepted == Some(true) {
                continue;
            }
            let blocker = blockers.entry(number).or_insert(Blocker {
                chain,
                is_certain: false,
                flows: Vec::new(),
            });
            blocker.is_certain |= accepted == Some(false);
            blocker.flows.push(flow);
        }
    }
    blockers
        .values()
        .map(|blocker| blocker.sentence(&spec.link))
        .collect()
}

/// A chain that drops packets.
struct Blocker<'a> {
    chain: &'a BaseChain,
    /// Whether no rule could accept them that was not understood.
    is_certain: bool,
    flows: Vec<&'a Flow>,
}

impl Blocker<'_> {
    fn sentence(&self, link: &str) -> String {
        let chain = self.chain;
        let verb = if self.is_certain { "drops" } else { "may drop" };
        let words: Vec<_> = self.flows.iter().map(|flow| &*flow.words).collect();
        let packets = || self.flows.iter().map(|flow| &flow.packet);
        let directions = [
            ("iifname", packets().any(|packet| packet.from.is(link))),
            ("oifname", packets().any(|packet| packet.to.is(link))),
        ];
        let commands: Vec<_> = directions
            .into_iter()
            .filter(|(_, is_blocked)| *is_blocked)
            .map(|(key, _)| format!("`nft insert rule {chain} {key} {link} accept`"))
            .collect();
        format!(
            "chain {chain} {verb} {}; let it accept them, such as with {}",
            words.join(", "),
            commands.join(" and "),
        )
    }
}
