//! Signals to the command, for the program inside.

use anyhow::{Context, Result};
use nix::sys::signal::{SigHandler, SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What the caller can mean for the program inside.
const HANDED_ON: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
];

/// What changes something here, too.
const WATCHED: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGCONT, Signal::SIGWINCH];

/// Blocks signals and has them as data. To be called before there is a
/// program, so that none is lost.
pub fn catch() -> Result<SignalFd> {
    // As a caller may have left it.
    reap_here(true)?;
    let mut set = SigSet::empty();
    for signal in HANDED_ON.into_iter().chain(WATCHED) {
        // What the caller ignores, as `nohup` does, stays ignored.
        if !is_ignored(signal) {
            set.add(signal);
        }
    }
    set.thread_block().context("cannot block signals")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("cannot make a signal descriptor")
}

fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action given it only tells the present one.
    let answer = unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a value of this structure, should the call have failed.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Whether this process reaps the program when it ends. If not, the kernel does,
/// and how it ended is lost (`man 2 waitpid`, NOTES).
///
/// A process that is stopped reaps nobody, and the container's init cannot end
/// before every other process of its pid namespace is reaped
/// (`man 7 pid_namespaces`): a forgotten `^Z` would keep it from stopping.
pub fn reap_here(here: bool) -> Result<()> {
    let handler = if here {
        SigHandler::SigDfl
    } else {
        SigHandler::SigIgn
    };
    // SAFETY: installs no handler.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, handler) }
        .map(drop)
        .context("cannot set up signals")
}

/// Stops this process as `^Z` does, until it is continued. The kernel does not
/// stop it where nobody could continue it (`man 3 setpgid`, orphaned groups).
pub fn stop() -> Result<()> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTSTP);
    raise(Signal::SIGTSTP)
        .and_then(|()| stop.thread_unblock())
        .and_then(|()| stop.thread_block())
        .context("cannot stop")
}
