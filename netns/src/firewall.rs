//! Forwarded ports and NAT, through nftables(8).

mod apply;
mod claims;
mod conntrack;
mod error;
mod loopback6;
mod nfnetlink;
mod nft;
mod obstacles;
mod plan;
mod rules;
mod spec;
mod step;
mod sysctl;
mod table;

pub use apply::{Pending, apply, begin, remove};
pub use claims::conflict;
pub use error::Error;
pub use obstacles::obstacles;
pub use plan::plan;
pub use spec::{Family, Forward, Protocol, Spec};
pub use step::Step;
pub use sysctl::SysctlChange;
