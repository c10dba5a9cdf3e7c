//! Errors about links, addresses and routes.

use std::io;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use rustix::io::Errno;

use crate::{Purpose, Side, Step, Unfit};

/// A failed operation, its object and the cause. [`Error::hint`] says what to
/// try.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not an interface's name.
    #[error(
        "invalid interface name {0:?}: it must be 1 to 15 printable ASCII characters without \
         /, : and %"
    )]
    InterfaceName(String),

    /// The text is not a zone's name.
    #[error(
        "invalid zone name {0:?}: it must be 1 to 12 printable ASCII characters without /, : and %"
    )]
    ZoneName(String),

    /// The text is not an interface's hardware address.
    #[error(
        "invalid MAC address {0:?}: it must be six pairs of hexadecimal digits such as \
         02:00:00:12:34:56, the first of them even, and not all zero"
    )]
    MacAddress(String),

    /// The network is too small for a pair of addresses.
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

    /// Two links would have the same name.
    #[error("cannot create two links named {name}{side}")]
    SameName {
        /// The side of both.
        side: Side,
        /// Their name.
        name: String,
    },

    /// An interface of the host that the container's network needs is missing or
    /// of the wrong kind.
    #[error("cannot {action}: {unfit}", action = purpose.action(interface))]
    Unfit {
        /// The interface's name.
        interface: String,
        /// What it is needed for.
        purpose: Purpose,
        /// Why it cannot be used.
        unfit: Unfit,
    },

    /// Moving an interface back to the host.
    #[error("cannot give interface {interface} back to the host: {cause}")]
    GiveBack {
        /// The interface's name on the host.
        interface: String,
        /// Why.
        cause: Cause,
    },

    /// An interface that was moved into a container is lost.
    #[error(
        "cannot give interface {interface} back to the host: it is neither in the container's \
         network namespace nor on the host"
    )]
    Lost {
        /// The interface's name on the host.
        interface: String,
    },

    /// A setting that an interface had before it was moved into a container.
    #[error("cannot restore {setting} of interface {interface}: {cause}")]
    Restore {
        /// The interface's name.
        interface: String,
        /// The setting, as a noun.
        setting: String,
        /// Why.
        cause: Cause,
    },

    /// A file below the run directory.
    #[error("cannot {operation} {path}: {cause}", path = path.display())]
    File {
        /// What was being done, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: Cause,
    },

    /// Looking up a link of the host, or removing it.
    #[error("cannot {operation} link {link}: {cause}")]
    Link {
        /// What was being done, as a verb.
        operation: &'static str,
        /// The link's name.
        link: String,
        /// Why.
        cause: Cause,
    },

    /// Listing links, addresses or routes of the host.
    #[error("cannot list the host's {objects}: {cause}")]
    List {
        /// What was being listed.
        objects: &'static str,
        /// Why.
        cause: Cause,
    },

    /// Preparing requests to the kernel.
    #[error("cannot {operation}: {cause}")]
    Prepare {
        /// What was being done.
        operation: &'static str,
        /// Why.
        cause: Cause,
    },
}

impl Error {
    /// To be given the cause.
    pub(crate) fn list(objects: &'static str) -> impl FnOnce(Cause) -> Self {
        move |cause| Self::List { objects, cause }
    }

    /// To be given the cause.
    pub(crate) fn link(operation: &'static str, link: &str) -> impl FnOnce(Cause) -> Self {
        move |cause| Self::Link {
            operation,
            link: link.to_owned(),
            cause,
        }
    }

    /// What the user can try; `None` if the error itself says it.
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
            Self::Unfit {
                interface,
                purpose,
                unfit,
            } => match unfit {
                Unfit::Missing if *purpose == Purpose::Bridge => Some(format!(
                    "create it first, such as with `ip link add {interface} up type bridge`"
                )),
                Unfit::Missing => Some("`ip link` lists the links of the host".to_owned()),
                Unfit::Held(container) => Some(format!("stop container '{container}' first")),
                _ => None,
            },
            Self::GiveBack { interface, cause } if cause.is(Errno::EXIST) => Some(format!(
                "another link has its name; rename that link, see `ip link show {interface}`"
            )),
            _ => None,
        }
    }
}

fn step_hint(step: &Step, errno: Errno) -> Option<String> {
    match (step, errno) {
        (Step::CreateVeth { host, .. }, Errno::EXIST) => Some(format!(
            "another program created a link of that name; see `ip link show {host}`"
        )),
        (Step::CreateVeth { bridge: None, .. }, Errno::OPNOTSUPP) => Some(unknown_kind("veth")),
        (Step::CreateBridge { .. }, Errno::OPNOTSUPP) => Some(unknown_kind("bridge")),
        (Step::CreateMacvlan { .. }, Errno::OPNOTSUPP) => Some(unknown_kind("macvlan")),
        (Step::CreateIpvlan { .. }, Errno::OPNOTSUPP) => Some(unknown_kind("ipvlan")),
        // The kernel's answer for kinds of disciplines and classifiers that it lacks
        // (net/sched/sch_api.c and cls_api.c).
        (
            Step::CheckSources { .. } | Step::CloseLoopback { .. } | Step::ReserveAddresses { .. },
            Errno::NOENT,
        ) => Some(
            "the kernel cannot check the packets that links receive; try `modprobe -a \
             sch_ingress cls_bpf`"
                .to_owned(),
        ),
        // An interface has one rx_handler (netdev_rx_handler_register in the
        // kernel's net/core/dev.c).
        (Step::CreateMacvlan { parent, .. } | Step::CreateIpvlan { parent, .. }, Errno::BUSY) => {
            Some(format!(
                "an interface carries macvlan links or ipvlan links or is a port of a bridge; see `ip -d link show {parent}`"
            ))
        }
        (Step::MoveInterface { interface, .. }, Errno::INVAL) => Some(format!(
            "the kernel keeps {interface} in its network namespace, as it keeps bridges and \
             some wireless interfaces"
        )),
        (
            Step::AddRoute {
                side, destination, ..
            },
            Errno::EXIST,
        ) if *side == Side::Host => Some(format!(
            "perhaps another container has the same address; see `ip route show {destination}`"
        )),
        (Step::AddAddress { address, link, .. }, Errno::ACCESS | Errno::OPNOTSUPP)
            if address.addr().is_ipv6() =>
        {
            Some(format!(
                "IPv6 is switched off there; see the sysctl net.ipv6.conf.{link}.disable_ipv6 and \
             ipv6.disable on the kernel's command line"
            ))
        }
        _ => None,
    }
}

fn unknown_kind(kind: &str) -> String {
    format!("the kernel has no {kind} links; try `modprobe {kind}`")
}

/// The error of the kernel, or of the socket to it.
#[derive(Debug, thiserror::Error)]
#[error("{}", words(.0))]
pub struct Cause(#[from] io::Error);

impl Cause {
    /// Whether the kernel answered this errno(3).
    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.errno() == Some(errno)
    }

    /// Whether the kernel answered one of these.
    pub(crate) fn is_any(&self, errnos: &[Errno]) -> bool {
        errnos.iter().any(|errno| self.is(*errno))
    }

    /// Whether the kernel says that no route leads to a destination: there is
    /// none, or it has one of the types `unreachable`, `prohibit` and
    /// `blackhole` (ip-route(8)).
    pub(crate) fn is_unreachable(&self) -> bool {
        use Errno as E;
        matches!(
            self.errno(),
            Some(E::NETUNREACH | E::HOSTUNREACH | E::ACCESS | E::INVAL)
        )
    }

    fn errno(&self) -> Option<Errno> {
        Errno::from_io_error(&self.0)
    }
}

fn words(error: &io::Error) -> String {
    let words = match Errno::from_io_error(error) {
        Some(Errno::EXIST) => "it exists already",
        Some(Errno::NODEV) => "there is no such link",
        Some(Errno::PERM) => "it is not permitted",
        Some(Errno::OPNOTSUPP) => "the kernel does not support it",
        Some(Errno::NETDOWN) => "the link is down",
        Some(Errno::NETUNREACH | Errno::HOSTUNREACH) => "the gateway is unreachable",
        _ => return error.to_string(),
    };
    words.to_owned()
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
