//! How the child does what it does to itself.

use std::io;

use nix::sys::signal::{SigHandler, SigSet, Signal};

use crate::process;
use crate::step::ProcessStep;

pub(super) fn perform(step: &ProcessStep) -> io::Result<()> {
    match step {
        ProcessStep::Hostname { name } => rustix::system::sethostname(name.as_bytes())?,
        ProcessStep::SessionKeyring => process::join_session_keyring()?,
        ProcessStep::Affinity { cpus } => cpus.keep_thread()?,
        ProcessStep::Personality { machine } => machine.assume()?,
        ProcessStep::NoNewPrivileges => rustix::thread::set_no_new_privs(true)?,
        ProcessStep::BoundingSet { keep } => keep.bound_thread()?,
        ProcessStep::AmbientSet { capabilities } => capabilities.make_ambient()?,
        ProcessStep::Seccomp { filter } => filter.program().install()?,
        ProcessStep::ResetSignals => reset_signals()?,
    }
    Ok(())
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
