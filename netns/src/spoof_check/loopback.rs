//! The program for a link whose container may send what it likes, except to the
//! host's loopback.

use super::Verdict;
use super::code::*;
use super::own::{IPV4, drop_loopback};

/// The program.
pub fn program() -> Block {
    [
        half(12),
        when(
            If::Is(IPV4),
            [
                length(),
                // IPv4 would drop it too.
                drop_if(If::Below(34)),
                drop_loopback(),
            ]
            .concat(),
        ),
        end(Verdict::Pass),
    ]
    .concat()
}
