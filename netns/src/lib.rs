//! Links, addresses and routes of a container's network, through rtnetlink(7).
//!
//! A [`Spec`] says what the network shall be, [`plan`] turns it into [`Step`]s
//! without touching anything, and [`apply`] performs exactly these steps:
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
//! let spec = netns::Spec {
//!     container,
//!     veth: Some(netns::Veth {
//!         host_address: Some(pair.host.into()),
//!         local_address: Some(pair.container.into()),
//!         ..netns::Veth::default()
//!     }),
//! };
//! let plan = netns::plan(&spec);
//! for step in &plan {
//!     println!("{step} — {}", step.manual());
//! }
//! netns::remove_link(&netns::HostLink::veth(&spec.container))?;
//! netns::apply(&plan, container_netns.as_fd())?;
//! # Ok(())
//! # }
//! ```
//!
//! What talks to the kernel ([`apply`], [`remove_link`], [`link_exists`],
//! [`host_networks`]) blocks until it is done, and leaves neither a thread nor
//! a descriptor behind. Each of them runs a tokio runtime of its own on the
//! calling thread and therefore panics when called from inside another one.

mod address;
mod apply;
mod error;
pub mod firewall;
mod link;
mod name;
mod netlink;
mod networks;
mod plan;
mod pool;
mod route;
mod spec;
mod step;
mod veth;

pub use apply::apply;
pub use error::{Cause, Error};
pub use ipnet;
pub use link::{link_exists, remove_link};
pub use name::{ContainerName, HostLink};
pub use networks::host_networks;
pub use plan::plan;
pub use pool::{Pair, Pool};
pub use spec::{Spec, Veth};
pub use step::{Side, Step};
