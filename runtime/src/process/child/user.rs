//! How the child becomes a user of the container.

use std::io;

use rustix::fs::{Gid, Uid};

use crate::rootfs::Root;
use crate::rootfs::find_account;
use crate::spec::accounts::{Account, User};
use crate::sys::{capabilities, clone};

/// Gives the calling process to the user, and its streams, which it could not
/// open again otherwise. All capabilities stay effective until a program is
/// executed: the rest of the plan needs them (`man 7 capabilities`, "Effect of
/// user ID changes").
pub(super) fn become_user(container: &Root, user: &User) -> io::Result<Account> {
    let account = find_account(container, user).ok_or_else(|| {
        io::Error::other(
            "the container's /etc/passwd has no such user; NixOS makes its users while it boots",
        )
    })?;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    for stream in [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ] {
        // Of /dev/null, which is the host's, it fails and need not succeed.
        let _ = rustix::fs::fchown(stream, Some(uid), Some(gid));
    }
    let groups: Vec<_> = account.groups.iter().copied().map(Gid::from_raw).collect();
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    capabilities::make_permitted_effective()?;
    // The kernel forgets it with the change of the user.
    clone::die_with_parent()?;
    Ok(account)
}
