//! Signals to the command, for the program inside.

use anyhow::{Context, Result};
use nix::sys::signal::{SigHandler, SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use runtime::sys::pidfd::reaped;

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
    leave_reaping(false)?;
    let signals = HANDED_ON.into_iter().chain(WATCHED);
    // What the caller ignores, as `nohup` does, stays ignored.
    let set: SigSet = signals.filter(|signal| !is_ignored(*signal)).collect();
    set.thread_block().context("cannot block signals")?;
    descriptor(&set)
}

/// The caught signals that end a program, and nothing else: there is something
/// to read when the caller wants an end of what has not begun.
pub fn ends() -> Result<SignalFd> {
    descriptor(&HANDED_ON.into_iter().collect())
}

/// Lets the caught signals do what they do to other programs: one that waits
/// ends this one.
pub fn let_through() {
    let _ = HANDED_ON.into_iter().collect::<SigSet>().thread_unblock();
}

fn descriptor(set: &SigSet) -> Result<SignalFd> {
    SignalFd::with_flags(set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("cannot make a signal descriptor")
}

fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action given it only tells the present one.
    let answer = unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a value of this structure, should the call have failed.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Has the kernel reap the program when it ends, if this process may be stopped
/// then, or if it learns all the same how the program ended.
///
/// A process that is stopped reaps nobody, and the container's init cannot end
/// before every other process of its pid namespace is reaped
/// (`man 7 pid_namespaces`): a forgotten `^Z` would keep it from stopping, and so
/// does a SIGSTOP where the kernel does not remember.
pub fn leave_reaping(may_be_stopped: bool) -> Result<()> {
    let handler = if may_be_stopped || reaped::is_remembered() {
        SigHandler::SigIgn
    } else {
        SigHandler::SigDfl
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
