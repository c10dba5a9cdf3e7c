//! The table `inet nixos-containers` in the wire format of nf_tables
//! (`linux/netfilter/nf_tables.h`).

pub mod conntrack;
pub mod element;
pub mod nfnetlink;
pub mod others;
pub mod rules;
mod set;
mod statement;
pub mod table;
pub mod transaction;
pub mod uapi;

pub use rules::TABLE;
