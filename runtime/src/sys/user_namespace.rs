//! User namespaces and their id maps (`man 7 user_namespaces`).

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, Uid};

use super::clone::{self, Side};
use super::proc;

/// A user namespace without a process, of which only the id maps are of use.
pub(crate) fn without_process(uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
    let parent = rustix::process::getpid();
    // SAFETY: the child makes two system calls and sleeps. It takes no lock that
    // another thread of the caller could have held.
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

/// Until the parent kills it or dies.
fn sleep_under(parent: rustix::process::Pid) -> ! {
    let tied = clone::die_with_parent().is_ok();
    // It may have died before that. In a PID namespace that is not its own it is
    // not to be seen, but init is there, and takes all with it.
    let alive = || rustix::process::getppid().is_none_or(|seen| seen == parent);
    while tied && alive() {
        // SAFETY: sleeps; nothing but a signal, and that kills, ends it.
        unsafe { libc::pause() };
    }
    clone::exit(1)
}

/// Gives the fresh user namespace of a process its ids, once and for all.
pub(crate) fn write_id_maps(pid: i32, uid_map: &str, gid_map: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/{pid}/uid_map"), uid_map)?;
    std::fs::write(format!("/proc/{pid}/gid_map"), gid_map)
}

/// Who enters a user namespace is still who it was outside, mostly nobody.
pub(crate) fn become_root() -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_gid(Gid::ROOT)?;
    Ok(rustix::thread::set_thread_uid(Uid::ROOT)?)
}
