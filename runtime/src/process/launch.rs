//! The one clone that makes a container.
//!
//! ```text
//! supervisor                         child
//! clone3 ──────────────────────────▶ performs the plan
//!        ◀── the console's other end ──
//! does its own steps,
//! furnishes the network
//!        ── go ────────────────────▶ execs init
//!        ◀── the socket closes ─────── (CLOEXEC: init runs)
//!        ◀── or: step, cause ───────── (anything that failed)
//! ```
//!
//! With a user namespace the child clones init itself and mounts for it, see
//! `user_namespace.rs`; the supervisor hears of init before all else, and both
//! are its children.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::child::Child;
use super::handshake::{self, ChildEnd, ParentEnd};
use super::host;
use crate::plan::Plan;
use crate::plan::step::Namespace;
use crate::sys::clone::{self, Side};
use crate::sys::pidfd::Process;
use crate::sys::proc;

pub use super::handshake::LaunchError;

/// A container whose child performs its steps.
#[derive(Debug)]
pub struct Starting {
    init: Process,
    /// The child, where init is another process.
    mounter: Option<Process>,
    talk: ParentEnd,
}

/// A container whose init runs.
#[derive(Debug)]
pub struct Started {
    /// Its PID 1.
    pub init: Process,
    /// The other end of its `/dev/console`.
    pub console: OwnedFd,
}

/// Clones the child, born into `cgroup`, that performs the plan.
///
/// # Safety
///
/// The calling process has one thread.
pub unsafe fn launch(plan: &Plan, cgroup: BorrowedFd<'_>) -> Result<Starting, LaunchError> {
    let (ours, theirs) = handshake::pair()?;
    // SAFETY: the caller has one thread.
    match unsafe { clone::clone(Namespace::clone_flags(&plan.namespaces), Some(cgroup)) } {
        Err(cause) => Err(LaunchError::Clone(cause)),
        Ok(Side::Parent(child)) => {
            // Only the child's side of the talk shall keep it open.
            drop(theirs);
            Starting::with(child, ours, plan.clones_init())
        }
        Ok(Side::Child) => {
            drop(ours);
            perform(plan, &theirs);
            clone::exit(1)
        }
    }
}

/// By which a log tells the child's lines from those of its parent.
const LOG_TARGET: &str = "runtime::process::child";

/// Returns only if a step failed, after it told the supervisor.
fn perform(plan: &Plan, supervisor: &ChildEnd) {
    let mut child = match Child::new(supervisor) {
        Ok(child) => child,
        Err(cause) => return supervisor.send_failure("open /", &cause),
    };
    for step in &plan.steps {
        log::debug!(target: LOG_TARGET, "{step}");
        if let Err(cause) = child.perform(step) {
            return supervisor.send_failure(&step.to_string(), &cause);
        }
    }
}

impl Starting {
    fn with(child: Process, talk: ParentEnd, clones_init: bool) -> Result<Self, LaunchError> {
        if !clones_init {
            return Ok(Self {
                init: child,
                mounter: None,
                talk,
            });
        }
        match talk.hear_of_init() {
            Ok(init) => Ok(Self {
                init,
                mounter: Some(child),
                talk,
            }),
            Err(error) => {
                end(&child);
                Err(error)
            }
        }
    }

    /// Does the supervisor's steps of the plan; `cgroup` is the one that the
    /// child was born into.
    pub fn prepare(&self, plan: &Plan, cgroup: BorrowedFd<'_>) -> Result<(), LaunchError> {
        plan.host_steps
            .iter()
            .try_for_each(|step| host::perform(step, &self.init, cgroup))
    }

    /// The child's network namespace.
    pub fn network_namespace(&self) -> io::Result<OwnedFd> {
        // The child is not reaped, so the pid is its own.
        proc::open_namespace(self.init.pid, "net")
    }

    /// Tells the child that all is ready for init.
    pub fn go(&self) -> io::Result<()> {
        self.talk.go()
    }

    /// Waits until init runs.
    pub fn finish(self) -> Result<Started, LaunchError> {
        match self.talk.hear(None) {
            Ok(Some(console)) => {
                if let Some(mounter) = self.mounter {
                    mounter.wait()?;
                }
                Ok(Started {
                    init: self.init,
                    console,
                })
            }
            failed => {
                self.kill();
                Err(failed.err().unwrap_or(LaunchError::Died))
            }
        }
    }

    /// Whether the child, or init in its place, is ending by itself. What is
    /// then missing went with it, and [`Starting::finish`] tells of the end.
    pub fn is_ending(&self) -> bool {
        self.init.is_ending().unwrap_or(false)
    }

    /// Kills the child because its supervisor cannot go on. Returns the child's own
    /// failure if it came first: then it is the cause of both.
    pub fn abort(self) -> Option<LaunchError> {
        // Before the kill: an init that waits for its mounter reports the end of
        // that as a failure.
        let failure = self.talk.reported_failure();
        self.kill();
        failure
    }

    fn kill(&self) {
        self.mounter.iter().for_each(end);
        end(&self.init);
    }
}

/// Kills a child; it may be gone already, which is what is wanted.
fn end(child: &Process) {
    let _ = child.signal(libc::SIGKILL);
    let _ = child.wait();
}
