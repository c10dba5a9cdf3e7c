//! Drops notices about changes of the host's rules that no supervisor needs.
//!
//! Each supervisor gets all notices, and each start and stop causes some: with a
//! hundred containers, a hundred processes would wake up each time. So a program
//! of the classic BPF (SO_ATTACH_FILTER of socket(7),
//! Documentation/networking/filter.rst), which the kernel runs for each datagram
//! before it reaches the socket, drops
//!
//! - the notice of a new generation, which comes alone after the changes
//!   (`nf_tables_gen_notify` in net/netfilter/nf_tables_api.c);
//! - datagrams that begin with elements of our sets: those about the start and
//!   the end of a container while there are others.
//!
//! # Messages after elements
//!
//! The kernel packs the notices about one transaction into few datagrams, in the
//! order of its changes (`nft_commit_notify`). The program cannot loop, and reads
//! only the first message of each. So it would drop the notice that our table is
//! removed if that came after elements of ours. It does not:
//!
//! - The removal of a table sends no notices about its elements, but about its
//!   rules, sets and chains, and then about the table itself
//!   (`nft_flush_table`), whichever command removes it.
//! - There are notices about elements that a transaction names, or the set of
//!   which it empties (`nf_tables_commit`). In our transactions, they come last.
//!   A transaction of another program would have to change elements of our sets
//!   before it removes the table. A saved ruleset that is read back removes
//!   first.
//!
//! That leaves a user who edits our sets on purpose. Such edits of elements are
//! not undone either.

use netlink_sys::Socket;
use socket2::{SockFilter, SockRef};

use crate::firewall::nft::TABLE;
use crate::firewall::nft::nfnetlink::{self, INET, NFTABLES, text_attribute};
use crate::firewall::nft::uapi::*;

/// Offsets in a datagram's first message: `nlmsg_type` of `struct nlmsghdr`,
/// `nfgen_family` of `struct nfgenmsg`, and the attributes.
const KIND_AT: u32 = 4;
const FAMILY_AT: u32 = 16;
const ATTRIBUTES_AT: u32 = 20;

/// Of `linux/bpf_common.h`: load from an offset in the datagram.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
/// Skip a number of instructions if the loaded value is equal, and another number
/// if not.
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Number of bytes of the datagram that the socket gets.
const NOTHING: u32 = 0;
const ALL: u32 = u32::MAX;

/// Attaches the filter to a socket.
pub fn attach(socket: &Socket) -> std::io::Result<()> {
    SockRef::from(socket).attach_filter(&program())
}

/// The program. The kernel drops a datagram that is too short for a load. None is:
/// each has a header, and a message about elements is longer than the name of our
/// table, if it begins with that.
fn program() -> Vec<SockFilter> {
    // The first attribute of each message about elements
    // (`nf_tables_fill_setelem_info`).
    let table = text_attribute(NFTA_TABLE, TABLE);
    let mut program = vec![
        load(LOAD_HALF, KIND_AT),
        jump_if_equal(kind(NFT_MSG_NEWGEN), 0, 1),
        return_bytes(NOTHING),
        jump_if_equal(kind(NFT_MSG_NEWSETELEM), 2, 0),
        jump_if_equal(kind(NFT_MSG_DELSETELEM), 1, 0),
        return_bytes(ALL),
    ];
    program.extend(unless(LOAD_BYTE, FAMILY_AT, INET.into()));
    for (place, word) in (ATTRIBUTES_AT..).step_by(4).zip(table.chunks_exact(4)) {
        let word = word
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
        program.extend(unless(LOAD_WORD, place, word));
    }
    program.push(return_bytes(NOTHING));
    program
}

/// Passes datagrams with another value at this offset.
fn unless(load_as: u16, place: u32, value: u32) -> [SockFilter; 3] {
    [
        load(load_as, place),
        jump_if_equal(value, 1, 0),
        return_bytes(ALL),
    ]
}

/// A message's kind as [`load`] reads it: netlink's numbers are in the byte order
/// of the machine, but the program loads them in network byte order.
fn kind(message: u8) -> u32 {
    u16::from_be_bytes(nfnetlink::kind(NFTABLES, message).to_ne_bytes()).into()
}

const fn load(load_as: u16, place: u32) -> SockFilter {
    SockFilter::new(load_as, 0, 0, place)
}

const fn jump_if_equal(value: u32, equal: u8, other: u8) -> SockFilter {
    SockFilter::new(JUMP_IF_EQUAL, equal, other, value)
}

const fn return_bytes(bytes: u32) -> SockFilter {
    SockFilter::new(RETURN, 0, 0, bytes)
}
