//! The supervisor's own steps, before init runs: they need the host's privileges,
//! which the child in a user namespace lacks.

use std::fmt;

use serde::Serialize;

use crate::spec::{CgroupSetting, Device};
use crate::sys::limits::Limit;

/// One thing that the supervisor does for its child.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum HostStep {
    /// Lets the container's processes open and make only these devices.
    DeviceFilter {
        /// The devices.
        devices: Vec<Device>,
    },
    /// Gives the container's cgroup to its root, to divide among its services.
    Delegate {
        /// Number of the host's user and group that are root inside.
        root: u32,
    },
    /// Sets the limits that init starts with, in place of the caller's.
    Limits {
        /// One of each resource.
        limits: Vec<Limit>,
    },
    /// Sets a value of the group above the payload's, which holds for the container
    /// and cannot be seen from inside.
    Cgroup(CgroupSetting),
    /// Adjusts how likely the kernel is to kill init when memory runs out.
    OomScore {
        /// From -1000 to 1000.
        adjust: i16,
    },
}

impl HostStep {
    /// The page that describes the interface behind the step.
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
                write!(f, "allow only the devices ")?;
                list(f, devices, ", ")
            }
            Self::Delegate { root } => write!(f, "give the cgroup to user and group {root}"),
            Self::Limits { limits } => {
                write!(f, "limit ")?;
                list(f, limits, " ")
            }
            Self::Cgroup(CgroupSetting { file, value }) => write!(f, "set {file} to {value}"),
            Self::OomScore { adjust } => {
                write!(f, "set its oom_score_adj to {adjust}")
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display], separator: &str) -> fmt::Result {
    let words: Vec<_> = items.iter().map(ToString::to_string).collect();
    f.write_str(&words.join(separator))
}
