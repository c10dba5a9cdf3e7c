//! Errors about forwarded ports and NAT.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use super::Protocol;

/// A failed operation, its object and the cause. [`Error::hint`] says what to
/// try.
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

    /// The kernel refused a change of our table.
    #[error("cannot {operation}: the kernel refuses to {change}")]
    Refused {
        /// What was being done.
        operation: &'static str,
        /// The change, as a command of nft(8).
        change: String,
        /// Why.
        source: io::Error,
    },

    /// A request about the kernel's rules or connections failed.
    #[error("cannot {operation}")]
    Netlink {
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },

    /// A sysctl, or the record of sysctls.
    #[error("cannot {operation} {path}", path = .path.display())]
    File {
        /// What was being done, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The route to the host's loopback address through a link.
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
    /// What the user can try; `None` if the error itself says it.
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
                "another program created it: see `nft list table inet nixos-containers`, and \
                 remove it with `nft delete table inet nixos-containers`"
                    .to_owned(),
            ),
            Self::Refused { source, .. } if !permission(source) => Some(
                "the kernel needs the options NF_TABLES_INET, NFT_NAT, NFT_MASQ, NFT_CT and \
                 NFT_FIB_INET"
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
