//! A process 1 for programs that are not made to be one: it reaps orphans, and
//! turns the requests that a host makes of an init into signals for any program
//! (`man 1 systemd-nspawn`, `--as-pid2`).

use std::convert::Infallible;
use std::ffi::{CStr, c_char};
use std::io;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, kill_process};

use crate::sys::clone::{self, Side};
use crate::sys::pidfd::{Exit, Process};

/// The stub's name in `ps`. Programs that show whole command lines show the
/// supervisor's: the stub is a copy of it.
const NAME: &CStr = c"(stub-init)";

/// Makes the calling process, which must be process 1, the stub, and returns in
/// process 2.
pub(crate) fn leave_behind() -> io::Result<()> {
    // Before there is a process 2, so that none of its signals is missed.
    let signals = SigSet::all();
    signals.thread_block()?;
    // SAFETY: the child that performs a plan has one thread.
    match unsafe { clone::clone(0, None) }? {
        Side::Child => {
            // A session of its own, with the console as its terminal, unless that
            // is a pipe.
            rustix::process::setsid()?;
            let _ = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin());
            crate::sys::exec::reset_signals()
        }
        Side::Parent(payload) => {
            let Err(_) = attend(&payload, &signals);
            clone::exit(1)
        }
    }
}

/// Serves as process 1 until the payload ends, and with it the container.
fn attend(payload: &Process, signals: &SigSet) -> io::Result<Infallible> {
    let payload = Pid::from_raw(payload.pid).ok_or(io::ErrorKind::InvalidInput)?;
    close_descriptors();
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_name(NAME)?;
    forget_environment();
    let requests = SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC)?;
    let mut reboot = false;
    loop {
        if let Some(exit) = reap_until(payload)? {
            end(exit, reboot);
        }
        let Some(request) = requests.read_signal()? else {
            continue;
        };
        let signal = request.ssi_signo.cast_signed();
        if let Some(request) = Request::from_signal(signal) {
            reboot = request == Request::Reboot;
            // It is not reaped, so the pid is its own. It may have ended already.
            let _ = kill_process(payload, Signal::TERM);
            let _ = kill_process(payload, Signal::CONT);
        }
    }
}

/// Closes all but the standard streams: the supervisor waits until the last copy
/// of the child's end of the connection is closed.
fn close_descriptors() {
    // SAFETY: the stub does not return, so the owners of the descriptors are never
    // used again.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// A request that a host makes of an init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Halt,
    Reboot,
}

impl Request {
    /// As in the Container Interface and `man 1 init`; SIGTERM asks any program to
    /// end.
    fn from_signal(signal: i32) -> Option<Self> {
        match (signal, signal - libc::SIGRTMIN()) {
            (libc::SIGTERM, _) | (_, 3 | 4) => Some(Self::Halt),
            (libc::SIGINT, _) | (_, 5 | 6) => Some(Self::Reboot),
            _ => None,
        }
    }
}

/// Reaps all children that have ended; returns the payload's end, if it is among
/// them.
fn reap_until(payload: Pid) -> io::Result<Option<Exit>> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == payload => {
                let code = status.exit_status().map(Exit::Code);
                let signal = status.terminating_signal().map(Exit::Signal);
                return Ok(code.or(signal));
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Ends process 1; the kernel kills all other processes with it.
fn end(exit: Exit, reboot: bool) -> ! {
    if reboot {
        // SAFETY: takes a number only. In a pid namespace it ends this process
        // and tells its parent why (man 2 reboot); without CAP_SYS_BOOT it fails.
        unsafe { libc::reboot(libc::RB_AUTOBOOT) };
    }
    clone::exit(exit.status())
}

unsafe extern "C" {
    static environ: *const *mut c_char;
}

/// The stub is a copy of the supervisor, whose environment is its caller's:
/// `/proc/1/environ` would show it to root inside.
fn forget_environment() {
    // SAFETY: the process has one thread and reads no variable any more; each
    // pointer up to the null one leads to a string of its own.
    unsafe {
        let mut variable = environ;
        while !variable.is_null() && !(*variable).is_null() {
            let length = libc::strlen(*variable);
            std::ptr::write_bytes(*variable, 0, length);
            variable = variable.add(1);
        }
    }
}
