//! Becoming a process of nobody's session: what a caller's has must hold for no
//! container that happened to be started from it.

use std::io;

use anyhow::{Context, Result};
use rustix::thread::CpuSet;

/// Leaves the caller's session, with its priority, its processors, its place in
/// the choice of whom to kill when memory runs out, its user and its keys.
pub fn leave_session() -> Result<()> {
    rustix::process::setsid().context("cannot make a session")?;
    // What the kernel does not let go of stays: without the privilege for it,
    // a priority that was lowered cannot be raised again, nor the rest.
    let _ = reset_scheduling();
    let _ = rustix::process::setpriority_process(None, 0);
    let _ = rustix::thread::sched_setaffinity(None, &every_processor());
    let _ = reset_io_priority();
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    let _ = std::fs::write("/proc/self/loginuid", NOBODY_LOGGED_IN);
    runtime::sys::keyring::join_session_keyring().context("cannot join a keyring")
}

/// The user id that stands for none (`man 5 proc_pid_loginuid`).
const NOBODY_LOGGED_IN: &str = "4294967295";

/// As many as there can be: the kernel takes those that there are.
fn every_processor() -> CpuSet {
    let mut processors = CpuSet::new();
    for number in 0..CpuSet::MAX_CPU {
        processors.set(number);
    }
    processors
}

fn reset_scheduling() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads the parameters, which outlive the call.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

// Numbers of `linux/ioprio.h`: one process, and the priority that goes with its
// nice value.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_NONE: libc::c_int = 0;

fn reset_io_priority() -> io::Result<()> {
    // SAFETY: takes numbers only.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_NONE) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
