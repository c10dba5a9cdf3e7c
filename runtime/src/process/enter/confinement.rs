//! The bounds of a container's init, which hold for processes that enter, too.

use std::io;

use nix::errno::Errno;

use crate::sys::capabilities::CapabilitySet;
use crate::sys::limits::{self, Limit};
use crate::sys::proc::{self, Status};
use crate::sys::seccomp::FilterProgram;

/// The bounds that init was started with. `/proc` shows them, except for the filter
/// of system calls.
#[derive(Debug, Clone)]
pub struct Confinement {
    capabilities: CapabilitySet,
    no_new_privileges: bool,
    personality: libc::c_ulong,
    oom_score_adj: i16,
    limits: Vec<Limit>,
    system_calls: FilterProgram,
}

impl Confinement {
    /// The bounds of a process, by its pid in the caller's namespace, with the filter
    /// that it was started with.
    pub fn of(pid: i32, system_calls: FilterProgram) -> io::Result<Self> {
        let status = Status::of(pid)?;
        Ok(Self {
            capabilities: status.bounding_set()?,
            no_new_privileges: status.has_no_new_privileges()?,
            personality: proc::number(pid, "personality", 16)?,
            oom_score_adj: proc::number(pid, "oom_score_adj", 10)?,
            limits: limits::of_process(pid)?,
            system_calls,
        })
    }

    /// Applies init's `oom_score_adj` to the calling process. Needs the host's
    /// `/proc`.
    pub(super) fn take_oom_score(&self) -> io::Result<()> {
        let score = self.oom_score_adj.to_string();
        match std::fs::write("/proc/self/oom_score_adj", score) {
            // A lower value than the caller's may need CAP_SYS_RESOURCE.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            answer => answer,
        }
    }

    /// Gives the calling process the limits of init.
    pub(super) fn take_limits(&self) -> io::Result<()> {
        limits::take(&self.limits)
    }

    /// Confines the calling thread and all programs that it executes, except for
    /// their system calls.
    pub(super) fn confine_thread(&self) -> io::Result<()> {
        // SAFETY: takes a number only.
        Errno::result(unsafe { libc::personality(self.personality) })?;
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true)?;
        }
        self.capabilities.bound_thread()
    }

    /// Filters the system calls of the calling thread and of all programs that it
    /// executes.
    pub(super) fn filter_system_calls(&self) -> io::Result<()> {
        self.system_calls.install()
    }
}
