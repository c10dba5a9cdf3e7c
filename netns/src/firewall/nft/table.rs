//! Reads the kernel's tables.

use std::io;

use rustix::io::Errno;

use super::element::Element;
use super::nfnetlink::{Ask, INET, NFTABLES, Netfilter, field, find, find_text, text_attribute};
use super::rules::TABLE;
use super::set::Set;
use crate::firewall::Error;

/// Messages and attributes of `linux/netfilter/nf_tables.h`.
const NFT_MSG_GETCHAIN: u8 = 4;
const NFT_MSG_GETSETELEM: u8 = 13;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
/// `NFPROTO_UNSPEC`
const ANY_FAMILY: u8 = 0;
/// `NF_INET_LOCAL_IN`, after which come `NF_INET_FORWARD` and this:
const LOCAL_IN: u32 = 1;
/// `NF_INET_LOCAL_OUT`
const LOCAL_OUT: u32 = 3;

/// The elements of all containers; `None` if our table is missing. `operation`
/// is for the error.
pub fn elements(
    netfilter: &Netfilter,
    operation: &'static str,
) -> Result<Option<Vec<Element>>, Error> {
    dump_elements(netfilter).map_err(|source| Error::Netlink { operation, source })
}

fn dump_elements(netfilter: &Netfilter) -> io::Result<Option<Vec<Element>>> {
    let mut elements = Vec::new();
    for set in Set::ALL {
        let name = [
            text_attribute(NFTA_SET_ELEM_LIST_TABLE, TABLE),
            text_attribute(NFTA_SET_ELEM_LIST_SET, set.name()),
        ];
        let name = name.concat();
        match netfilter.request(NFTABLES, NFT_MSG_GETSETELEM, INET, Ask::Dump, &name) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => return Ok(None),
            answers => {
                let decode = |answer: &Vec<u8>| Element::decode_all(set, answer);
                elements.extend(answers?.iter().flat_map(decode));
            }
        }
    }
    Ok(Some(elements))
}

/// Whether another table has a chain that can drop packets that are forwarded, or
/// that are to or from the host.
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
