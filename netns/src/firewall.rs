//! Forwarded ports and NAT of containers, through nftables(8).
//!
//! A [`Spec`] says what shall be reachable, [`plan`] turns it into [`Step`]s
//! without touching anything, [`apply()`] performs them, and [`remove`] finds by
//! the container's name alone what is to be undone:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use netns::firewall::{self, Forward, Protocol};
//!
//! let spec = firewall::Spec {
//!     container: netns::ContainerName::new("web")?,
//!     link: "ve-web".to_owned(),
//!     address: Some("10.233.1.2/32".parse()?),
//!     address6: None,
//!     forwards: vec![Forward {
//!         protocol: Protocol::Tcp,
//!         host_port: 8080,
//!         container_port: 80,
//!     }],
//!     bind_host: Vec::new(),
//!     nat: true,
//! };
//! let directory = std::path::Path::new("/run/nixos-containers/.firewall");
//! firewall::remove(&spec.container, directory)?;
//! firewall::conflict(&spec)?;
//! // Once the link is there. nft works while the container is being made.
//! let pending = firewall::begin(&spec.container, &firewall::plan(&spec), directory)?;
//! for change in pending.finish()? {
//!     println!("{change}");
//! }
//! for sentence in firewall::obstacles(&spec)? {
//!     println!("{sentence}");
//! }
//! // After the container's end:
//! firewall::remove(&spec.container, directory)?;
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a packet
//!
//! All rules are in the table `inet nixos-containers`, which comes with the
//! first container and goes with the last. They are always the same: what there
//! is of a container are elements of sets (`set.rs`) that bear its name as a
//! comment, and that come and go in one transaction.
//!
//! ```text
//! another machine    the host                                             container web
//! 198.51.100.2       192.0.2.1                                            10.233.1.2
//!
//! to 192.0.2.1:8080 ──▶ prerouting ──▶ forward ──▶ postrouting ──▶ ve-web ──▶ :80
//!                       └▶ ports       (others'    │ @masquerade4
//!                          @ports4      chains)    │ from 127.0.0.0/8, ::1
//!                          dnat                    │ or a neighbour:
//! from the host itself                             │ masquerade
//! to 127.0.0.1:8080 ──▶ output ───────────────────▶┘
//!                       └▶ ports
//!
//! from 192.0.2.1 ◀───── postrouting ◀─ forward ◀── guard ◀──────── ve-web ◀── to the outside
//!                       @nat4          (others'    @guarded
//!                       masquerade      chains)    drop 127.0.0.0/8
//! ```
//!
//! Answers take the same way back, and netfilter undoes with them what it did
//! with the first packet of the connection.
//!
//! - **The host's loopback.** The container cannot answer 127.0.0.1 or ::1, so
//!   these become the link's address. The answer's way back is closed by
//!   default, since the kernel takes loopback addresses on no link but lo:
//!   for IPv4 the sysctl `route_localnet` opens it, and `guard` keeps
//!   the container from using it for more than answers; for IPv6 a local route
//!   does, which is explained in `loopback6.rs`.
//! - **Neighbours.** What the container reaches without the host, itself
//!   included, it would answer past the host, which then could not undo
//!   anything. So they appear with the link's address. Everyone else appears as
//!   who he is.
//! - **Others' chains.** A packet has to be accepted by every chain at a hook,
//!   so ours accept nothing for anybody else; [`obstacles`] finds out who drops.
//! - **Forwarding.** The host has to be a router: it is made one, if it was not,
//!   and is none any more when the last container has gone. In IPv6 a router
//!   stops listening to router advertisements, and so `accept_ra` becomes 2
//!   where it was 1; not for links to containers, which shall not be anybody's
//!   router.
//! - **Connections that have begun** keep their translation. Those to what the
//!   container was before are forgotten, and so are datagrams that went to the
//!   host itself (`conntrack.rs`).
//!
//! All functions act on the network namespace of the calling thread, and block.

mod apply;
mod claims;
mod conntrack;
mod element;
mod error;
mod lock;
mod loopback6;
mod nfnetlink;
mod nft;
mod obstacles;
mod plan;
mod rules;
mod set;
mod spec;
mod statement;
mod step;
mod sysctl;
mod table;
mod transaction;

pub use apply::{apply, remove};
pub use claims::conflict;
pub use error::Error;
pub use obstacles::obstacles;
pub use plan::plan;
pub use spec::{Family, Forward, Protocol, Spec};
pub use step::Step;
pub use sysctl::SysctlChange;
