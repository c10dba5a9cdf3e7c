//! The supervisor's own steps, before init runs: they need the host's privileges,
//! which the child in a user namespace lacks.

use derive_more::Display;
use serde::Serialize;

use crate::spec::{CgroupSetting, Device};
use crate::sys::joined;
use crate::sys::limits::Limit;

/// One thing that the supervisor does for its child.
#[derive(Debug, Clone, PartialEq, Display, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum HostStep {
    /// Lets the container's processes open and make only these devices.
    #[display("allow only the devices {}", joined(devices, ", "))]
    DeviceFilter {
        /// The devices.
        devices: Vec<Device>,
    },
    /// Gives the container's cgroup to its root, to divide among its services.
    #[display("give the cgroup to user and group {root}")]
    Delegate {
        /// Number of the host's user and group that are root inside.
        root: u32,
    },
    /// Sets the limits that init starts with, in place of the caller's.
    #[display("limit {}", joined(limits, " "))]
    Limits {
        /// One of each resource.
        limits: Vec<Limit>,
        /// The host's user that owns init's user namespace.
        owner: u32,
    },
    /// Sets a value of the group above the payload's, which holds for the container
    /// and cannot be seen from inside.
    #[display("set {} to {}", _0.file, _0.value)]
    Cgroup(CgroupSetting),
    /// Adjusts how likely the kernel is to kill init when memory runs out.
    #[display("set its oom_score_adj to {adjust}")]
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
