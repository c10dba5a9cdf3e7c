//! Forwarded ports and NAT of containers, through nftables(8).
//!
//! A [`Spec`] describes forwarded ports and NAT, [`plan`] turns it into [`Step`]s
//! without changing anything, [`Firewall::apply`] performs them, and
//! [`Firewall::remove`] undoes them, which takes the container's name only:
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
//! All rules are in the table `inet nixos-containers`, which is created for the
//! first container and removed with the last. They are always the same: a
//! container consists of elements of sets (`set.rs`) with its name as a comment,
//! which are added and removed in one transaction.
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
//! Answers take the same way back, and netfilter reverses in them the translation
//! of the connection's first packet.
//!
//! - **The host's loopback.** The container cannot answer 127.0.0.1 or ::1, so
//!   these are replaced by the link's address. By default, the kernel drops the
//!   answer, since it accepts loopback addresses only on lo. For IPv4, the sysctl
//!   `route_localnet` changes that, and `guard` keeps the container from sending
//!   anything but answers; for IPv6, a local route does (`loopback6.rs`).
//! - **Bridges.** If netfilter sees the packets in a bridge (br_netfilter), there
//!   is no such way back to the host's `::1`, and [`Firewall::diagnose`] says so;
//!   and a container reaches itself through a forwarded port only if its port of
//!   the bridge is in hairpin mode ([`Veth::hairpin`](crate::Veth::hairpin)).
//! - **Neighbours.** The container would answer itself and its neighbours past the
//!   host, which then could not reverse the translation. So their source is
//!   replaced by the link's address. All other sources are kept.
//! - **Chains of other programs.** A packet passes only if every chain at a hook
//!   accepts it, and our chains cannot accept it for them; [`Firewall::diagnose`]
//!   names those with the policy drop.
//! - **Forwarding.** The host has to be a router. If it was not, forwarding is
//!   enabled until the last container goes. In IPv6, a router ignores router
//!   advertisements, so `accept_ra` is set from 1 to 2, but not on links to
//!   containers and bridges of containers alone, which must not become the host's
//!   routers.
//! - **Existing connections** keep their translation. Those to earlier addresses
//!   of the container are deleted, and so are UDP connections to the host itself
//!   (`conntrack.rs`).
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

/// A socket to a host's firewall: that of the network namespace in which the
/// calling thread opens it.
///
/// It should be closed when no start and no stop waits any more. The kernel frees
/// removed objects a little later, and closing any such socket meanwhile waits for
/// that, for up to a few tens of milliseconds (`nft_rcv_nl_event` in
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
            operation: "open a netfilter socket",
            source,
        })?;
        Ok(Self(netfilter))
    }

    /// Fails if another container has one of the ports of `spec`, or its address.
    ///
    /// [`Firewall::apply`] checks the same; this is for checking it before a
    /// container is created.
    ///
    /// # Errors
    ///
    /// [`Error::Taken`] and [`Error::SameAddress`] with the other container's name,
    /// which may have been killed and still have its rules. [`Error::Twice`] if one
    /// port leads to two. [`Error::Netlink`] if the kernel cannot be asked.
    pub fn conflict(&self, spec: &Spec) -> Result<(), Error> {
        claims::conflict(&self.0, spec)
    }

    /// Performs `plan` on the host, in place of the container's former plan, and
    /// returns the sysctls of the host that it set.
    ///
    /// The links of the plan have to exist. `directory` holds a record for
    /// [`Firewall::remove`]. It is created if it is missing, and has to be the same
    /// for all containers of a host and empty after a boot (such as one below
    /// `/run`).
    ///
    /// # Errors
    ///
    /// Any of [`Error`]. The rules are installed as a whole or not at all; if a
    /// later step fails, [`Firewall::remove`] undoes those before it.
    pub fn apply(
        &self,
        container: &ContainerName,
        plan: &[Step],
        directory: &Path,
    ) -> Result<Vec<SysctlChange>, Error> {
        apply::apply(&self.0, container, plan, directory)
    }

    /// Whether the rules of `plan` are installed. Its settings are not checked.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`]
    pub fn has(&self, container: &ContainerName, plan: &[Step]) -> Result<bool, Error> {
        apply::has(&self.0, container, plan)
    }

    /// Returns a sentence for each obstacle to the forwarded ports and the NAT of
    /// `spec`: chains of other programs with the policy drop, ports that a process
    /// on the host listens on, addresses that the host lacks. None is an error, and
    /// failing to find out is not one either.
    ///
    /// Such a chain is not named if a rule of its table accepts packets of the
    /// container's link, or forwarded connections. Rules that drop, and those of the
    /// kernel's old iptables, are not considered.
    #[must_use]
    pub fn diagnose(&self, spec: &Spec) -> Vec<String> {
        diagnose::diagnose(&self.0, spec)
    }

    /// Removes the forwarded ports and the NAT of a container, and with those of
    /// the last one the table, and restores settings of the host. `false` if there
    /// was nothing.
    ///
    /// It takes some microseconds if there is nothing. A second call finds nothing
    /// to do, and it does not matter which process called [`Firewall::apply`].
    ///
    /// # Errors
    ///
    /// Any of [`Error`] but [`Error::Taken`], [`Error::Twice`] and
    /// [`Error::SameAddress`].
    pub fn remove(&self, container: &ContainerName, directory: &Path) -> Result<bool, Error> {
        apply::remove(&self.0, container, directory)
    }
}
