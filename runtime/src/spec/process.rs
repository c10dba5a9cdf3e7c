//! The container's first process: what it is, what it may do, what it may use.

use std::path::PathBuf;

use serde::Serialize;

use super::accounts::User;
use crate::sys::capabilities::CapabilitySet;
use crate::sys::cpus::Cpus;
use crate::sys::limits::Limit;
use crate::sys::personality::Personality;
use crate::sys::seccomp::SystemCallFilter;

/// The process that becomes PID 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Init {
    /// Absolute path inside.
    pub program: PathBuf,
    /// Arguments, without the program's own name.
    pub arguments: Vec<String>,
    /// Environment beside what the Container Interface demands; the last
    /// assignment to a variable holds, over the interface's too.
    pub environment: Vec<(String, String)>,
    /// Absolute path inside of the directory that it starts in.
    pub working_directory: PathBuf,
    /// Who it runs as; `None` is root, who need not be in `/etc/passwd`.
    pub user: Option<User>,
    /// What its standard streams are.
    pub streams: Streams,
    /// It is process 2, below a stub that does what process 1 must.
    pub below_stub: bool,
}

/// What init's standard streams are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// A terminal of the container's own, `/dev/console`.
    Terminal,
    /// Nothing to read, and a pipe to write to; there is no `/dev/console`.
    Pipe,
}

/// What init, and all that it starts, may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Privileges {
    /// The bounding set: what root inside can ever do.
    pub bounding: CapabilitySet,
    /// What programs get whoever runs them; in the bounding set, too.
    pub ambient: CapabilitySet,
    /// Executing a program gives nobody more than they had, be it setuid.
    pub no_new_privileges: bool,
    /// Which system calls there are.
    pub system_calls: SystemCallFilter,
}

/// A setting of the container's control group, out of reach for those inside
/// (kernel documentation, admin-guide/cgroup-v2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CgroupSetting {
    /// The file of the group.
    pub file: String,
    /// What is written to it.
    pub value: String,
}

/// What init, and all that it starts, may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources {
    /// Limits, of each resource one at most. Others are the caller's.
    pub limits: Vec<Limit>,
    /// How gladly the kernel kills it when memory runs out, from -1000 to 1000
    /// (`man 5 proc_pid_oom_score_adj`); `None` leaves it the caller's.
    pub oom_score_adjust: Option<i16>,
    /// Processors to run on; `None` leaves it the caller's.
    pub cpus: Option<Cpus>,
    /// Settings of the control group that it lives in.
    pub cgroup: Vec<CgroupSetting>,
    /// The machine that `uname(2)` tells of; `None` leaves it the caller's.
    pub personality: Option<Personality>,
}
