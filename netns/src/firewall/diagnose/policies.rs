//! Chains of other programs with the policy drop.
//!
//! A packet passes a hook only if every base chain there accepts it (nft(8),
//! VERDICT STATEMENTS). The question is about the first packet of a connection:
//! the answers are taken to pass, since firewalls accept packets of connections
//! that exist. The host's chains at the hook input see nothing but such answers.

use std::io;
use std::net::IpAddr;

use crate::firewall::nft::nfnetlink::Netfilter;
use crate::firewall::nft::others::{self, Accepted, DroppingChain};
use crate::firewall::nft::rules::Hook;
use crate::firewall::{Family, Spec, Step, plan};

/// A sentence for each chain that drops packets of the plan unless one of its
/// rules accepts them, and has no rule that is known to do so.
pub fn sentences(netfilter: &Netfilter, spec: &Spec) -> io::Result<Vec<String>> {
    let plan = plan(spec);
    if plan.is_empty() {
        return Ok(Vec::new());
    }
    let mut sentences = Vec::new();
    for chain in others::dropping_chains(netfilter)? {
        let accepted = chain.accepted(netfilter, &spec.link)?;
        let dropped = dropped(&plan, &chain, &accepted);
        sentences.extend(dropped.map(|packets| sentence(&chain, packets, &spec.link)));
    }
    Ok(sentences)
}

/// The packets that a chain drops as far as is known, in words.
fn dropped(plan: &[Step], chain: &DroppingChain, accepted: &Accepted) -> Option<&'static str> {
    let sees = |address: IpAddr| chain.sees(Family::of(address));
    let is_forward = chain.hook == Hook::Forward;
    let (mut to_ports, mut to_outside) = (false, false);
    for step in plan {
        match step {
            // What comes to a loopback address comes from the host itself.
            Step::Forward { listen, .. } if sees(listen.ip()) => {
                to_ports |= !(is_forward && listen.ip().is_loopback());
            }
            Step::MasqueradeOutside { source } if sees(*source) => to_outside |= is_forward,
            _ => {}
        }
    }
    to_ports &= !accepted.is_forwarded && !accepted.to_link;
    to_outside &= !accepted.from_link;
    match (to_ports, to_outside) {
        (false, false) => None,
        (true, false) => Some("to the forwarded ports"),
        (false, true) => Some("from the container to the outside"),
        (true, true) => Some("to the forwarded ports and from the container to the outside"),
    }
}

fn sentence(chain: &DroppingChain, packets: &str, link: &str) -> String {
    let command = |key| format!("`nft insert rule {chain} {key} {link} accept`");
    let commands = match chain.hook {
        Hook::Forward => format!("{} and {}", command("iifname"), command("oifname")),
        _ => command("oifname"),
    };
    format!(
        "chain {chain} drops packets {packets} unless one of its rules accepts them; let it \
         accept them, such as with {commands}"
    )
}
