//! The start of a container: a child is cloned and performs the plan, while the
//! supervisor performs its own steps.
//!
//! ```text
//! supervisor                         child
//! clone3 ──────────────────────────▶ performs the plan's steps
//!        ◀── other end of the console ─
//! performs its own steps,
//! sets up the network
//!        ── go ────────────────────▶ executes init
//!        ◀── the socket closes ─────── (CLOEXEC: init runs)
//!        ◀── or: step, cause ───────── (a step failed)
//! ```
//!
//! With a user namespace the child clones init itself and mounts for it, see
//! `user_namespace.rs`. The supervisor receives init's pidfd first, and both are
//! its children.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::child;
use super::handshake::{self, ParentEnd};
use super::host;
use super::sealed::Sealed;
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
    channel: ParentEnd,
}

/// A container whose init runs.
#[derive(Debug)]
pub struct Started {
    /// Process 1 of the container.
    pub init: Process,
    /// The other end of its `/dev/console`, or of the pipe that it writes to.
    pub console: OwnedFd,
}

/// Clones the child that performs the plan; it is born into `cgroup`, or into the
/// caller's if there is none.
///
/// # Errors
///
/// The kernel's, and those of a child that ends before it has cloned init.
///
/// # Safety
///
/// The calling process has one thread.
pub unsafe fn spawn(
    plan: &Plan,
    cgroup: Option<BorrowedFd<'_>>,
    _: Sealed,
) -> Result<Starting, LaunchError> {
    let (ours, theirs) = handshake::pair()?;
    // SAFETY: the caller has one thread.
    match unsafe { clone::clone(Namespace::clone_flags(&plan.namespaces), cgroup) } {
        Err(cause) => Err(LaunchError::Clone(cause)),
        Ok(Side::Parent(child)) => {
            // The child's end closes when the child has executed init.
            drop(theirs);
            Starting::with(child, ours, plan.clones_init())
        }
        Ok(Side::Child) => {
            drop(ours);
            child::perform_steps(&plan.steps, &theirs);
            clone::exit(1)
        }
    }
}

impl Starting {
    fn with(child: Process, channel: ParentEnd, clones_init: bool) -> Result<Self, LaunchError> {
        if !clones_init {
            return Ok(Self {
                init: child,
                mounter: None,
                channel,
            });
        }
        let init = channel.receive_init().inspect_err(|_| kill(&child))?;
        Ok(Self {
            init,
            mounter: Some(child),
            channel,
        })
    }

    /// Performs the supervisor's steps of the plan; `cgroup` is the one that the
    /// child was born into.
    pub fn prepare(&self, plan: &Plan, cgroup: BorrowedFd<'_>) -> Result<(), LaunchError> {
        plan.host_steps
            .iter()
            .try_for_each(|step| host::perform_host_step(step, &self.init, cgroup))
    }

    /// The child's network namespace.
    pub fn network_namespace(&self) -> io::Result<OwnedFd> {
        // The child is not reaped, so the pid is its own.
        proc::open_namespace(self.init.pid, "net")
    }

    /// Lets the child execute init.
    pub fn go(&self) -> io::Result<()> {
        self.channel.go()
    }

    /// Waits until init runs.
    ///
    /// # Errors
    ///
    /// The step that failed in the child, with its cause.
    pub fn finish(self) -> Result<Started, LaunchError> {
        match self.channel.await_exec(None) {
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

    /// Whether the child, or init in its place, is ending by itself. Its
    /// namespaces go with it, and [`Starting::finish`] reports its end.
    pub fn is_ending(&self) -> bool {
        self.init.is_ending().unwrap_or(false)
    }

    /// Kills the child because its supervisor cannot go on. Returns the child's own
    /// failure if it came first: then it is the cause of both.
    pub fn abort(self) -> Option<LaunchError> {
        // Before the kill: an init that waits for its mounter reports the end of
        // that as a failure.
        let failure = self.channel.reported_failure();
        self.kill();
        failure
    }

    fn kill(&self) {
        self.mounter.iter().for_each(kill);
        kill(&self.init);
    }
}

/// Kills a child. It may have ended already.
fn kill(child: &Process) {
    let _ = child.signal(libc::SIGKILL);
    let _ = child.wait();
}
