//! What the child does to itself, for init to be: no path of the container's
//! is looked at.

use std::fmt;

use serde::Serialize;

use crate::sys::capabilities::CapabilitySet;
use crate::sys::cpus::Cpus;
use crate::sys::personality::Personality;
use crate::sys::seccomp::SystemCallFilter;

/// One thing that the child does to itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum ProcessStep {
    /// The host name.
    Hostname {
        /// At most 64 bytes.
        name: String,
    },
    /// A session keyring of its own. With that of whoever called, programs
    /// inside would reach the caller's keys: not by system calls, which are
    /// filtered, but wherever the kernel looks for a key by itself, as network
    /// file systems and encrypted directories do (`man 7 session-keyring`).
    SessionKeyring,
    /// The processors to run on.
    Affinity {
        /// Their numbers.
        cpus: Cpus,
    },
    /// The machine that the kernel passes itself off as.
    Personality {
        /// Its name.
        machine: Personality,
    },
    /// Executing a program gives nobody more than they had.
    NoNewPrivileges,
    /// Nothing else can ever be gained.
    BoundingSet {
        /// What remains.
        keep: CapabilitySet,
    },
    /// Programs get these whoever runs them.
    AmbientSet {
        /// The capabilities.
        capabilities: CapabilitySet,
    },
    /// Not every system call is there for init.
    Seccomp {
        /// Those that are not.
        filter: SystemCallFilter,
    },
    /// Signals as a process at boot has them: none ignored, none blocked.
    ResetSignals,
}

impl ProcessStep {
    pub(super) fn manual(&self) -> &'static str {
        match self {
            Self::Hostname { .. } => "sethostname(2)",
            Self::SessionKeyring => "keyctl(2), KEYCTL_JOIN_SESSION_KEYRING",
            Self::Affinity { .. } => "sched_setaffinity(2)",
            Self::Personality { .. } => "personality(2)",
            Self::NoNewPrivileges => "prctl(2), PR_SET_NO_NEW_PRIVS",
            Self::BoundingSet { .. } | Self::AmbientSet { .. } => "capabilities(7)",
            Self::Seccomp { .. } => "seccomp(2)",
            Self::ResetSignals => "sigaction(2), sigprocmask(2)",
        }
    }
}

impl fmt::Display for ProcessStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname { name } => write!(f, "set host name {name}"),
            Self::SessionKeyring => write!(f, "join a keyring of its own"),
            Self::Affinity { cpus } => write!(f, "run on no processors but {cpus}"),
            Self::Personality { machine } => write!(f, "take the machine for {machine}"),
            Self::NoNewPrivileges => write!(f, "gain nothing by executing programs"),
            Self::BoundingSet { keep } => write!(f, "drop all capabilities but {keep}"),
            Self::AmbientSet { capabilities } => {
                write!(f, "hand on to every program {capabilities}")
            }
            Self::Seccomp { filter } => write!(f, "of system calls, {filter}"),
            Self::ResetSignals => write!(f, "ignore and block no signal"),
        }
    }
}
