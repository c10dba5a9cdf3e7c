//! The program that keeps a container from addresses of others in its bridge: of
//! the bridge itself, and of other containers that were given one. It follows the
//! container's own program, which has compared lengths and formats.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::code::*;
use super::own::{
    ARP, ICMPV6, IPV4, IPV6, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, UNSPECIFIED,
    drop_if_at,
};
use super::{Taken, Verdict};

/// The greatest number of addresses of each family in one program, which has at
/// most 4096 instructions (`BPF_MAXINSNS` of `linux/bpf_common.h`).
pub const MOST: usize = 100;

/// The program.
pub fn program(taken: &Taken) -> Block {
    let ipv4 = |at| drop_ipv4(at, &taken.ipv4);
    let ipv6 = |at| drop_ipv6(at, &taken.ipv6);
    let pass = || end(Verdict::Pass);
    let arp = [
        ipv4(28),
        // A probe for an address (RFC 5227, 2.1.1) claims it too.
        word(28),
        when(If::Is(0), ipv4(38)),
        pass(),
    ]
    .concat();
    // So does an advertisement, and a solicitation that looks for another owner of
    // the address (RFC 4862, 5.4).
    let neighbour = [
        byte(54),
        when(
            If::Is(NEIGHBOUR_SOLICITATION),
            unless_at(22, &UNSPECIFIED, pass()),
        ),
        byte(54),
        unless_one_of([NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT], pass()),
        ipv6(62),
    ]
    .concat();
    [
        half(12),
        when(If::Is(ARP), arp),
        half(12),
        when(If::Is(IPV4), [ipv4(26), pass()].concat()),
        half(12),
        when(
            If::Is(IPV6),
            [ipv6(22), byte(20), when(If::Is(ICMPV6), neighbour)].concat(),
        ),
        pass(),
    ]
    .concat()
}

fn drop_ipv4(at: u32, taken: &[Ipv4Addr]) -> Block {
    let mut all = word(at);
    for address in taken {
        all.extend(drop_if(If::Is(address.to_bits())));
    }
    all
}

fn drop_ipv6(at: u32, taken: &[Ipv6Addr]) -> Block {
    let taken = taken.iter();
    taken.flat_map(|address| drop_if_at(at, *address)).collect()
}
