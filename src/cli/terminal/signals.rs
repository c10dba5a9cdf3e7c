//! Signals to the command, for the program inside.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use runtime::sys::pidfd::reaped;
use signal_hook::flag;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level::emulate_default_handler;

/// Signals that end a program, unless it handles them.
const ENDING: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
];

/// Signals that change something in this process, too.
const JOB_CONTROL: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGCONT, Signal::SIGWINCH];

/// The caught signals of this process, as two files to be polled with others.
///
/// Their handlers run between any two instructions, but do no more than to note
/// the signal and to write a byte to a socket. Where they interrupt a system
/// call, it is restarted, but for `poll` (`man 7 signal`, "Interruption of
/// system calls").
#[derive(Debug)]
pub struct Signals {
    ending: Delivery,
    job_control: Delivery,
    /// The number of the later one of SIGTSTP and SIGCONT.
    last_of_job_control: Arc<AtomicUsize>,
    has_default_effect: Arc<AtomicBool>,
}

type Delivery = SignalDelivery<UnixStream, SignalOnly>;

impl Signals {
    /// Catches signals. To be called before the program inside is started, so
    /// that none is lost.
    pub fn catch() -> Result<Self> {
        leave_reaping(false)?;
        Self::register().context("cannot catch signals")
    }

    fn register() -> std::io::Result<Self> {
        let last_of_job_control = Arc::new(AtomicUsize::new(0));
        let has_default_effect = Arc::new(AtomicBool::new(false));
        // Signals that the caller ignores, as `nohup` does, stay ignored.
        let ending: Vec<_> = ENDING.into_iter().filter(is_not_ignored).collect();
        let job_control: Vec<_> = JOB_CONTROL.into_iter().filter(is_not_ignored).collect();
        // Actions are done in the order of their registration.
        for signal in &ending {
            let condition = Arc::clone(&has_default_effect);
            flag::register_conditional_default(*signal as i32, condition)?;
        }
        for signal in &job_control {
            if *signal != Signal::SIGWINCH {
                let last = Arc::clone(&last_of_job_control);
                flag::register_usize(*signal as i32, last, *signal as usize)?;
            }
        }
        let signals = Self {
            ending: deliver(&ending)?,
            job_control: deliver(&job_control)?,
            last_of_job_control,
            has_default_effect,
        };
        // The caller may have blocked them.
        let caught: SigSet = ending.into_iter().chain(job_control).collect();
        caught.thread_unblock()?;
        Ok(signals)
    }

    /// Readable once a signal has been caught that ends a program.
    pub fn ending(&self) -> BorrowedFd<'_> {
        self.ending.get_read().as_fd()
    }

    /// Readable once another signal has been caught.
    pub fn job_control(&self) -> BorrowedFd<'_> {
        self.job_control.get_read().as_fd()
    }

    /// Takes the signals that have been caught since the last call.
    ///
    /// SIGTSTP and SIGCONT cancel each other: only the later one is returned, as
    /// the kernel would have it (`man 7 signal`).
    pub fn take(&mut self) -> Vec<i32> {
        let mut caught: Vec<_> = self.ending.pending().collect();
        caught.extend(self.job_control.pending());
        let last = self.last_of_job_control.load(Ordering::SeqCst) as i32;
        caught
            .retain(|signal| !matches!(*signal, libc::SIGTSTP | libc::SIGCONT) || *signal == last);
        caught
    }

    /// Gives the caught signals that end a program their default effect again:
    /// one that was caught earlier ends this process.
    pub fn restore_default_effect(&mut self) {
        self.has_default_effect.store(true, Ordering::SeqCst);
        for signal in self.ending.pending() {
            let _ = emulate_default_handler(signal);
        }
    }
}

fn deliver(signals: &[Signal]) -> std::io::Result<Delivery> {
    let (read, write) = UnixStream::pair()?;
    let numbers = signals.iter().map(|signal| *signal as i32);
    SignalDelivery::with_pipe(read, write, SignalOnly, numbers)
}

fn is_not_ignored(signal: &Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, the call only writes the present one.
    let answer = unsafe { libc::sigaction(*signal as i32, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a value of this structure, should the call have failed.
    answer != 0 || unsafe { action.assume_init() }.sa_sigaction != libc::SIG_IGN
}

/// Lets the kernel reap the program when it ends, if this process may be stopped
/// then, or if the kernel remembers how the program ended.
///
/// A process that is stopped reaps no child, and the container's init cannot end
/// before every other process of its pid namespace is reaped
/// (`man 7 pid_namespaces`): after a forgotten `^Z` the container could not stop.
/// After a SIGSTOP it cannot, where the kernel does not remember.
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
/// stop a process of an orphaned group, which no shell could continue
/// (`man 3 setpgid`); signal-hook's `emulate_default_handler` would.
pub fn stop() -> Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action is no handler.
    unsafe { sigaction(Signal::SIGTSTP, &default) }
        .and_then(|caught| {
            raise(Signal::SIGTSTP)?;
            // SAFETY: puts signal-hook's handler back in its place.
            unsafe { sigaction(Signal::SIGTSTP, &caught) }
        })
        .map(drop)
        .context("cannot stop")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_one_of_a_stop_and_a_continuation_counts() {
        let mut signals = Signals::register().expect("handlers");
        let (stop, go) = (Signal::SIGTSTP, Signal::SIGCONT);
        for (raised, taken) in [
            (&[stop, go][..], &[libc::SIGCONT][..]),
            (&[go, stop], &[libc::SIGTSTP]),
            (
                &[Signal::SIGWINCH, stop, stop],
                &[libc::SIGTSTP, libc::SIGWINCH],
            ),
            (
                // Not SIGHUP, SIGINT or SIGQUIT, which the caller of the tests may
                // ignore (`man 1 nohup`).
                &[go, Signal::SIGTERM, Signal::SIGUSR1],
                &[libc::SIGUSR1, libc::SIGTERM, libc::SIGCONT],
            ),
            (&[], &[]),
        ] {
            for signal in raised {
                raise(*signal).expect("raised");
            }
            assert_eq!(signals.take(), taken, "{raised:?}");
        }
    }
}
