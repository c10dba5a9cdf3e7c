//! Processes that root's commands have started in the container. Each ends with its
//! command, as on a terminal that hangs up: the command hands on its own end and the
//! signals that it can catch, and SIGKILL is not one of them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use runtime::sys::pid_namespace;
use runtime::sys::pidfd;

/// A process that a command has started.
#[derive(Debug)]
pub struct Entered {
    pid: i32,
    pidfd: OwnedFd,
}

impl Entered {
    /// The process of this pid, if it is in the PID namespace of `init`, an unreaped
    /// child of the caller.
    pub fn find(pid: i32, init: i32) -> io::Result<Option<Self>> {
        let pidfd = pidfd::open(pid)?;
        let is_inside = pid_namespace::is_common(pid, init)?;
        // It has the pid still, so what was read is its own.
        pidfd::send_signal(pidfd.as_fd(), 0)?;
        Ok(is_inside.then_some(Self { pid, pidfd }))
    }

    /// Hangs up: the process and its group get the signals of a terminal that is gone
    /// (`man 2 vhangup`, `man 7 credentials`), unless the process has ended.
    pub fn hang_up(self) {
        for signal in [libc::SIGHUP, libc::SIGCONT] {
            if pidfd::send_signal(self.pidfd.as_fd(), 0).is_ok() {
                let _ = pidfd::signal_group(self.pid, self.pidfd.as_fd(), signal);
            }
        }
    }
}
