//! What can go wrong, in the words of the one who has to mend it.

use std::{fmt, io};

use ipnet::{IpNet, Ipv4Net};
use rustix::io::Errno;

use crate::{Side, Step};

/// An operation that failed, on what, and why. What to try is in
/// [`Error::hint`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no container's name.
    #[error("invalid container name {0:?}: it must be 1 to 64 of A-Z, a-z, 0-9, _ and -")]
    ContainerName(String),

    /// The network is too small to hold a pair of addresses.
    #[error("cannot take address pairs from {0}: its prefix length must be 22 or less")]
    PoolTooSmall(Ipv4Net),

    /// A step of a plan. Those before it have been performed and stay.
    #[error("cannot {step}: {cause}")]
    Step {
        /// The step that failed.
        step: Box<Step>,
        /// Why.
        cause: Cause,
    },

    /// Looking for a link of the host, or removing it.
    #[error("cannot {operation} link {link}: {cause}")]
    Link {
        /// What was being done, as a verb.
        operation: &'static str,
        /// The link's name.
        link: String,
        /// Why.
        cause: Cause,
    },

    /// Listing addresses or routes of the host.
    #[error("cannot list the host's {objects}: {cause}")]
    List {
        /// What was being listed.
        objects: &'static str,
        /// Why.
        cause: Cause,
    },

    /// Getting ready to talk to the kernel.
    #[error("cannot {operation}: {cause}")]
    Prepare {
        /// What was being done.
        operation: &'static str,
        /// Why.
        cause: Cause,
    },
}

impl Error {
    /// What the user may try, where there is something to say beyond the error.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Step { cause, .. } | Self::Link { cause, .. } if cause.is(Errno::PERM) => {
                Some("CAP_NET_ADMIN is needed: run it as root".to_owned())
            }
            Self::Prepare { cause, .. } if cause.is(Errno::PERM) => {
                Some("CAP_SYS_ADMIN is needed: run it as root".to_owned())
            }
            Self::Step { step, cause } => step_hint(step, cause.errno()?),
            _ => None,
        }
    }
}

fn step_hint(step: &Step, errno: Errno) -> Option<String> {
    match (step, errno) {
        (Step::CreateVeth { host, .. }, Errno::EXIST) => Some(format!(
            "something else made a link of that name; see `ip link show {host}`"
        )),
        (Step::CreateVeth { .. }, Errno::OPNOTSUPP) => {
            Some("the kernel has no veth links; try `modprobe veth`".to_owned())
        }
        (
            Step::AddRoute {
                side: Side::Host,
                destination,
                ..
            },
            Errno::EXIST,
        ) => Some(format!(
            "perhaps another container has the same address; see `ip route show {destination}`"
        )),
        (
            Step::AddAddress {
                address: IpNet::V6(_),
                link,
                ..
            },
            Errno::ACCESS | Errno::OPNOTSUPP,
        ) => Some(format!(
            "IPv6 is switched off there; see the sysctl net.ipv6.conf.{link}.disable_ipv6 and \
             ipv6.disable on the kernel's command line"
        )),
        _ => None,
    }
}

/// Why the kernel, or the way to it, refused.
#[derive(Debug)]
pub struct Cause(io::Error);

impl Cause {
    /// Whether the kernel answered with this errno(3).
    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.errno() == Some(errno)
    }

    fn errno(&self) -> Option<Errno> {
        Errno::from_io_error(&self.0)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.errno() {
            Some(Errno::EXIST) => "it exists already",
            Some(Errno::NODEV) => "there is no such link",
            Some(Errno::PERM) => "it is not permitted",
            Some(Errno::OPNOTSUPP) => "the kernel does not support it",
            Some(Errno::NETDOWN) => "the link is down",
            Some(Errno::NETUNREACH | Errno::HOSTUNREACH) => "the gateway is out of reach",
            _ => return self.0.fmt(f),
        };
        f.write_str(words)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self(errno.into())
    }
}

impl From<rtnetlink::Error> for Cause {
    fn from(error: rtnetlink::Error) -> Self {
        Self(match error {
            rtnetlink::Error::NetlinkError(answer) => answer.to_io(),
            other => io::Error::other(other),
        })
    }
}
