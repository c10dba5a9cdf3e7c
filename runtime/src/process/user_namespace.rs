//! A container's init in a user namespace, and the child that mounts for it
//! (`man 7 user_namespaces`).
//!
//! Only the host's root can show files with other owners, bind device nodes and
//! mount what the kernel gives to nobody else; only what a process in the user
//! namespace makes of namespaces belongs to root inside. So there are two:
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

use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

use super::handshake::{self, ChildEnd, ParentEnd};
use crate::spec::idmap::IdMap;
use crate::sys::clone::{self, Side};
use crate::sys::pidfd::{Exit, Process};
use crate::sys::{capabilities, proc, user_namespace};

/// What the child holds of the init that it has cloned.
pub(crate) struct Waiting {
    talk: ParentEnd,
    /// Its user namespace.
    pub user_namespace: OwnedFd,
    ids: IdMap,
    process: Process,
}

/// Which of the two a process is after the clone.
pub(crate) enum Cloned {
    /// The child goes on.
    Child(Waiting),
    /// Init waits for the child.
    Init(ChildEnd),
}

/// Clones init, with these further namespaces, as a child of the caller's
/// parent.
///
/// # Safety
///
/// The caller has one thread.
pub(crate) unsafe fn clone_init(namespaces: i32, ids: IdMap) -> io::Result<Cloned> {
    let (ours, theirs) = handshake::pair()?;
    // SAFETY: the caller has one thread.
    let init = match unsafe { clone::clone(namespaces | libc::CLONE_PARENT, None) }? {
        Side::Child => return Ok(Cloned::Init(theirs)),
        Side::Parent(init) => init,
    };
    user_namespace::write_id_maps(init.pid, &ids.line(), &ids.line())?;
    let user_namespace = proc::open_namespace(init.pid, "user")?;
    rustix::thread::move_into_thread_name_spaces(init.as_fd(), joined(namespaces))?;
    act_for_root_of(ids)?;
    clone::die_with_parent()?;
    Ok(Cloned::Child(Waiting {
        talk: ours,
        user_namespace,
        ids,
        process: init,
    }))
}

/// What the child joins, so that it mounts what init is to see of them: all but
/// the user namespace, in which it would lose the host's capabilities.
fn joined(namespaces: i32) -> ThreadNameSpaceType {
    let joined = namespaces & !(libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    ThreadNameSpaceType::from_bits_retain(joined.cast_unsigned())
}

/// Whatever the calling thread makes in a file system from now on belongs to
/// root inside. Its powers stay (`man 7 capabilities`, "Effect of user ID
/// changes on capabilities", takes them away with the file system user id).
fn act_for_root_of(ids: IdMap) -> io::Result<()> {
    nix::unistd::setfsgid(ids.root().into());
    nix::unistd::setfsuid(ids.root().into());
    capabilities::make_permitted_effective()
}

impl Waiting {
    /// Init, for who supervises it.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// A user namespace to show files through, in which what is that of this user
    /// or of this group on the disk is that of one number inside.
    pub(crate) fn with_account_as(&self, uid: u32, gid: u32, inside: u32) -> io::Result<OwnedFd> {
        let shown = self
            .ids
            .to_host(inside)
            .ok_or_else(|| io::Error::other(format!("the user namespace has no user {inside}")))?;
        user_namespace::without_process(&format!("{uid} {shown} 1"), &format!("{gid} {shown} 1"))
    }

    /// All that the host's root has to do is done.
    pub(crate) fn go(&self) -> io::Result<()> {
        self.talk.go()
    }

    /// Does something as a process of init's PID namespace: joined, it holds
    /// for children only (`man 7 pid_namespaces`).
    pub(crate) fn in_pid_namespace(&self, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        // SAFETY: the child of the supervisor has one thread, as that had.
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

/// Init's side: waits for the child, and is root inside with mounts of its own.
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
