//! What of the changes of the host's rules wakes nobody.
//!
//! Each supervisor hears all changes, and each start and stop makes some: with
//! a hundred containers, a hundred processes would wake up at every one. So
//! there is a program of the classic BPF (SO_ATTACH_FILTER of socket(7),
//! Documentation/networking/filter.rst), which the kernel runs for a datagram
//! before it gives it to the socket, and which drops
//!
//! - the notice of a new generation, which comes alone after the changes
//!   (`nf_tables_gen_notify` in net/netfilter/nf_tables_api.c);
//! - what begins with elements of our sets, as everything does that is told of
//!   a container which comes to others or leaves them.
//!
//! # What follows elements
//!
//! The kernel packs what there is to tell of one transaction into few
//! datagrams, in the order of its changes (`nft_commit_notify`). The program
//! cannot loop, and looks at the first message of each alone. So it would drop
//! the end of our table where that comes after elements of ours:
//!
//! - A table that goes is not preceded by its elements. What is told of are its
//!   rules, sets and chains, and then the table itself (`nft_flush_table`),
//!   whoever removes it and by whichever command, the last container included.
//! - Elements are told of where a transaction names them or empties their set
//!   (`nf_tables_commit`). In ours, nothing follows them. Anybody else's would
//!   have to change elements of our sets and then remove the table, all at
//!   once. A ruleset that was saved and is read back does it the other way
//!   round: if it removes anything, that comes first.
//!
//! What remains is somebody who edits our sets on purpose. What he does with
//! their elements alone is not undone either.

use netlink_sys::Socket;
use socket2::{SockFilter, SockRef};

use crate::firewall::nft::TABLE;
use crate::firewall::nft::nfnetlink::{self, INET, NFTABLES, text_attribute};

/// Of `linux/netfilter/nf_tables.h`.
const NFT_MSG_NEWSETELEM: u8 = 12;
const NFT_MSG_DELSETELEM: u8 = 14;
const NFT_MSG_NEWGEN: u8 = 15;
/// The first attribute of each message about elements
/// (`nf_tables_fill_setelem_info`).
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;

/// Where the first message of a datagram has its parts: `nlmsg_type` of
/// `struct nlmsghdr`, `nfgen_family` of `struct nfgenmsg`, and its attributes.
const KIND_AT: u32 = 4;
const FAMILY_AT: u32 = 16;
const ATTRIBUTES_AT: u32 = 20;

/// Of `linux/bpf_common.h`: load from a place in the datagram.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
/// Go on behind so many instructions if it is equal, or if not.
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// How many bytes of the datagram are passed on.
const NOTHING: u32 = 0;
const ALL: u32 = u32::MAX;

/// Keeps from a socket what need not wake who waits for it.
pub fn attach(socket: &Socket) -> std::io::Result<()> {
    SockRef::from(socket).attach_filter(&program())
}

/// A datagram that ends before what is loaded from it would be dropped. None
/// does: each has a header, and a message about elements is longer than the
/// name of our table where it begins with that.
fn program() -> Vec<SockFilter> {
    let table = text_attribute(NFTA_SET_ELEM_LIST_TABLE, TABLE);
    let mut program = vec![
        load(LOAD_HALF, KIND_AT),
        jump_if_equal(kind(NFT_MSG_NEWGEN), 0, 1),
        give(NOTHING),
        jump_if_equal(kind(NFT_MSG_NEWSETELEM), 2, 0),
        jump_if_equal(kind(NFT_MSG_DELSETELEM), 1, 0),
        give(ALL),
    ];
    program.extend(unless(LOAD_BYTE, FAMILY_AT, INET.into()));
    for (place, word) in (ATTRIBUTES_AT..).step_by(4).zip(table.chunks_exact(4)) {
        let word = word
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
        program.extend(unless(LOAD_WORD, place, word));
    }
    program.push(give(NOTHING));
    program
}

/// Lets all datagrams through that have something else at this place.
fn unless(load_as: u16, place: u32, value: u32) -> [SockFilter; 3] {
    [load(load_as, place), jump_if_equal(value, 1, 0), give(ALL)]
}

/// What [`load`] makes of a message's kind: netlink has numbers in the order of
/// the machine, and the program takes them for numbers in that of the network.
fn kind(message: u8) -> u32 {
    u16::from_be_bytes(nfnetlink::kind(NFTABLES, message).to_ne_bytes()).into()
}

const fn load(load_as: u16, place: u32) -> SockFilter {
    SockFilter::new(load_as, 0, 0, place)
}

const fn jump_if_equal(value: u32, equal: u8, other: u8) -> SockFilter {
    SockFilter::new(JUMP_IF_EQUAL, equal, other, value)
}

const fn give(bytes: u32) -> SockFilter {
    SockFilter::new(RETURN, 0, 0, bytes)
}
