//! What can go wrong with ports and NAT.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use super::Protocol;

/// An operation that failed, on what, and why. What to try is in
/// [`Error::hint`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another container has the port.
    #[error("cannot forward {protocol} port {port}: container {owner} has it already")]
    Taken {
        /// The transport protocol.
        protocol: Protocol,
        /// The host's port.
        port: u16,
        /// The other container.
        owner: String,
    },

    /// The container's own forwards contradict each other.
    #[error("cannot forward {protocol} port {port} twice")]
    Twice {
        /// The transport protocol.
        protocol: Protocol,
        /// The host's port.
        port: u16,
    },

    /// Another container has the address.
    #[error("cannot forward ports to {address} or masquerade it: container {owner} has it, too")]
    SameAddress {
        /// The address.
        address: IpAddr,
        /// The other container.
        owner: String,
    },

    /// A change of our table that the kernel did not make.
    #[error("cannot {operation}: the kernel refuses to {change}")]
    Refused {
        /// What was being done.
        operation: &'static str,
        /// The change, as a command of nft(8).
        change: String,
        /// Why.
        source: io::Error,
    },

    /// The kernel's answer to a question about its rules or connections.
    #[error("cannot {operation}")]
    Netlink {
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },

    /// A sysctl, or the record of what it was.
    #[error("cannot {operation} {path}", path = .path.display())]
    File {
        /// What was being done, as a verb.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The host's loopback address on a link.
    #[error("cannot {operation} the route to ::1 through {link}")]
    LoopbackRoute {
        /// What was being done, as a verb.
        operation: &'static str,
        /// Name of the link.
        link: String,
        /// Why.
        source: Box<crate::Error>,
    },
}

impl Error {
    /// What the user may try, where there is something to say beyond the error.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let permission = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Taken { owner, .. } => Some(format!(
                "choose another port, or stop {owner}; containers may share a port if each has \
                 a BIND_HOST of its own"
            )),
            Self::SameAddress { owner, .. } => Some(format!(
                "give one of them another LOCAL_ADDRESS or LOCAL_ADDRESS6, or stop {owner}"
            )),
            Self::Refused { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => Some(
                "something else has made it: see `nft list table inet nixos-containers`, and \
                 with `nft delete table inet nixos-containers` it is gone"
                    .to_owned(),
            ),
            Self::Refused { source, .. } if !permission(source) => Some(
                "a kernel has what is needed with NF_TABLES_INET, NFT_NAT, NFT_MASQ, NFT_CT \
                 and NFT_FIB_INET"
                    .to_owned(),
            ),
            Self::Netlink { source, .. }
            | Self::Refused { source, .. }
            | Self::File { source, .. }
                if permission(source) =>
            {
                Some("CAP_NET_ADMIN is needed: run it as root".to_owned())
            }
            _ => None,
        }
    }
}
