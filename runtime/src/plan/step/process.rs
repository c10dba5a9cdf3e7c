//! Changes of the child itself, for init to have: they need no path of the
//! container's and no other process.

use std::path::PathBuf;

use derive_more::Display;
use serde::Serialize;

use crate::sys::capabilities::CapabilitySet;
use crate::sys::cgroup_v1::LegacyCgroup;
use crate::sys::cpus::Cpus;
use crate::sys::joined;
use crate::sys::personality::Personality;
use crate::sys::seccomp::SystemCallFilter;

/// One change of the child itself.
#[derive(Debug, Clone, PartialEq, Display, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ProcessStep {
    /// Has the kernel kill the child when its supervisor dies.
    #[display("ask to be killed when the supervisor dies")]
    DieWithSupervisor,
    /// Joins a network namespace that exists. That comes before `/sys` is mounted,
    /// which shows the links of the namespace that it is mounted from.
    #[display("join the network namespace {}", path.display())]
    JoinNetwork {
        /// The host path that holds it.
        path: PathBuf,
    },
    /// Moves into a group below the supervisor's in hierarchies of cgroup version 1, which
    /// root inside can mount: it sees no group above that. This comes before the cgroup
    /// namespace.
    #[display("move into groups of cgroup version 1 below {}", joined(groups, ", "))]
    LeaveLegacyCgroups {
        /// The supervisor's.
        groups: Vec<LegacyCgroup>,
    },
    /// Makes the cgroup that the child was born in the root of a cgroup namespace.
    /// `clone3` would make the supervisor's the root.
    #[display("unshare the cgroup namespace")]
    UnshareCgroup,
    /// Sets the host name.
    #[display("set host name {name}")]
    Hostname {
        /// At most 64 bytes.
        name: String,
    },
    /// Joins a session keyring of its own. With the caller's, programs inside would
    /// reach the caller's keys: not by system calls, which are filtered, but
    /// wherever the kernel looks for a key by itself, as network file systems and
    /// encrypted directories do (`man 7 session-keyring`).
    #[display("join a session keyring of its own")]
    SessionKeyring,
    /// Chooses the processors to run on.
    #[display("run only on processors {cpus}")]
    Affinity {
        /// Their numbers.
        cpus: Cpus,
    },
    /// Chooses the machine that `uname` reports.
    #[display("report the machine as {machine}")]
    Personality {
        /// Its name.
        machine: Personality,
    },
    /// Lets programs gain no privileges, setuid ones included.
    #[display("gain no privileges by executing programs")]
    NoNewPrivileges,
    /// Keeps programs from the abstract sockets of other processes in the network
    /// namespace, on kernels that can do so.
    #[display("reach no abstract socket of other processes")]
    ScopeAbstractSockets,
    /// Drops capabilities for good.
    #[display("drop all capabilities but {keep}")]
    BoundingSet {
        /// The capabilities that remain.
        keep: CapabilitySet,
    },
    /// Gives capabilities to all programs, whatever their user.
    #[display("give all programs {capabilities}")]
    AmbientSet {
        /// The capabilities.
        capabilities: CapabilitySet,
    },
    /// Filters the system calls.
    #[display("filter system calls: {filter}")]
    Seccomp {
        /// The filter.
        filter: SystemCallFilter,
    },
    /// Makes signals as a process at boot has them: none ignored, none blocked.
    #[display("ignore and block no signal")]
    ResetSignals,
}

impl ProcessStep {
    pub(super) fn manual(&self) -> &'static str {
        match self {
            Self::DieWithSupervisor => "prctl(2), PR_SET_PDEATHSIG",
            Self::JoinNetwork { .. } => "setns(2)",
            Self::LeaveLegacyCgroups { .. } => "cgroups(7), Cgroups version 1",
            Self::UnshareCgroup => "cgroup_namespaces(7)",
            Self::Hostname { .. } => "sethostname(2)",
            Self::SessionKeyring => "keyctl(2), KEYCTL_JOIN_SESSION_KEYRING",
            Self::Affinity { .. } => "sched_setaffinity(2)",
            Self::Personality { .. } => "personality(2)",
            Self::ScopeAbstractSockets => "landlock(7)",
            Self::NoNewPrivileges => "prctl(2), PR_SET_NO_NEW_PRIVS",
            Self::BoundingSet { .. } | Self::AmbientSet { .. } => "capabilities(7)",
            Self::Seccomp { .. } => "seccomp(2)",
            Self::ResetSignals => "sigaction(2), sigprocmask(2)",
        }
    }
}
