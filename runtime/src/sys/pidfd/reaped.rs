//! The end of processes that the kernel has reaped, not their parent.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use super::Exit;

/// The first kernel whose pidfds remember how their process ended
/// (`PIDFD_INFO_EXIT` of `linux/pidfd.h`).
const FIRST_TO_REMEMBER: (u32, u32) = (6, 15);

/// Whether this kernel remembers the end of a process that it has reaped itself.
/// On others only the parent learns it, by reaping.
pub fn is_remembered() -> bool {
    let name = rustix::system::uname();
    version(&name.release().to_string_lossy()).is_some_and(|version| version >= FIRST_TO_REMEMBER)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']);
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// The end of a child that is reaped, or about to be.
pub(super) fn exit_of(pidfd: BorrowedFd<'_>) -> io::Result<Exit> {
    await_reaped(pidfd)?;
    // SAFETY: all-zero is a value of this structure of numbers.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = libc::PIDFD_INFO_EXIT.into();
    // SAFETY: the number of the request has the size of the structure in it; the
    // kernel writes no more.
    let answer = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) };
    nix::errno::Errno::result(answer)?;
    if info.mask & u64::from(libc::PIDFD_INFO_EXIT) == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // As wait(2) encodes it.
    let status = info.exit_code;
    Ok(if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    })
}

/// Waits until the process is reaped, a moment after its end: its pidfd hangs up
/// then.
fn await_reaped(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::empty())];
    while retry_on_intr(|| poll(&mut fds, Some(&A_MOMENT)))? == 0 {}
    Ok(())
}

/// The interval between two looks: not every kernel ends the wait.
const A_MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 1_000_000,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_begins_with_two_numbers() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("7.0-rc1"), Some((7, 0)));
        assert_eq!(version("6"), None);
        assert_eq!(version("Linux"), None);
    }
}
