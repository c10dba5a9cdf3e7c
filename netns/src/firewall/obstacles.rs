//! What our rules cannot help.
//!
//! A packet passes only if every base chain at a hook accepts it (nft(8),
//! VERDICT STATEMENTS), so the user has to be told
//! which chain it is. What is asked are questions such as "a connection from
//! somewhere outside to the container's port": a chain is walked with what is
//! known of such a packet, and what is not known is neither true nor false.

mod addresses;
mod nft_program;
mod packet;
mod ruleset;

use std::collections::BTreeMap;

use super::nft::nfnetlink::Netfilter;
use super::nft::table;
use super::{Family, Spec, Step, plan};
use packet::{Link, Packet};
use ruleset::{Answer, BaseChain, Ruleset};

/// As [`Firewall::obstacles`](super::Firewall::obstacles).
pub fn obstacles(netfilter: &Netfilter, spec: &Spec) -> Vec<String> {
    let mut sentences = addresses::sentences(spec);
    let questions = questions(spec);
    if questions.is_empty() {
        return sentences;
    }
    match others_ruleset(netfilter) {
        Ok(None) => {}
        Ok(Some(ruleset)) => sentences.extend(blocked(spec, &ruleset, &questions)),
        Err(why) => sentences.push(format!(
            "whether the host's rules let packets to and from the container pass is not known: \
             {why}"
        )),
    }
    sentences
}

/// None if there is nobody but us who could drop packets.
fn others_ruleset(netfilter: &Netfilter) -> Result<Option<Ruleset>, String> {
    if !table::others_filter(netfilter).map_err(|error| error.to_string())? {
        return Ok(None);
    }
    let listing = nft_program::list_ruleset()?;
    let ruleset = Ruleset::parse(&listing);
    ruleset.map(Some).map_err(|error| error.to_string())
}

struct Question {
    hook: &'static str,
    /// Completes "it drops …".
    what: String,
    packet: Packet,
}

/// What has to pass for the plan to be of use.
fn questions(spec: &Spec) -> Vec<Question> {
    let mut questions = Vec::new();
    for step in plan(spec) {
        match step {
            Step::Forward {
                protocol,
                listen,
                to,
            } => {
                let port = format!("forwarded port {protocol} {listen}");
                let new = Packet {
                    family: Family::of(to.ip()),
                    from: Link::Outside,
                    to: Link::Named(spec.link.clone()),
                    destination: Some(to.ip()),
                    protocol: Some(protocol),
                    port: Some(to.port()),
                    forwarded_port: true,
                    ..Packet::new(to.ip())
                };
                let answer = new.answer();
                if !listen.ip().is_loopback() {
                    questions.push(question("forward", format!("packets to the {port}"), &new));
                    questions.push(question(
                        "forward",
                        format!("answers of the {port}"),
                        &answer,
                    ));
                }
                let from_host = Packet {
                    from: Link::None,
                    ..new
                };
                let to_host = from_host.answer();
                questions.push(question(
                    "output",
                    format!("the host's packets to the {port}"),
                    &from_host,
                ));
                questions.push(question(
                    "input",
                    format!("answers of the {port} to the host"),
                    &to_host,
                ));
            }
            Step::MasqueradeOutside { source } => {
                let new = Packet {
                    from: Link::Named(spec.link.clone()),
                    to: Link::Outside,
                    source: Some(source),
                    ..Packet::new(source)
                };
                questions.push(question(
                    "forward",
                    format!("packets from {source} to the outside"),
                    &new,
                ));
                questions.push(question(
                    "forward",
                    format!("answers to {source} from the outside"),
                    &new.answer(),
                ));
            }
            _ => {}
        }
    }
    questions
}

fn question(hook: &'static str, what: String, packet: &Packet) -> Question {
    Question {
        hook,
        what,
        packet: packet.clone(),
    }
}

/// A sentence for each chain that drops one of the packets.
fn blocked(spec: &Spec, ruleset: &Ruleset, questions: &[Question]) -> Vec<String> {
    // In the order of the listing, so that the sentences are always the same.
    let mut blockers: BTreeMap<usize, Blocker<'_>> = BTreeMap::new();
    for question in questions {
        for (number, chain) in ruleset.base_chains_at(question.hook) {
            let answer = ruleset.ask(chain, &question.packet);
            if answer == Answer::Accepted {
                continue;
            }
            let blocker = blockers.entry(number).or_insert(Blocker {
                chain,
                is_certain: false,
                blocked: Vec::new(),
            });
            blocker.is_certain |= answer == Answer::Dropped;
            blocker.blocked.push(question);
        }
    }
    let sentences = blockers
        .values()
        .map(|blocker| blocker.sentence(&spec.link));
    sentences.collect()
}

/// A chain that drops packets.
struct Blocker<'a> {
    chain: &'a BaseChain,
    /// Else it depends on rules that could not be judged.
    is_certain: bool,
    blocked: Vec<&'a Question>,
}

impl Blocker<'_> {
    fn sentence(&self, link: &str) -> String {
        let chain = self.chain;
        let verb = if self.is_certain { "drops" } else { "may drop" };
        let what: Vec<_> = self
            .blocked
            .iter()
            .map(|question| &*question.what)
            .collect();
        let packets = || self.blocked.iter().map(|question| &question.packet);
        let ways = [
            ("iifname", packets().any(|packet| packet.from.is(link))),
            ("oifname", packets().any(|packet| packet.to.is(link))),
        ];
        let rules: Vec<_> = ways
            .into_iter()
            .filter_map(|(way, is_blocked)| is_blocked.then_some(way))
            .map(|way| format!("`nft insert rule {chain} {way} {link} accept`"))
            .collect();
        format!(
            "chain {chain} {verb} {}; let it accept what it should not drop, such as with {}",
            what.join(", "),
            rules.join(" and "),
        )
    }
}
