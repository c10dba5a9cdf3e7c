//! Forwarded ports and NAT of containers, through nftables(8).
//!
//! A [`Spec`] says what shall be reachable, [`plan`] turns it into [`Step`]s
//! without touching anything, [`Firewall::apply`] performs them, and
//! [`Firewall::remove`] finds by the container's name alone what is to be
//! undone:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use netns::firewall::{self, Firewall, Forward, Protocol};
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
//! let firewall = Firewall::open()?;
//! firewall.remove(&spec.container, directory)?;
//! firewall.conflict(&spec)?;
//! // Once the link is there.
//! for change in firewall.apply(&spec.container, &firewall::plan(&spec), directory)? {
//!     println!("{change}");
//! }
//! for sentence in firewall.diagnose(&spec) {
//!     println!("{sentence}");
//! }
//! // After the container's end:
//! firewall.remove(&spec.container, directory)?;
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
//! - **Bridges.** Where netfilter sees what a bridge passes on (br_netfilter), the
//!   host's `::1` has no such way back, and [`Firewall::diagnose`] says so; and a container
//!   reaches itself by a port of the host only if its port of the bridge has
//!   the hairpin mode ([`Veth::hairpin`](crate::Veth::hairpin)).
//! - **Neighbours.** What the container reaches without the host, itself
//!   included, it would answer past the host, which then could not undo
//!   anything. So they appear with the link's address. Everyone else appears as
//!   who he is.
//! - **Others' chains.** A packet has to be accepted by every chain at a hook,
//!   so ours accept nothing for anybody else; [`Firewall::diagnose`] finds out who
//!   drops.
//! - **Forwarding.** The host has to be a router: it is made one, if it was not,
//!   and is none any more when the last container has gone. In IPv6 a router
//!   stops listening to router advertisements, and so `accept_ra` becomes 2
//!   where it was 1; not for links to containers, which shall not be anybody's
//!   router.
//! - **Connections that have begun** keep their translation. Those to what the
//!   container was before are forgotten, and so are datagrams that went to the
//!   host itself (`conntrack.rs`).
//!
//! All functions block.

use std::path::Path;

use crate::ContainerName;
use nft::nfnetlink::Netfilter;

mod apply;
mod claims;
mod diagnose;
mod error;
mod host_settings;
mod loopback6;
mod nft;

mod plan;
mod spec;
mod step;
mod watch;

pub use error::Error;
pub use host_settings::SysctlChange;
pub use plan::plan;
pub use spec::{Family, Forward, Protocol, Spec};
pub use step::Step;
pub use watch::Watch;

/// The way to a host's firewall: that of the network namespace in which the
/// calling thread is when it opens it.
///
/// It should be closed when nobody waits any more. The kernel frees what was
/// removed a little later, and a socket that is closed meanwhile, anybody's,
/// waits for that, for up to a few tens of milliseconds (`nft_rcv_nl_event` in
/// net/netfilter/nf_tables_api.c).
#[derive(Debug)]
pub struct Firewall(Netfilter);

impl Firewall {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`]
    pub fn open() -> Result<Self, Error> {
        let netfilter = Netfilter::open().map_err(|source| Error::Netlink {
            operation: "ask netfilter",
            source,
        })?;
        Ok(Self(netfilter))
    }

    /// Fails if another container has one of the ports that `spec` asks for, or
    /// its address.
    ///
    /// [`Firewall::apply`] checks the same, when a container has already been
    /// made; this is for saying so before.
    ///
    /// # Errors
    ///
    /// [`Error::Taken`] with the other container's name: it may be one that was
    /// killed and whose rules nobody has removed. [`Error::Twice`] if one port
    /// leads to two. [`Error::SameAddress`]. [`Error::Netlink`] if the kernel
    /// cannot be asked.
    pub fn conflict(&self, spec: &Spec) -> Result<(), Error> {
        claims::conflict(&self.0, spec)
    }

    /// Performs `plan` on the host, in place of what the container had, and
    /// says which sysctls of the host it set.
    ///
    /// The links that the plan names have to be there. `directory` is where a
    /// record is kept of what [`Firewall::remove`] has to put back; it is made
    /// if need be, and has to be one and the same for all containers of a host,
    /// and empty after its boot (such as one below `/run`).
    ///
    /// # Errors
    ///
    /// [`Error::Taken`], [`Error::Twice`] and [`Error::SameAddress`], and any
    /// other of [`Error`]. The rules are there as a whole or not at all; when
    /// it is not they that failed, some of the other steps may have been done,
    /// which [`Firewall::remove`] undoes.
    pub fn apply(
        &self,
        container: &ContainerName,
        plan: &[Step],
        directory: &Path,
    ) -> Result<Vec<SysctlChange>, Error> {
        apply::apply(&self.0, container, plan, directory)
    }

    /// Whether the rules are there that `plan` makes. Whatever else it sets is
    /// not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`]
    pub fn has(&self, container: &ContainerName, plan: &[Step]) -> Result<bool, Error> {
        apply::has(&self.0, container, plan)
    }

    /// Says, in a sentence for each, what keeps the forwarded ports and the NAT
    /// of `spec` from working: chains of others that would drop the packets,
    /// ports that a process on the host has, addresses that are not there. None
    /// of it is an error, nor is it one if that cannot be found out.
    ///
    /// nft is only asked where anybody but us has a chain that could drop.
    /// Rules of the kernel's old iptables, which nft does not show, are not
    /// looked at.
    #[must_use]
    pub fn diagnose(&self, spec: &Spec) -> Vec<String> {
        diagnose::diagnose(&self.0, spec)
    }

    /// Removes all forwarded ports and NAT of a container, and with those of
    /// the last one our table, and puts back what was set for all. `false` if
    /// there was nothing.
    ///
    /// It takes some microseconds where there is nothing. Twice is as good as
    /// once, and it does not matter which process set it all up.
    ///
    /// # Errors
    ///
    /// Any of [`Error`] but [`Error::Taken`], [`Error::Twice`] and
    /// [`Error::SameAddress`].
    pub fn remove(&self, container: &ContainerName, directory: &Path) -> Result<bool, Error> {
        apply::remove(&self.0, container, directory)
    }
}
