//! Links, addresses and routes of a container's network, through rtnetlink(7).
//!
//! A [`Spec`] describes the network, [`plan()`] turns it into [`Step`]s without
//! changing anything, and [`apply()`] performs exactly these steps:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let container_netns = std::fs::File::open("/proc/4711/ns/net")?;
//! use std::os::fd::AsFd;
//!
//! let container = netns::ContainerName::new("web")?;
//! let pair = netns::Pool::default()
//!     .first_free(&netns::host_networks()?)
//!     .ok_or("no address pair is free")?;
//! let run_directory = std::path::Path::new("/run/nixos-containers");
//! let spec = netns::Spec {
//!     veth: Some(netns::Veth {
//!         host_address: Some(pair.host.into()),
//!         local_address: Some(pair.container.into()),
//!         mtu: netns::uplink_mtu()?,
//!         ..netns::Veth::default()
//!     }),
//!     ..netns::Spec::new(container, run_directory)
//! };
//! netns::check(&spec)?;
//! let plan = netns::plan(&spec);
//! for step in &plan {
//!     println!("{step} — {}", step.manual());
//! }
//! netns::reclaim(&spec.container, run_directory)?;
//! netns::apply(&plan, container_netns.as_fd())?;
//! // After the container's last process has ended:
//! netns::release(&spec.container, run_directory)?;
//! # Ok(())
//! # }
//! ```
//!
//! The functions that talk to the kernel ([`check()`], [`apply()`], [`release`],
//! [`reclaim()`], [`uplink_mtu`], [`host_networks`], [`addresses_in`]) block until they are done,
//! and leave neither a thread nor a descriptor behind. Each runs a tokio runtime
//! on the calling thread, and therefore panics inside another runtime.

mod apply;
mod bridge_watch;
mod check;
mod container_name;
mod error;
pub mod files;
pub mod firewall;
mod link;
mod lock;
mod name;
mod plan;
mod pool;
mod reclaim;
mod spec;
mod spoof_check;
mod step;
mod sysctl;

pub use crate::apply::apply;
pub use crate::bridge_watch::BridgeWatch;
pub use crate::check::{Purpose, Unfit, check};
pub use crate::container_name::{ContainerName, ContainerNameError};
pub use crate::error::{Cause, Error};
pub use crate::link::bridge::netfilter_sees_bridges;
pub use crate::link::mac::MacAddress;
pub use crate::link::networks::{addresses_in, host_networks};
pub use crate::link::uplink::uplink_mtu;
pub use crate::name::{HostLink, InterfaceName, ZoneName};
pub use crate::plan::plan;
pub use crate::pool::{Pair, Pool};
pub use crate::reclaim::{reclaim, release};
pub use crate::spec::{Bridge, ExtraVeth, HostInterface, Spec, SpoofCheck, Veth};
pub use crate::spoof_check::{Senders, Sources};
pub use crate::step::{Side, Step};
pub use ipnet;
