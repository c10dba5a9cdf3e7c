//! How the child does what it does to itself.

use std::io;

use crate::plan::step::ProcessStep;
use crate::sys::{exec, keyring};

pub(super) fn perform(step: &ProcessStep) -> io::Result<()> {
    match step {
        ProcessStep::Hostname { name } => rustix::system::sethostname(name.as_bytes())?,
        ProcessStep::SessionKeyring => keyring::join_session_keyring()?,
        ProcessStep::Affinity { cpus } => cpus.keep_thread()?,
        ProcessStep::Personality { machine } => machine.assume()?,
        ProcessStep::NoNewPrivileges => rustix::thread::set_no_new_privs(true)?,
        ProcessStep::BoundingSet { keep } => keep.bound_thread()?,
        ProcessStep::AmbientSet { capabilities } => capabilities.make_ambient()?,
        ProcessStep::Seccomp { filter } => filter.program()?.install()?,
        ProcessStep::ResetSignals => exec::reset_signals()?,
    }
    Ok(())
}
