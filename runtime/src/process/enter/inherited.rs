//! Properties that a process inherits from its parent: priority, processors, keys. A
//! process that enters takes those of the container's init.

use std::io;

use nix::errno::Errno;
use rustix::process::Pid;

use crate::sys::keyring;

/// The pid of the container's init in the container's pid namespace. No other
/// process can have it.
const INIT: i32 = 1;

/// Gives the calling process the properties of init. It must be in the container's
/// pid namespace.
pub(super) fn take_from_init() -> io::Result<()> {
    take_scheduling()?;
    let init = Pid::from_raw(INIT);
    rustix::thread::sched_setaffinity(None, &rustix::thread::sched_getaffinity(init)?)?;
    take_io_priority()?;
    // The caller's keys stay out of the container's reach.
    keyring::join_session_keyring()
}

/// Policy, priority and nice value (`man 2 sched_setattr`).
fn take_scheduling() -> io::Result<()> {
    // SAFETY: all-zero is a value of this structure of numbers.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes as many bytes as the structure has.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_sched_getattr, INIT, &raw mut attributes, size, 0)
    })?;
    // SAFETY: the structure says its size itself, as the kernel has filled it in.
    match Errno::result(unsafe {
        libc::syscall(libc::SYS_sched_setattr, 0, &raw mut attributes, 0)
    }) {
        // A better priority needs CAP_SYS_NICE or a limit that allows it.
        Err(errno) if errno != Errno::EPERM => Err(errno.into()),
        _ => Ok(()),
    }
}

/// `IOPRIO_WHO_PROCESS` of `linux/ioprio.h`.
const ONE_PROCESS: i32 = 1;

fn take_io_priority() -> io::Result<()> {
    // SAFETY: takes numbers only.
    let priority =
        Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_get, ONE_PROCESS, INIT) })?;
    // SAFETY: takes numbers only.
    match Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_set, ONE_PROCESS, 0, priority) }) {
        Err(errno) if errno != Errno::EPERM => Err(errno.into()),
        _ => Ok(()),
    }
}
