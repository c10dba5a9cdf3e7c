//! User namespaces and their id maps (`man 7 user_namespaces`).

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, Uid};
use rustix::process::{Resource, Rlimit};

use super::clone::{self, Side};
use super::{capabilities, proc};

/// A user namespace without a process, for its id maps.
pub(crate) fn without_process(uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
    let parent = rustix::process::getpid();
    // SAFETY: the child makes two system calls and sleeps. It takes no lock that
    // another thread of the caller may hold.
    let holder = match unsafe { clone::clone(libc::CLONE_NEWUSER, None) }? {
        Side::Parent(holder) => holder,
        Side::Child => sleep_under(parent),
    };
    let namespace = write_id_maps(holder.pid, uid_map, gid_map)
        .and_then(|()| proc::open_namespace(holder.pid, "user"));
    holder.signal(libc::SIGKILL)?;
    holder.wait()?;
    namespace
}

/// Sleeps until the parent kills the process or dies.
fn sleep_under(parent: rustix::process::Pid) -> ! {
    let tied = clone::die_with_parent().is_ok();
    // It may have died before that. From a PID namespace that is not its own the
    // parent cannot be seen, but that namespace's init ends with it.
    let alive = || rustix::process::getppid().is_none_or(|seen| seen == parent);
    while tied && alive() {
        // SAFETY: sleeps; only a signal ends it, and that kills.
        unsafe { libc::pause() };
    }
    clone::exit(1)
}

/// Sets the ids of the new user namespace of a process, which cannot change later.
pub(crate) fn write_id_maps(pid: i32, uid_map: &str, gid_map: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/{pid}/uid_map"), uid_map)?;
    std::fs::write(format!("/proc/{pid}/gid_map"), gid_map)
}

/// The host's root.
pub(crate) const HOSTS_ROOT: u32 = 0;

/// Makes the calling thread, which is the host's root, act as a user, with the same
/// capabilities. A user namespace that it makes belongs to that user, and in those that
/// do already it has all capabilities.
pub(crate) fn act_as(user: u32) -> io::Result<()> {
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::from_raw(user), Uid::ROOT)?;
    capabilities::make_permitted_effective()
}

/// The same with a limit on the tasks of all users together in a user namespace that the
/// thread makes. The namespace takes over the thread's soft RLIMIT_NPROC unless its real
/// user is the host's root (`kernel/user_namespace.c`, enforced_nproc_rlimit, since Linux
/// 5.14). The hard limit stays as it was `before`: not every caller can raise it.
pub(crate) fn act_as_limited(user: u32, tasks: u64, before: Rlimit) -> io::Result<()> {
    let maximum = before.maximum;
    let limit = Rlimit {
        current: Some(maximum.map_or(tasks, |maximum| tasks.min(maximum))),
        maximum,
    };
    rustix::process::setrlimit(Resource::Nproc, limit)?;
    let user = Uid::from_raw(user);
    rustix::thread::set_thread_res_uid(user, user, Uid::ROOT)?;
    capabilities::make_permitted_effective()
}

/// Becomes root inside: a process that enters a user namespace keeps its ids, which
/// are mostly those of no user there.
pub(crate) fn become_root() -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_gid(Gid::ROOT)?;
    Ok(rustix::thread::set_thread_uid(Uid::ROOT)?)
}
