//! How a process ended that its parent has not reaped, but the kernel.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::Exit;

/// The first kernel that remembers for a pidfd how its process ended
/// (`PIDFD_INFO_EXIT` of `linux/pidfd.h`).
const FIRST_TO_REMEMBER: (u32, u32) = (6, 15);

/// Whether this kernel tells of a process that it has reaped itself how it
/// ended. Else only its parent can know, by reaping it.
pub fn is_remembered() -> bool {
    let name = rustix::system::uname();
    version(&name.release().to_string_lossy()).is_some_and(|version| version >= FIRST_TO_REMEMBER)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']);
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// How a child ended that is reaped, or about to be.
pub(super) fn exit_of(pidfd: BorrowedFd<'_>) -> io::Result<Exit> {
    await_reaped(pidfd)?;
    // SAFETY: all-zero is a value of this structure of numbers.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = libc::PIDFD_INFO_EXIT.into();
    // SAFETY: the kernel writes no more than the structure that the request's
    // number has the size of.
    let answer = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
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

/// It is dead a moment before it is reaped; a pidfd hangs up then.
fn await_reaped(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::empty())];
        match rustix::event::poll(&mut fds, Some(&A_MOMENT)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Not every kernel wakes up who waits for this.
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
