//! How the child changes itself.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::legacy_cgroups;
use crate::plan::step::ProcessStep;
use crate::sys::{clone, exec, keyring, landlock};

pub(super) fn perform_process_step(step: &ProcessStep) -> io::Result<()> {
    match step {
        ProcessStep::DieWithSupervisor => clone::die_with_parent()?,
        ProcessStep::JoinNetwork { path } => join_network(path)?,
        ProcessStep::LeaveLegacyCgroups { groups } => legacy_cgroups::leave(groups)?,
        ProcessStep::UnshareCgroup => unshare_cgroup()?,
        ProcessStep::Hostname { name } => rustix::system::sethostname(name.as_bytes())?,
        ProcessStep::SessionKeyring => keyring::join_session_keyring()?,
        ProcessStep::Affinity { cpus } => cpus.keep_thread()?,
        ProcessStep::Personality { machine } => machine.assume()?,
        ProcessStep::ScopeAbstractSockets => landlock::keep_from_abstract_sockets()?,
        ProcessStep::NoNewPrivileges => rustix::thread::set_no_new_privs(true)?,
        ProcessStep::BoundingSet { keep } => keep.bound_thread()?,
        ProcessStep::AmbientSet { capabilities } => capabilities.make_ambient()?,
        ProcessStep::Seccomp { filter } => filter.program()?.install()?,
        ProcessStep::ResetSignals => exec::reset_signals()?,
    }
    Ok(())
}

fn join_network(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let namespace = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = Some(LinkNameSpaceType::Network);
    Ok(rustix::thread::move_into_link_name_space(
        namespace.as_fd(),
        kind,
    )?)
}

fn unshare_cgroup() -> rustix::io::Result<()> {
    // SAFETY: a cgroup namespace does not touch the file descriptor table,
    // which is what unshare can pull away from under safe code.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) }
}
