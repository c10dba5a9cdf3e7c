//! Forwarded ports and NAT, through nftables(8).

mod apply;
mod claims;
mod error;
mod loopback6;
mod nfnetlink;
mod nft;
mod plan;
mod rules;
mod spec;
mod step;
mod sysctl;
mod table;

pub use apply::{apply, remove};
pub use claims::conflict;
pub use error::Error;
pub use plan::plan;
pub use spec::{Family, Forward, Protocol, Spec};
pub use step::Step;
pub use sysctl::SysctlChange;
