//! Reads the elements of our table.

use std::io;

use rustix::io::Errno;

use super::element::Element;
use super::nfnetlink::{Ask, INET, NFTABLES, Netfilter, text_attribute};
use super::rules::TABLE;
use super::set::Set;
use super::uapi::*;
use crate::firewall::Error;

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
            text_attribute(NFTA_TABLE, TABLE),
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
