//! Finds out what blocks a container's packets although our own rules pass them.

mod addresses;
mod policies;

use super::Spec;
use super::nft::nfnetlink::Netfilter;

/// As [`Firewall::diagnose`](super::Firewall::diagnose).
pub fn diagnose(netfilter: &Netfilter, spec: &Spec) -> Vec<String> {
    let mut sentences = addresses::sentences(spec);
    match policies::sentences(netfilter, spec) {
        Ok(found) => sentences.extend(found),
        Err(error) => sentences.push(format!(
            "cannot find out whether the host's rules pass the container's packets: {error}"
        )),
    }
    sentences
}
