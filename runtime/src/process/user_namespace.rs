//! A container's init in a user namespace, and the child that mounts for it
//! (`man 7 user_namespaces`).
//!
//! Only the host's root can show files with other owners, bind device nodes and
//! mount file systems of every kind; only namespaces that a process in the user
//! namespace makes belong to root inside. So there are two processes:
//!
//! ```text
//! child, the host's root              init, root of the container
//! clones init into the namespaces ──▶ waits
//! writes its id map
//! joins all but user and mount
//! mounts, pivots, detaches the host
//!         ── go ────────────────────▶ becomes root inside
//! exits                               copies the mounts
//! ```
//!
//! With the copy the kernel locks the mounts (`man 7 mount_namespaces`,
//! "Restrictions on mount namespaces"): root inside can take none away and make
//! none writable, whatever its capabilities.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::Resource;
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

use super::handshake::{self, ChildEnd, ParentEnd};
use crate::spec::idmap::IdMap;
use crate::sys::clone::{self, Side};
use crate::sys::pidfd::{Exit, Process};
use crate::sys::{capabilities, proc, user_namespace};

/// The init that the child has cloned, which waits for it.
pub(crate) struct Waiting {
    channel: ParentEnd,
    /// Its user namespace.
    pub user_namespace: OwnedFd,
    ids: IdMap,
    process: Process,
}

/// The two processes after the clone.
pub(crate) enum Cloned {
    /// The child goes on.
    Child(Waiting),
    /// Init waits for the child.
    Init(ChildEnd),
}

/// Clones init, with these further namespaces, as a child of the caller's parent. The
/// user namespace belongs to `owner`; its users have at most `tasks` together.
///
/// # Safety
///
/// The caller has one thread.
pub(crate) unsafe fn clone_init(
    namespaces: i32,
    ids: IdMap,
    owner: u32,
    tasks: Option<u64>,
) -> io::Result<Cloned> {
    let (ours, theirs) = handshake::pair()?;
    let before = rustix::process::getrlimit(Resource::Nproc);
    match tasks {
        Some(tasks) => user_namespace::act_as_limited(owner, tasks, before)?,
        None => user_namespace::act_as(owner)?,
    }
    // SAFETY: the caller has one thread.
    let init = match unsafe { clone::clone(namespaces | libc::CLONE_PARENT, None) }? {
        Side::Child => return Ok(Cloned::Init(theirs)),
        Side::Parent(init) => init,
    };
    user_namespace::act_as(user_namespace::HOSTS_ROOT)?;
    rustix::process::setrlimit(Resource::Nproc, before)?;
    user_namespace::write_id_maps(init.pid, &ids.line(), &ids.line())?;
    let user_namespace = proc::open_namespace(init.pid, "user")?;
    rustix::thread::move_into_thread_name_spaces(init.as_fd(), joined(namespaces))?;
    act_for_root_of(ids)?;
    clone::die_with_parent()?;
    Ok(Cloned::Child(Waiting {
        channel: ours,
        user_namespace,
        ids,
        process: init,
    }))
}

/// The namespaces that the child joins, so that its mounts show theirs: all but
/// the user namespace, in which the child would lose the host's capabilities.
fn joined(namespaces: i32) -> ThreadNameSpaceType {
    let joined = namespaces & !(libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    ThreadNameSpaceType::from_bits_retain(joined.cast_unsigned())
}

/// Makes all files that the calling thread makes from now on belong to root
/// inside. The change of the file system user id takes capabilities away
/// (`man 7 capabilities`, "Effect of user ID changes on capabilities"); they are
/// restored.
fn act_for_root_of(ids: IdMap) -> io::Result<()> {
    nix::unistd::setfsgid(ids.root().into());
    nix::unistd::setfsuid(ids.root().into());
    capabilities::make_permitted_effective()
}

impl Waiting {
    /// Init's process, for its supervisor.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// A user namespace to show files through: files of this user and group on the
    /// disk are shown as those of one number inside.
    pub(crate) fn map_account(&self, uid: u32, gid: u32, inside: u32) -> io::Result<OwnedFd> {
        let shown = self
            .ids
            .to_host(inside)
            .ok_or_else(|| io::Error::other(format!("the user namespace has no user {inside}")))?;
        map_ids(uid, gid, shown)
    }

    /// Lets init continue: everything that needs the host's root is done.
    pub(crate) fn go(&self) -> io::Result<()> {
        self.channel.go()
    }

    /// Does something in a process of init's PID namespace: the child has joined
    /// it, and that holds for the child's children only (`man 7 pid_namespaces`).
    pub(crate) fn in_pid_namespace(&self, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        // SAFETY: the child has one thread, as the supervisor had.
        match unsafe { clone::clone(0, None) }? {
            Side::Parent(helper) => match helper.wait()? {
                Exit::Code(0) => Ok(()),
                Exit::Code(errno) => Err(io::Error::from_raw_os_error(errno)),
                Exit::Signal(_) => Err(io::Error::other("a helper was killed")),
            },
            Side::Child => {
                let answer = act();
                let errno = answer.err().map(|cause| cause.raw_os_error());
                let status = errno.map_or(0, |errno| errno.unwrap_or(libc::EIO));
                clone::exit(status)
            }
        }
    }
}

/// Init's side: waits for the child, and becomes root inside with mounts of its
/// own.
pub(crate) fn take_over(child: &ChildEnd) -> io::Result<()> {
    child.await_go()?;
    user_namespace::become_root()?;
    clone::die_with_parent()?;
    // The working directory may be one of the host's.
    rustix::process::chdir("/")?;
    // SAFETY: a mount namespace does not touch the file descriptor table, which
    // is what unshare can pull away from under safe code.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    Ok(())
}

/// A namespace that shows one user and one group as this id of the host.
pub(crate) fn map_ids(uid: u32, gid: u32, shown: u32) -> io::Result<OwnedFd> {
    user_namespace::without_process(&format!("{uid} {shown} 1"), &format!("{gid} {shown} 1"))
}
