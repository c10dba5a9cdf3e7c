//! Processes of a PID namespace whose parents are outside of it (`man 7
//! pid_namespaces`): the kernel lets the namespace's init end only when all processes
//! of the namespace have been waited for, these by their parents.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::pidfd;
use super::proc::{Stat, Status};

/// A process outside of a PID namespace with a child in it.
#[derive(Debug)]
pub struct Outsider {
    /// Its pid, in the caller's pid namespace.
    pub pid: i32,
    name: String,
    pidfd: OwnedFd,
}

impl Outsider {
    /// Whether a signal or a tracer has stopped it.
    pub fn is_stopped(&self) -> bool {
        Stat::of(self.pid).is_ok_and(Stat::is_stopped)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        pidfd::send_signal(self.pidfd.as_fd(), signal)
    }
}

impl fmt::Display for Outsider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.name)
    }
}

/// The processes outside with children in the namespace of `init`, an unreaped child
/// of the caller. The caller itself and the processes that it cannot see are left out.
pub fn outsiders(init: i32) -> io::Result<Vec<Outsider>> {
    let namespace = namespace(init)?;
    let mut found: Vec<Outsider> = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that is gone meanwhile is of no interest.
        if pid == init || self::namespace(pid).ok().as_ref() != Some(&namespace) {
            continue;
        }
        let Ok(parent) = parent(pid) else { continue };
        let is_known = found.iter().any(|known| known.pid == parent);
        let is_caller = parent == std::process::id().cast_signed();
        if is_known || is_caller || self::namespace(parent).ok().as_ref() == Some(&namespace) {
            continue;
        }
        found.extend(outsider(parent, pid));
    }
    Ok(found)
}

/// Whether two processes are in the same PID namespace.
pub fn is_common(one: i32, other: i32) -> io::Result<bool> {
    Ok(namespace(one)? == namespace(other)?)
}

/// The process, if it is still the parent of the child.
fn outsider(pid: i32, child: i32) -> Option<Outsider> {
    let pidfd = pidfd::open(pid).ok()?;
    let name = Status::of(pid).and_then(|status| status.name()).ok()?;
    // The child is not reaped, so the pidfd is its parent's.
    (parent(child).ok()? == pid).then_some(Outsider { pid, name, pidfd })
}

/// The parent of a process; 0 if the caller cannot see it.
fn parent(pid: i32) -> io::Result<i32> {
    Status::of(pid)?.parent()
}

/// The PID namespace of a process, which it has until it is reaped.
fn namespace(pid: i32) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid"))
}
