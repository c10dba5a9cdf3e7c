//! How the child does what it does to itself.

use std::io;

use nix::sys::signal::{SigHandler, SigSet, Signal};

use crate::step::ProcessStep;

pub(super) fn perform(step: &ProcessStep) -> io::Result<()> {
    match step {
        ProcessStep::Hostname { name } => rustix::system::sethostname(name.as_bytes())?,
        ProcessStep::SessionKeyring => join_session_keyring()?,
        ProcessStep::Affinity { cpus } => cpus.keep_thread()?,
        ProcessStep::Personality { machine } => machine.assume()?,
        ProcessStep::NoNewPrivileges => rustix::thread::set_no_new_privs(true)?,
        ProcessStep::BoundingSet { keep } => keep.bound_thread()?,
        ProcessStep::AmbientSet { capabilities } => capabilities.make_ambient()?,
        ProcessStep::Seccomp { filter } => filter.install()?,
        ProcessStep::ResetSignals => reset_signals()?,
    }
    Ok(())
}

/// `KEYCTL_JOIN_SESSION_KEYRING` of `linux/keyctl.h`.
const JOIN_SESSION_KEYRING: libc::c_ulong = 1;

/// An empty one that nobody else can join by its name.
pub(crate) fn join_session_keyring() -> io::Result<()> {
    let nameless = std::ptr::null::<libc::c_char>();
    // SAFETY: without a name, no memory is passed.
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, nameless) };
    if answer >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // A kernel without keyrings has none to part from; and in a container
        // of another manager, its filter has seen to that.
        error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(()),
        error => Err(error),
    }
}

/// What the caller ignores stays ignored through execve (`man 2 execve`), and a
/// Rust program ignores SIGPIPE from its start.
pub(crate) fn reset_signals() -> io::Result<()> {
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            // SAFETY: takes a handler away and installs none.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
        }
    }
    Ok(SigSet::empty().thread_set_mask()?)
}
