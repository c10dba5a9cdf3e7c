//! Becoming a daemon: the attributes of the caller's session must not reach the
//! container.

use std::io;

use anyhow::{Context, Result};
use rustix::thread::CpuSet;

/// Starts a session, and resets the attributes that the caller's session set:
/// scheduling, priority, processors, I/O priority, OOM score, login user, keyring.
pub fn leave_session() -> Result<()> {
    rustix::process::setsid().context("cannot start a session")?;
    // An unprivileged process may not, for example, raise a lowered priority again;
    // it keeps what it cannot reset.
    let _ = reset_scheduling();
    let _ = rustix::process::setpriority_process(None, 0);
    let _ = rustix::thread::sched_setaffinity(None, &all_processors());
    let _ = reset_io_priority();
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    let _ = std::fs::write("/proc/self/loginuid", NO_LOGIN_USER);
    runtime::sys::keyring::join_session_keyring().context("cannot join a keyring")
}

/// The login uid of a process outside of any login session (`man 5
/// proc_pid_loginuid`).
const NO_LOGIN_USER: &str = "4294967295";

/// As many processors as the set can hold: the kernel ignores those that the host
/// does not have (`man 2 sched_setaffinity`).
fn all_processors() -> CpuSet {
    let mut processors = CpuSet::new();
    for number in 0..CpuSet::MAX_CPU {
        processors.set(number);
    }
    processors
}

fn reset_scheduling() -> io::Result<()> {
    // The kernel's `struct sched_param`. That of a libc may be longer, and musl's function
    // makes no system call.
    let priority: libc::c_int = 0;
    let (call, policy) = (libc::SYS_sched_setscheduler, libc::SCHED_OTHER);
    // SAFETY: the kernel reads the parameter, which outlives the call.
    match unsafe { libc::syscall(call, 0, policy, &raw const priority) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

// Numbers of `linux/ioprio.h`: the target is a process, and its priority follows
// from its nice value.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_NONE: libc::c_int = 0;

fn reset_io_priority() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_NONE) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
