//! What our table in the kernel says.

use std::{io, net::SocketAddr};

use super::{
    Protocol,
    nfnetlink::{Ask, INET, NFTABLES, Netfilter, field, find, find_text, text_attribute},
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
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
/// `NFPROTO_UNSPEC`
const ANY_FAMILY: u8 = 0;
/// `NF_INET_LOCAL_IN`, after which come `NF_INET_FORWARD` and this:
const LOCAL_IN: u32 = 1;
/// `NF_INET_LOCAL_OUT`
const LOCAL_OUT: u32 = 3;
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

/// Whether anybody but us has a chain that can drop what goes to the host,
/// comes from it, or is passed on.
pub fn others_filter(netfilter: &Netfilter) -> io::Result<bool> {
    let chains = netfilter.request(NFTABLES, NFT_MSG_GETCHAIN, ANY_FAMILY, Ask::Dump, &[])?;
    Ok(chains.iter().any(|chain| {
        let hook = find(chain, NFTA_CHAIN_HOOK)
            .and_then(|hook| find(hook, NFTA_HOOK_HOOKNUM))
            .and_then(|number| field(number, 0))
            .map(u32::from_be_bytes);
        let filters = find_text(chain, NFTA_CHAIN_TYPE).as_deref() == Some("filter");
        let ours = find_text(chain, NFTA_CHAIN_TABLE).as_deref() == Some(TABLE);
        filters && !ours && hook.is_some_and(|hook| (LOCAL_IN..=LOCAL_OUT).contains(&hook))
    }))
}

/// All forwards of all containers, whose chains `chains` are.
pub fn claims(netfilter: &Netfilter, chains: &[String]) -> io::Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for chain in chains {
        // Other chains have more rules, and those nothing to say here.
        let Some((Place::Ports, container)) = rules::owner(chain) else {
            continue;
        };
        let filter = [
            text_attribute(NFTA_RULE_TABLE, TABLE),
            text_attribute(NFTA_RULE_CHAIN, chain),
        ];
        let rules =
            netfilter.request(NFTABLES, NFT_MSG_GETRULE, INET, Ask::Dump, &filter.concat())?;
        claims.extend(rules.iter().filter_map(|rule| claim(container, rule)));
    }
    Ok(claims)
}

/// What a rule of a chain of forwards says in its comment.
fn claim(container: &str, rule: &[u8]) -> Option<Claim> {
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
