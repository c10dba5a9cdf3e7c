//! Children of the calling process (`man 2 clone`, clone3).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::pidfd::Process;

/// The side of [`clone`] that the caller is on.
pub(crate) enum Side {
    Child,
    Parent(Process),
}

// Flags of `linux/sched.h` that do not fit libc's type for them.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Clones a child into fresh namespaces (`CLONE_NEW*`) and into a cgroup, so that
/// it is never a moment outside of that. With `CLONE_PARENT` it is not the
/// caller's child but its sibling.
///
/// No handler of the caller's is left in the child, where it would write to a
/// pipe that the caller reads. Signals that the caller ignores or blocks stay
/// ignored or blocked, see [`reset_signals`](super::exec::reset_signals).
///
/// # Safety
///
/// The caller has one thread: in the child only that one goes on, and a lock
/// held by another would be held forever.
pub(crate) unsafe fn clone(namespaces: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is the documented neutral value of every field.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    let flags = (libc::CLONE_PIDFD | namespaces).cast_unsigned();
    arguments.flags = u64::from(flags) | CLONE_CLEAR_SIGHAND;
    arguments.pidfd = &raw mut pidfd as u64;
    // A sibling ends with the caller's own signal, and none may be given.
    if namespaces & libc::CLONE_PARENT == 0 {
        arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    }
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: without CLONE_VM the child has its own copy of all memory, as
    // after fork, and the caller vouches for the single thread.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match i32::try_from(pid) {
        Ok(0) => Ok(Side::Child),
        // SAFETY: the kernel has just stored a descriptor that nothing else
        // knows (CLONE_PIDFD).
        Ok(pid @ 1..) => Ok(Side::Parent(Process::new(pid, unsafe {
            OwnedFd::from_raw_fd(pidfd)
        }))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends the calling process at once, without what its parent, of which it is a
/// copy, registered to be done at its own exit.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: it runs no code of this process.
    unsafe { libc::_exit(status) }
}

/// Has the kernel kill the calling process when its parent dies. That holds until
/// the process changes a user or group id (`man 2 prctl`, PR_SET_PDEATHSIG).
pub(crate) fn die_with_parent() -> io::Result<()> {
    let kill = Some(rustix::process::Signal::KILL);
    Ok(rustix::process::set_parent_process_death_signal(kill)?)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

    use super::*;
    use crate::sys::pidfd::Exit;

    extern "C" fn handle(_: libc::c_int) {}

    #[test]
    fn a_child_has_no_handler_of_its_parent() {
        let action = |handler| SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        let set = |handler| {
            // SAFETY: the handler does nothing.
            unsafe { sigaction(Signal::SIGUSR2, &action(handler)) }.expect("a valid signal")
        };
        let before = set(SigHandler::Handler(handle));
        // SAFETY: the child makes one system call, and takes no lock.
        match unsafe { clone(0, None) }.expect("a child") {
            Side::Child => {
                let handler = set(SigHandler::SigDfl).handler();
                exit(i32::from(!matches!(handler, SigHandler::SigDfl)));
            }
            Side::Parent(child) => assert_eq!(child.wait().ok(), Some(Exit::Code(0))),
        }
        let own = set(before.handler()).handler();
        assert!(matches!(own, SigHandler::Handler(_)), "the parent keeps it");
    }
}
