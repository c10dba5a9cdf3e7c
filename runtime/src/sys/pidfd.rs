//! Processes, held by their pidfd so that a recycled pid is never taken for one of
//! them (`man 2 pidfd_open`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::proc::Stat;

pub mod reaped;

/// A child of the calling process.
#[derive(Debug)]
pub struct Process {
    /// Its pid, in the caller's pid namespace.
    pub pid: i32,
    pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
}

impl Exit {
    /// The status as a shell has it: for a killed process, 128 and the number of
    /// the signal.
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl Process {
    /// A child by its pid and pidfd, whichever process has cloned it for the
    /// caller.
    pub(crate) fn new(pid: i32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd }
    }

    /// Waits until it ends, and reaps it, unless the kernel does that because the
    /// caller ignores `SIGCHLD` (`man 2 sigaction`). Then it fails with `ECHILD`
    /// on kernels that do not remember, see [`reaped::is_remembered`].
    pub fn wait(&self) -> io::Result<Exit> {
        let child = WaitId::PidFd(self.as_fd());
        let status = match retry_on_intr(|| waitid(child.clone(), WaitIdOptions::EXITED)) {
            Err(Errno::CHILD) if reaped::is_remembered() => {
                return reaped::exit_of(self.as_fd());
            }
            answer => answer?,
        };
        status
            .and_then(exit)
            .ok_or_else(|| io::Error::other("ended neither by exit nor by signal"))
    }

    /// How it ended, as [`Process::wait`] does; `None` if it has not ended.
    pub fn try_wait(&self) -> io::Result<Option<Exit>> {
        let child = WaitId::PidFd(self.as_fd());
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = retry_on_intr(|| waitid(child.clone(), options))?;
        Ok(status.and_then(exit))
    }

    /// Whether it has begun to end, or has ended and is not reaped. Its namespaces
    /// go before a wait for it returns.
    pub fn is_ending(&self) -> io::Result<bool> {
        Stat::of(self.pid).map(Stat::is_ending)
    }

    /// Sends a signal, realtime ones included.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        send_signal(self.as_fd(), signal)
    }

    /// Sends a signal to the process group that the process leads, as a terminal
    /// does (`man 7 credentials`).
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        signal_group(self.pid, self.as_fd(), signal)
    }
}

fn exit(status: WaitIdStatus) -> Option<Exit> {
    let code = status.exit_status().map(Exit::Code);
    code.or(status.terminating_signal().map(Exit::Signal))
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Sends a signal, realtime ones included, through a pidfd.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    pidfd_send_signal(pidfd, signal, 0)
}

/// Sends a signal to the process group that a process leads, which is not reaped.
pub fn signal_group(pid: i32, pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    match pidfd_send_signal(pidfd, signal, libc::PIDFD_SIGNAL_PROCESS_GROUP) {
        // Before Linux 6.9. No other group gets the number until the process is
        // reaped.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        answer => return answer,
    }
    let group = rustix::process::Pid::from_raw(pid);
    let signal = rustix::process::Signal::from_named_raw(signal);
    let (Some(group), Some(signal)) = (group, signal) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Ok(rustix::process::kill_process_group(group, signal)?)
}

fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the kernel checks the signal's number; no memory is passed.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            flags,
        )
    };
    nix::errno::Errno::result(answer)?;
    Ok(())
}

/// A pidfd of the process that has the pid now.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(
        pid,
        rustix::process::PidfdFlags::empty(),
    )?)
}

/// The signal that asks a booted system for a clean halt (Container Interface;
/// `man 1 systemd`, SIGNALS).
pub fn halt_signal() -> i32 {
    libc::SIGRTMIN() + 3
}
