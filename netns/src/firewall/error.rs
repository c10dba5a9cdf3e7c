//! What can go wrong with ports and NAT.

use std::{io, path::PathBuf};

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

    /// The nft program is not in `PATH`.
    #[error("cannot {operation}: there is no program nft")]
    NoNft {
        /// What was being done.
        operation: &'static str,
    },

    /// nft did not do it.
    #[error("cannot {operation}: nft: {message}")]
    Nft {
        /// What was being done.
        operation: &'static str,
        /// What it said.
        message: String,
    },

    /// The kernel's answer to a question about its rules or connections.
    #[error("cannot {operation}: {source}")]
    Netlink {
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },

    /// A sysctl, or the record of what it was.
    #[error("cannot {operation} {path}: {source}", path = .path.display())]
    File {
        /// What was being done, as a verb.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The host's loopback address on a link.
    #[error("cannot {operation} the route to ::1 through {link}: {source}")]
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
            Self::NoNft { .. } => Some(
                "forwarded ports and NAT need the package nftables (on NixOS it comes with \
                 networking.nftables.enable)"
                    .to_owned(),
            ),
            Self::Netlink { source, .. } | Self::File { source, .. } if permission(source) => {
                Some("CAP_NET_ADMIN is needed: run it as root".to_owned())
            }
            _ => None,
        }
    }
}
