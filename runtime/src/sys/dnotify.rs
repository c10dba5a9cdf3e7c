//! Notice of changes in a directory, by a signal (`man 2 fcntl`, "File and directory
//! change notification").
//!
//! inotify would need an instance for each supervisor, and one user of the host may
//! have 128 of them by default (`man 7 inotify`, `max_user_instances`). This needs a
//! descriptor for each directory and nothing else.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// `F_NOTIFY` of `linux/fcntl.h`.
const F_NOTIFY: libc::c_int = 1024 + 2;

/// `DN_CREATE`, `DN_DELETE` and `DN_RENAME` of `linux/fcntl.h`.
const CHANGES: libc::c_int = 0x4 | 0x8 | 0x10;

/// Has the kernel send SIGIO to this process when an entry of the directory is created,
/// removed or renamed for the first time from now on, as long as this descriptor is
/// open. The process must have a handler, or the signal ends it (`man 7 signal`).
///
/// # Errors
///
/// The kernel's: `EINVAL` without `CONFIG_DNOTIFY` or with `fs.dir-notify-enable=0`.
pub fn signal_next_change(directory: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes an open descriptor and numbers.
    let answer = unsafe { libc::fcntl(directory.as_raw_fd(), F_NOTIFY, CHANGES) };
    Errno::result(answer)?;
    Ok(())
}
