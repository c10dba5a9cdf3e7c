//! What our table in the kernel says.

use std::{io, net::SocketAddr};

use super::{
    Protocol,
    nfnetlink::{Ask, INET, NFTABLES, Netfilter, attribute, find, find_text},
    rules::{self, Place, TABLE},
};

/// Messages and attributes of `linux/netfilter/nf_tables.h`.
const NFT_MSG_GETCHAIN: u8 = 4;
const NFT_MSG_GETRULE: u8 = 7;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_USERDATA: u16 = 7;
/// `NFTNL_UDATA_RULE_COMMENT` of libnftnl, with which nft keeps comments.
const COMMENT: u8 = 0;

/// A forward that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose it is.
    pub container: String,
    pub protocol: Protocol,
    /// The host's address and port.
    pub listen: SocketAddr,
    /// The container's address and port.
    pub to: SocketAddr,
}

/// The names of all chains in our table; none if there is no such table.
pub fn chains(netfilter: &Netfilter) -> io::Result<Vec<String>> {
    let all = netfilter.request(NFTABLES, NFT_MSG_GETCHAIN, INET, Ask::Dump, &[])?;
    let ours = all
        .iter()
        .filter(|chain| find_text(chain, NFTA_CHAIN_TABLE).as_deref() == Some(TABLE));
    Ok(ours
        .filter_map(|chain| find_text(chain, NFTA_CHAIN_NAME))
        .collect())
}

/// All forwards of all containers.
pub fn claims(netfilter: &Netfilter) -> io::Result<Vec<Claim>> {
    let table = attribute(NFTA_RULE_TABLE, &[TABLE.as_bytes(), &[0]].concat());
    let rules = netfilter.request(NFTABLES, NFT_MSG_GETRULE, INET, Ask::Dump, &table)?;
    Ok(rules.iter().filter_map(|rule| claim(rule)).collect())
}

/// What a rule of a chain of forwards says in its comment.
fn claim(rule: &[u8]) -> Option<Claim> {
    let chain = find_text(rule, NFTA_RULE_CHAIN)?;
    let (Place::Ports, container) = rules::owner(&chain)? else {
        return None;
    };
    let comment = comment(find(rule, NFTA_RULE_USERDATA)?)?;
    let mut words = comment.split(' ');
    let protocol = words.next()?;
    Some(Claim {
        container: container.to_owned(),
        protocol: Protocol::ALL
            .into_iter()
            .find(|known| known.name() == protocol)?,
        listen: words.next()?.parse().ok()?,
        to: words.nth(1)?.parse().ok()?,
    })
}

/// The text among type-length-value triples.
fn comment(mut userdata: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, following) = rest.split_at_checked(usize::from(*length))?;
        if *kind == COMMENT {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return String::from_utf8(text.to_vec()).ok();
        }
        userdata = following;
    }
    None
}
