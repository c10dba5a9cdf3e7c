//! How the supervisor performs its own steps (see [`HostStep`]).

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::device_filter;
use super::handshake::LaunchError;
use crate::plan::host_step::HostStep;
use crate::sys::limits::Limit;
use crate::sys::pidfd::Process;
use crate::sys::{cgroup, user_namespace};

/// Performs a step for a child that was cloned into the group `payload`.
pub(super) fn perform_host_step(
    step: &HostStep,
    child: &Process,
    payload: BorrowedFd<'_>,
) -> Result<(), LaunchError> {
    log::debug!("{step}");
    try_step(step, child, payload).map_err(|cause| LaunchError::Step {
        step: step.to_string(),
        cause,
    })
}

fn try_step(step: &HostStep, child: &Process, payload: BorrowedFd<'_>) -> io::Result<()> {
    match step {
        // Inside another container it has no effect; that one's filter holds for both.
        HostStep::DeviceFilter { devices } => device_filter::attach(payload, devices).map(drop),
        HostStep::Delegate { root } => cgroup::delegate(payload, *root),
        HostStep::Limits { limits, owner } => {
            let pid = Pid::from_raw(child.pid);
            let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
            impose_limits(limits, *owner, pid)
        }
        HostStep::Cgroup(setting) => {
            let path = Path::new("..").join(&setting.file);
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let file = match rustix::fs::openat(payload, path, flags, Mode::empty()) {
                Err(Errno::NOENT) => {
                    let why = "the groups above do not hand its controller down \
                               (cgroup.subtree_control)";
                    return Err(io::Error::other(why));
                }
                answer => answer?,
            };
            rustix::io::write(file, setting.value.as_bytes())?;
            Ok(())
        }
        // The child is not reaped, so the pid is its own.
        HostStep::OomScore { adjust } => std::fs::write(
            format!("/proc/{}/oom_score_adj", child.pid),
            adjust.to_string(),
        ),
    }
}

/// Sets the limits of a process in a user namespace. Where root lacks
/// CAP_SYS_RESOURCE, as in another container, the owner of the namespace may do so.
fn impose_limits(limits: &[Limit], owner: u32, pid: Pid) -> io::Result<()> {
    let impose = || limits.iter().try_for_each(|limit| limit.impose(pid));
    match impose() {
        Err(Errno::PERM) => {}
        answer => return Ok(answer?),
    }
    user_namespace::act_as(owner)?;
    let imposed = impose();
    user_namespace::act_as(user_namespace::HOSTS_ROOT)?;
    Ok(imposed?)
}
