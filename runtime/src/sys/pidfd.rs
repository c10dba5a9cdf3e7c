//! Processes, held by their pidfd so that a recycled pid is never mistaken for
//! one of them (`man 2 pidfd_open`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions};

pub mod reaped;

/// A child of the calling process.
#[derive(Debug)]
pub struct Process {
    /// Its pid, in the caller's pid namespace.
    pub pid: i32,
    pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

impl Exit {
    /// The status that a shell gives: 128 and the signal's number for one that
    /// was killed.
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl Process {
    /// A child that another process has made for the caller (`CLONE_PARENT`).
    pub(crate) fn adopted(pid: i32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd }
    }

    /// Waits until it ends, and reaps it, unless the kernel has been told to do
    /// that (`SIGCHLD` ignored, `man 2 sigaction`). Then it fails with `ECHILD`
    /// where the kernel does not remember.
    pub fn wait(&self) -> io::Result<Exit> {
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.as_fd()), WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CHILD) if reaped::is_remembered() => {
                    return reaped::exit_of(self.as_fd());
                }
                answer => {
                    let status = answer?;
                    let code = status.as_ref().and_then(|status| status.exit_status());
                    let signal = status
                        .as_ref()
                        .and_then(|status| status.terminating_signal());
                    return match (code, signal) {
                        (Some(code), _) => Ok(Exit::Code(code)),
                        (None, Some(signal)) => Ok(Exit::Signal(signal)),
                        (None, None) => {
                            Err(io::Error::other("ended neither by exit nor by signal"))
                        }
                    };
                }
            }
        }
    }

    /// Whether it is on its way out, or gone and not waited for. Its namespaces
    /// go before anybody can wait for it.
    pub fn is_ending(&self) -> io::Result<bool> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        flags(&stat)
            .map(|flags| flags & PF_EXITING != 0)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Sends a signal, realtime ones included.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        send_signal(self.as_fd(), signal)
    }

    /// Sends a signal to the process group that it leads, as a terminal does
    /// (`man 7 credentials`).
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        match pidfd_send_signal(self.as_fd(), signal, libc::PIDFD_SIGNAL_PROCESS_GROUP) {
            // Before Linux 6.9. The group's number stays its own until the
            // process is waited for.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            answer => return answer,
        }
        let group = rustix::process::Pid::from_raw(self.pid);
        let signal = rustix::process::Signal::from_named_raw(signal);
        let (Some(group), Some(signal)) = (group, signal) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok(rustix::process::kill_process_group(group, signal)?)
    }
}

/// Of a process that has begun to end (`linux/sched.h` of the kernel).
const PF_EXITING: u32 = 0x4;

/// The kernel's flags of a process, the seventh field behind the program's name,
/// which may contain anything (`man 5 proc_pid_stat`).
fn flags(stat: &str) -> Option<u32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(6)?.parse().ok()
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Sends a signal, realtime ones included, through a pidfd.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    pidfd_send_signal(pidfd, signal, 0)
}

fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the kernel checks the signal's number; no memory is passed.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            flags,
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A handle on any process by its pid.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(
        pid,
        rustix::process::PidfdFlags::empty(),
    )?)
}

/// The number that a process has in the pid namespace right below the caller's
/// (`NSpid` of `man 5 proc_pid_status`); `None` for processes of others, and
/// for those that are gone.
pub fn number_inside(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    match numbers.split_whitespace().collect::<Vec<_>>()[..] {
        [_, inside] => inside.parse().ok(),
        _ => None,
    }
}

/// `KEYCTL_JOIN_SESSION_KEYRING` of `linux/keyctl.h`.
const JOIN_SESSION_KEYRING: libc::c_ulong = 1;

/// Gives the calling process an empty session keyring that nobody else can join
/// by its name (`man 7 session-keyring`).
pub fn join_session_keyring() -> io::Result<()> {
    let nameless = std::ptr::null::<libc::c_char>();
    // SAFETY: without a name, no memory is passed.
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, nameless) };
    if answer >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // A kernel without keyrings has none to part from; and in a container
        // of another manager, its filter has seen to that.
        error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(()),
        error => Err(error),
    }
}

/// Asks a booted system for a clean halt (Container Interface, and
/// `man 1 systemd`, SIGNALS).
pub fn halt_signal() -> i32 {
    libc::SIGRTMIN() + 3
}

/// The kernel kills the calling process when its parent dies. That holds until
/// it changes a user or group id (`man 2 prctl`, PR_SET_PDEATHSIG).
pub(crate) fn die_with_parent() -> io::Result<()> {
    let kill = Some(rustix::process::Signal::KILL);
    Ok(rustix::process::set_parent_process_death_signal(kill)?)
}

/// On which side of [`clone`] the caller is.
pub(crate) enum Side {
    Child,
    Parent(Process),
}

/// `CLONE_INTO_CGROUP` of `linux/sched.h`, which does not fit libc's type for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A child in fresh namespaces (`CLONE_NEW*`), born into a cgroup so that it is
/// never a moment outside of it (`man 2 clone`, clone3, CLONE_INTO_CGROUP). With
/// `CLONE_PARENT` it is not the caller's child but its sibling.
///
/// # Safety
///
/// The caller has one thread: in the child only that one goes on, and a lock
/// held by another would be held forever.
pub(crate) unsafe fn clone(flags: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is the documented neutral value of every field.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = (libc::CLONE_PIDFD | flags) as u32 as u64;
    arguments.pidfd = &raw mut pidfd as u64;
    // A sibling ends with the caller's own signal, and none may be said.
    if flags & libc::CLONE_PARENT == 0 {
        arguments.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of all memory, as
    // after fork, and the caller vouches for the single thread.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match pid {
        ..0 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        1.. => Ok(Side::Parent(Process {
            pid: pid as i32,
            // SAFETY: the kernel has just stored a descriptor that nobody else
            // knows (CLONE_PIDFD).
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_program_hides_its_flags() {
        let stat = |name: &str| format!("7 ({name}) Z 1 7 7 0 -1 4194316 0 0");
        for name in ["sh", "a) S 1 2 3 4 5 6", "(", ""] {
            assert_eq!(flags(&stat(name)), Some(4_194_316), "{name}");
        }
        assert_eq!(flags("7 (sh) Z 1"), None);
    }

    /// `KEYCTL_GET_KEYRING_ID` and `KEY_SPEC_SESSION_KEYRING` of
    /// `linux/keyctl.h`: the serial number of the session keyring.
    fn session_keyring() -> libc::c_long {
        const GET_KEYRING_ID: libc::c_ulong = 0;
        const SESSION_KEYRING: libc::c_long = -3;
        // SAFETY: takes numbers only.
        unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION_KEYRING, 1) }
    }

    #[test]
    fn a_session_keyring_is_left() {
        let before = session_keyring();
        if before < 0 {
            println!("skipped: {}", io::Error::last_os_error());
            return;
        }
        // Keyrings are a thread's.
        let thread = std::thread::spawn(|| join_session_keyring().map(|()| session_keyring()));
        let joined = thread.join().expect("no panic").expect("a keyring");
        assert!(joined > 0 && joined != before, "{before}, {joined}");
    }

    #[test]
    fn a_process_has_a_number_inside_only_if_it_is_inside() {
        assert_eq!(number_inside(std::process::id().cast_signed()), None);
        assert_eq!(number_inside(i32::MAX), None);
    }
}
