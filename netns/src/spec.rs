//! What a container's network shall be: resolved data, nothing left to guess.

use ipnet::{Ipv4Net, Ipv6Net};

use crate::ContainerName;

/// The network of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Whose network it is. Names of links on the host derive from it.
    pub container: ContainerName,
    /// A veth pair between host and container; without it the container has
    /// its loopback link only.
    pub veth: Option<Veth>,
}

/// A veth pair: `ve-NAME` on the host, `eth0` in the container.
///
/// The fields bear the names and the meaning of the options
/// `containers.<name>.hostAddress`, `hostAddress6`, `localAddress` and
/// `localAddress6` of NixOS, and any of them may be missing. An address that
/// the user gave without a prefix length is one with all bits: `/32`, `/128`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Veth {
    /// IPv4 address of `ve-NAME`, the container's way out.
    pub host_address: Option<Ipv4Net>,
    /// IPv6 address of `ve-NAME`, the container's way out.
    pub host_address6: Option<Ipv6Net>,
    /// IPv4 address of the container's `eth0`.
    pub local_address: Option<Ipv4Net>,
    /// IPv6 address of the container's `eth0`.
    pub local_address6: Option<Ipv6Net>,
}
