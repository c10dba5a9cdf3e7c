//! The container's first process: its program, privileges and resources.

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
    /// Environment beside that of the Container Interface. The last assignment to a
    /// variable counts, and replaces one of the interface.
    pub environment: Vec<(String, String)>,
    /// The directory that it starts in, an absolute path inside.
    pub working_directory: PathBuf,
    /// The user that it runs as; `None` is root, even without an `/etc/passwd`.
    pub user: Option<User>,
    /// Its standard streams.
    pub streams: Streams,
    /// Whether it is process 2, below a stub that serves as process 1.
    pub below_stub: bool,
}

/// The standard streams of init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// A terminal of the container's own, `/dev/console`.
    Terminal,
    /// An empty input, and a pipe for output; without a `/dev/console`.
    Pipe,
}

/// The privileges of init and of all processes that it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Privileges {
    /// The bounding set: the capabilities that root inside can ever have.
    pub bounding: CapabilitySet,
    /// The capabilities that all programs get, whatever their user; a part of the
    /// bounding set.
    pub ambient: CapabilitySet,
    /// Whether programs gain no privileges, setuid ones included.
    pub no_new_privileges: bool,
    /// The system calls.
    pub system_calls: SystemCallFilter,
}

/// A setting of the container's control group, out of reach for processes inside
/// (kernel documentation, admin-guide/cgroup-v2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CgroupSetting {
    /// The file of the group.
    pub file: String,
    /// The text that is written to it.
    pub value: String,
}

/// The resources of init and of all processes that it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources {
    /// Limits, at most one of each resource. Others are the caller's.
    pub limits: Vec<Limit>,
    /// How likely the kernel is to kill it when memory runs out, from -1000 to 1000
    /// (`man 5 proc_pid_oom_score_adj`); `None` leaves the caller's.
    pub oom_score_adjust: Option<i16>,
    /// The most processes and threads of the users of its user namespace together, on
    /// hosts with and without a pids controller; `None` is unlimited. It needs an owner
    /// of the namespace other than the host's root (`kernel/ucount.c` of Linux).
    pub tasks: Option<u64>,
    /// The memory in bytes that its control group is limited to; `None` is unlimited.
    pub memory: Option<u64>,
    /// Processors to run on; `None` leaves the caller's.
    pub cpus: Option<Cpus>,
    /// Settings of its control group.
    pub cgroup: Vec<CgroupSetting>,
    /// The machine that `uname(2)` reports; `None` leaves the caller's.
    pub personality: Option<Personality>,
}
