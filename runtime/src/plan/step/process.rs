//! Changes of the child itself, for init to have: they need no path of the
//! container's and no other process.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::sys::capabilities::CapabilitySet;
use crate::sys::cpus::Cpus;
use crate::sys::personality::Personality;
use crate::sys::seccomp::SystemCallFilter;

/// One change of the child itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ProcessStep {
    /// Has the kernel kill the child when its supervisor dies.
    DieWithSupervisor,
    /// Joins a network namespace that exists. That comes before `/sys` is mounted,
    /// which shows the links of the namespace that it is mounted from.
    JoinNetwork {
        /// The host path that holds it.
        path: PathBuf,
    },
    /// Makes the cgroup that the child was born in the root of a cgroup namespace.
    /// `clone3` would make the supervisor's the root.
    UnshareCgroup,
    /// Sets the host name.
    Hostname {
        /// At most 64 bytes.
        name: String,
    },
    /// Joins a session keyring of its own. With the caller's, programs inside would
    /// reach the caller's keys: not by system calls, which are filtered, but
    /// wherever the kernel looks for a key by itself, as network file systems and
    /// encrypted directories do (`man 7 session-keyring`).
    SessionKeyring,
    /// Chooses the processors to run on.
    Affinity {
        /// Their numbers.
        cpus: Cpus,
    },
    /// Chooses the machine that `uname` reports.
    Personality {
        /// Its name.
        machine: Personality,
    },
    /// Lets programs gain no privileges, setuid ones included.
    NoNewPrivileges,
    /// Drops capabilities for good.
    BoundingSet {
        /// The capabilities that remain.
        keep: CapabilitySet,
    },
    /// Gives capabilities to all programs, whatever their user.
    AmbientSet {
        /// The capabilities.
        capabilities: CapabilitySet,
    },
    /// Filters the system calls.
    Seccomp {
        /// The filter.
        filter: SystemCallFilter,
    },
    /// Makes signals as a process at boot has them: none ignored, none blocked.
    ResetSignals,
    /// Changes to the directory that init starts in.
    WorkingDirectory {
        /// Path inside.
        path: PathBuf,
    },
}

impl ProcessStep {
    pub(super) fn manual(&self) -> &'static str {
        match self {
            Self::DieWithSupervisor => "prctl(2), PR_SET_PDEATHSIG",
            Self::JoinNetwork { .. } => "setns(2)",
            Self::UnshareCgroup => "cgroup_namespaces(7)",
            Self::Hostname { .. } => "sethostname(2)",
            Self::SessionKeyring => "keyctl(2), KEYCTL_JOIN_SESSION_KEYRING",
            Self::Affinity { .. } => "sched_setaffinity(2)",
            Self::Personality { .. } => "personality(2)",
            Self::NoNewPrivileges => "prctl(2), PR_SET_NO_NEW_PRIVS",
            Self::BoundingSet { .. } | Self::AmbientSet { .. } => "capabilities(7)",
            Self::Seccomp { .. } => "seccomp(2)",
            Self::ResetSignals => "sigaction(2), sigprocmask(2)",
            Self::WorkingDirectory { .. } => "chdir(2)",
        }
    }
}

impl fmt::Display for ProcessStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DieWithSupervisor => write!(f, "ask to be killed when the supervisor dies"),
            Self::JoinNetwork { path } => {
                write!(f, "join the network namespace {}", path.display())
            }
            Self::UnshareCgroup => write!(f, "unshare the cgroup namespace"),
            Self::Hostname { name } => write!(f, "set host name {name}"),
            Self::SessionKeyring => write!(f, "join a session keyring of its own"),
            Self::Affinity { cpus } => write!(f, "run only on processors {cpus}"),
            Self::Personality { machine } => write!(f, "report the machine as {machine}"),
            Self::NoNewPrivileges => write!(f, "gain no privileges by executing programs"),
            Self::BoundingSet { keep } => write!(f, "drop all capabilities but {keep}"),
            Self::AmbientSet { capabilities } => {
                write!(f, "give all programs {capabilities}")
            }
            Self::Seccomp { filter } => write!(f, "filter system calls: {filter}"),
            Self::ResetSignals => write!(f, "ignore and block no signal"),
            Self::WorkingDirectory { path } => {
                write!(f, "change to directory {}", path.display())
            }
        }
    }
}
