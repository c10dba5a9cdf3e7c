//! Properties that a process inherits from its parent: limits, priority,
//! processors, keys. A process that enters takes those of the container's init.

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
    for resource in 0..RESOURCES {
        take_limit(resource)?;
    }
    take_scheduling()?;
    let init = Pid::from_raw(INIT);
    rustix::thread::sched_setaffinity(None, &rustix::thread::sched_getaffinity(init)?)?;
    take_io_priority()?;
    // The caller's keys stay out of the container's reach.
    keyring::join_session_keyring()
}

/// The number of limits (`RLIM_NLIMITS` of `asm-generic/resource.h`).
const RESOURCES: u32 = 16;

/// The soft limit on open files that systemd gives to programs
/// (`man 5 systemd-system.conf`, `DefaultLimitNOFILE=`). systemd raises its own,
/// which programs that use `select` cannot bear (`man 2 select`, BUGS).
const OPEN_FILES_SOFT: u64 = 1024;

fn take_limit(resource: u32) -> io::Result<()> {
    let mut limit = limit_of(INIT, resource)?;
    if resource == libc::RLIMIT_NOFILE {
        limit.rlim_cur = OPEN_FILES_SOFT.min(limit.rlim_max);
    }
    let own = limit_of(0, resource)?;
    if (own.rlim_cur, own.rlim_max) == (limit.rlim_cur, limit.rlim_max) {
        return Ok(());
    }
    match set_limit(resource, limit) {
        // Raising a hard limit needs CAP_SYS_RESOURCE, which root on the host
        // may lack, as in another container.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            limit.rlim_max = limit.rlim_max.min(own.rlim_max);
            limit.rlim_cur = limit.rlim_cur.min(limit.rlim_max);
            set_limit(resource, limit)
        }
        answer => answer,
    }
}

fn limit_of(pid: i32, resource: u32) -> io::Result<libc::rlimit64> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one `rlimit64` to where it is told, and reads
    // none.
    Errno::result(unsafe { libc::prlimit64(pid, resource, std::ptr::null(), &raw mut limit) })?;
    Ok(limit)
}

fn set_limit(resource: u32, limit: libc::rlimit64) -> io::Result<()> {
    // SAFETY: the kernel reads one `rlimit64`, and writes none.
    Errno::result(unsafe { libc::prlimit64(0, resource, &raw const limit, std::ptr::null_mut()) })?;
    Ok(())
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
