//! Restrictions that an unprivileged process puts on itself (`man 7 landlock`).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// `struct landlock_ruleset_attr` of `linux/landlock.h`.
#[repr(C)]
struct Ruleset {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`.
const ABSTRACT_SOCKETS: u64 = 1;
/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: u32 = 1;
/// The first version with scopes (Linux 6.12).
const WITH_SCOPES: i64 = 6;

/// Keeps the calling thread and its later children from abstract sockets of all other
/// processes. A kernel without this has no effect. The process gains no privileges by
/// executing programs already.
pub(crate) fn keep_from_abstract_sockets() -> io::Result<()> {
    if create(None, VERSION).unwrap_or(0) < WITH_SCOPES {
        return Ok(());
    }
    let ruleset = Ruleset {
        handled_access_fs: 0,
        handled_access_net: 0,
        scoped: ABSTRACT_SOCKETS,
    };
    let descriptor = i32::try_from(create(Some(&ruleset), 0)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for this process.
    let ruleset = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: takes numbers only.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    Errno::result(answer)?;
    Ok(())
}

/// Makes a ruleset, or tells the version of the interface.
fn create(ruleset: Option<&Ruleset>, flags: u32) -> io::Result<i64> {
    let size = ruleset.map_or(0, size_of_val);
    let ruleset = ruleset.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the kernel reads as many bytes as the structure has, or none.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ruleset, size, flags) };
    Ok(Errno::result(answer)?)
}
