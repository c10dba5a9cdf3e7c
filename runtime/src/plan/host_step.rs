//! What the supervisor does for its child before init runs, because it takes
//! the host's privileges: in a user namespace of its own the child lacks them.

use std::fmt;

use serde::Serialize;

use crate::spec::{CgroupSetting, Device};
use crate::sys::limits::Limit;

/// One thing that the supervisor does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum HostStep {
    /// The container's processes open and make no devices but these.
    DeviceFilter {
        /// What they may use.
        devices: Vec<Device>,
    },
    /// The container's cgroup is its root's, to divide among its services.
    Delegate {
        /// User and group of the host who are root inside.
        root: u32,
    },
    /// Limits that init starts with, instead of those of whoever called.
    Limits {
        /// Of each resource one.
        limits: Vec<Limit>,
    },
    /// A setting of the group above the payload's, which is the container's as
    /// well, but not to be seen from inside.
    Cgroup(CgroupSetting),
    /// How gladly the kernel kills init when memory runs out.
    OomScore {
        /// From -1000 to 1000.
        adjust: i16,
    },
}

impl HostStep {
    /// The page that describes what is behind the step.
    pub fn manual(&self) -> &'static str {
        match self {
            Self::DeviceFilter { .. } => "bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE",
            Self::Delegate { .. } => "cgroups(7), Cgroups delegation",
            Self::Limits { .. } => "prlimit(2)",
            Self::Cgroup(_) => "cgroups(7)",
            Self::OomScore { .. } => "proc_pid_oom_score_adj(5)",
        }
    }
}

impl fmt::Display for HostStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceFilter { devices } => {
                write!(f, "allow no devices but ")?;
                list(f, devices, ", ")
            }
            Self::Delegate { root } => write!(f, "leave the cgroup to user and group {root}"),
            Self::Limits { limits } => {
                write!(f, "limit ")?;
                list(f, limits, " ")
            }
            Self::Cgroup(CgroupSetting { file, value }) => write!(f, "set {file} to {value}"),
            Self::OomScore { adjust } => {
                write!(f, "adjust its score for when memory runs out by {adjust}")
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display], separator: &str) -> fmt::Result {
    let words: Vec<_> = items.iter().map(ToString::to_string).collect();
    f.write_str(&words.join(separator))
}
