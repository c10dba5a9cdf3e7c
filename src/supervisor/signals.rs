//! The signals that a supervisor waits for, as descriptors to poll.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// In the foreground, a terminal that hangs up takes the container with it. A
/// detached supervisor has no terminal.
const HALT: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Signals as a descriptor, which is readable once one has come. The container's
/// processes have no handler of them: their clone resets all handlers (`man 2 clone3`,
/// CLONE_CLEAR_SIGHAND).
struct Caught(UnixStream);

impl Caught {
    fn catch(signals: impl IntoIterator<Item = Signal>) -> Result<Self> {
        const CANNOT: &str = "cannot catch signals";
        let (read, write) = UnixStream::pair().context(CANNOT)?;
        read.set_nonblocking(true).context(CANNOT)?;
        let mut caught = SigSet::empty();
        for signal in signals {
            let write = write.try_clone().context(CANNOT)?;
            signal_hook::low_level::pipe::register(signal as i32, write).context(CANNOT)?;
            caught.add(signal);
        }
        caught.thread_unblock().context(CANNOT)?;
        Ok(Self(read))
    }

    /// Whether one has come since the last call.
    fn take(&self) -> Result<bool> {
        let mut bytes = [0; 64];
        match (&self.0).read(&mut bytes) {
            Ok(length) => Ok(length > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error).context("cannot read which signals have come"),
        }
    }
}

/// The signals that request a halt.
pub struct HaltSignals(Caught);

impl HaltSignals {
    /// Catches the signals, except those that this process ignores, as under nohup.
    pub fn catch() -> Result<Self> {
        let signals = HALT.into_iter().filter(|signal| !is_ignored(*signal));
        Caught::catch(signals).map(Self)
    }

    /// Whether one has come since the last call.
    pub fn take(&self) -> Result<bool> {
        self.0.take()
    }
}

impl AsFd for HaltSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

/// The signal that a watched directory has changed (`runtime::sys::dnotify`).
pub struct DirectorySignal(Caught);

impl DirectorySignal {
    /// Catches the signal.
    pub fn catch() -> Result<Self> {
        Caught::catch([Signal::SIGIO]).map(Self)
    }

    /// Forgets that it has come.
    pub fn clear(&self) {
        let _ = self.0.take();
    }
}

impl AsFd for DirectorySignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

/// Whether this process ignores a signal.
fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, the call only writes the present one.
    let answer = unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeros are a valid action, and so is the result of the call.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
