//! The single changes that make up a container's network, as data.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use serde::Serialize;

/// In which of the two network namespaces a step changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The namespace of the process that applies the plan.
    Host,
    /// The container's own namespace.
    Container,
}

/// One change, which is one request to the kernel.
///
/// Its `Display` is a line in the imperative: `create veth ve-web, up, with
/// peer eth0 inside the container`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Create a veth pair with one end, which comes up, on the host, and the
    /// other in the container, already with its final name.
    CreateVeth {
        /// Name of the end on the host.
        host: String,
        /// Name of the end in the container.
        peer: String,
    },
    /// Give a link on the host an alternative name.
    AddAltname {
        /// Name of the link.
        link: String,
        /// Its additional name.
        altname: String,
    },
    /// Set a link up.
    SetUp {
        /// Where the link is.
        side: Side,
        /// Name of the link.
        link: String,
    },
    /// Give a link an address.
    AddAddress {
        /// Where the link is.
        side: Side,
        /// Name of the link.
        link: String,
        /// The address, with the length of the prefix that is reachable
        /// directly through the link.
        address: IpNet,
    },
    /// Add a route through a link to the main table.
    AddRoute {
        /// Where the link is.
        side: Side,
        /// Name of the link.
        link: String,
        /// Where packets go, without host bits.
        destination: IpNet,
        /// Who passes them on; without one the destination is a neighbour.
        gateway: Option<IpAddr>,
    },
}

impl Step {
    /// The manual page that explains what this step does.
    #[must_use]
    pub fn manual(&self) -> &'static str {
        match self {
            Self::CreateVeth { .. } => "veth(4)",
            Self::AddAltname { .. } | Self::SetUp { .. } => "ip-link(8)",
            Self::AddAddress { .. } => "ip-address(8)",
            Self::AddRoute { .. } => "ip-route(8)",
        }
    }
}

impl fmt::Display for Side {
    /// What follows a link's name: nothing for the host's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => Ok(()),
            Self::Container => f.write_str(" inside the container"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateVeth { host, peer } => write!(
                f,
                "create veth {host}, up, with peer {peer}{}",
                Side::Container
            ),
            Self::AddAltname { link, altname } => {
                write!(f, "add alternative name {altname} to {link}")
            }
            Self::SetUp { side, link } => write!(f, "set {link} up{side}"),
            Self::AddAddress {
                side,
                link,
                address,
            } => write!(f, "add address {address} to {link}{side}"),
            Self::AddRoute {
                side,
                link,
                destination,
                gateway,
            } => {
                if destination.prefix_len() == 0 {
                    f.write_str("add default route")?;
                } else {
                    write!(f, "add route to {destination}")?;
                }
                if let Some(gateway) = gateway {
                    write!(f, " via {gateway}")?;
                }
                write!(f, " through {link}{side}")
            }
        }
    }
}
