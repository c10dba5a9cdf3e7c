//! The child, which performs the steps of a plan.
//!
//! Without a user namespace it performs all of them and becomes init. With one,
//! two processes go through the same list (`user_namespace.rs` says why), and
//! their [`Role`] says which steps they perform:
//!
//! ```text
//! steps                 the child              init
//! …, CloneInit          performs (Alone)       does not exist yet
//! …                     performs (Mounter)     passes over (Init)
//! HandOver              lets init go, exits    waits for the child
//! …, Exec               has exited             performs (Alone)
//! ```

use std::io;
use std::path::Path;

use super::handshake::ChildEnd;
use super::user_namespace::Waiting;
use crate::plan::step::{StartStep, Step};
use crate::rootfs::Root;
use crate::spec::accounts::Account;
use crate::spec::mount_attributes::Origin;
use crate::sys::exec;

mod file;
mod legacy_cgroups;
mod mount;
mod process;
mod start;
mod streams;
mod user;

/// What a process keeps between steps.
struct Child<'a> {
    supervisor: &'a ChildEnd,
    /// Its account in the container, if it is not root.
    account: Option<Account>,
    /// The host's `/`, until it is detached.
    host: Option<Root>,
    /// The container's `/`, once it exists.
    container: Option<Root>,
    /// The container's root directory, where something covers it.
    root_directory: Option<Root>,
    role: Role,
    /// The number of descriptors that its program gets.
    descriptors: i32,
}

/// The steps that a process performs.
enum Role {
    /// All: no other process takes part, or not any more.
    Alone,
    /// Those before [`StartStep::HandOver`], for the waiting init.
    Mounter(Waiting),
    /// Those after it: until then the other end of this performs them.
    Init(ChildEnd),
}

/// Performs the steps in the calling process. Returns only if one failed, after
/// telling the supervisor.
pub(super) fn perform_steps(steps: &[Step], supervisor: &ChildEnd) {
    let mut child = match Child::new(supervisor) {
        Ok(child) => child,
        Err(cause) => return supervisor.send_failure("open /", &cause),
    };
    for step in steps {
        if let Err(cause) = child.perform_step(step) {
            supervisor.send_failure(&step.to_string(), &cause);
            // The last step may have closed its descriptors already.
            return std::mem::forget(child);
        }
    }
}

impl<'a> Child<'a> {
    fn new(supervisor: &'a ChildEnd) -> io::Result<Self> {
        Ok(Self {
            supervisor,
            account: None,
            host: Some(Root::open(Path::new("/"))?),
            container: None,
            root_directory: None,
            role: Role::Alone,
            descriptors: exec::STREAMS,
        })
    }

    /// Performs one step, unless another process does.
    fn perform_step(&mut self, step: &Step) -> io::Result<()> {
        let is_hand_over = matches!(step, Step::Start(StartStep::HandOver));
        if matches!(self.role, Role::Init(_)) && !is_hand_over {
            return Ok(());
        }
        // A log tells the child's lines by this module's name.
        log::debug!("{step}");
        match step {
            Step::File(step) => self.perform_file_step(step),
            Step::Mount(step) => self.perform_mount_step(step),
            Step::Process(step) => process::perform_process_step(step),
            Step::Start(step) => self.perform_start_step(step),
        }
    }

    fn host(&self) -> io::Result<&Root> {
        let gone = || io::Error::other("the host's tree is detached already");
        self.host.as_ref().ok_or_else(gone)
    }

    fn container(&self) -> io::Result<&Root> {
        let early = || io::Error::other("the container has no root yet");
        self.container.as_ref().ok_or_else(early)
    }

    fn origin(&self, origin: Origin) -> io::Result<&Root> {
        let uncovered = || io::Error::other("the root directory is not covered");
        match origin {
            Origin::Host => self.host(),
            Origin::Container => self.container(),
            Origin::RootDirectory => self.root_directory.as_ref().ok_or_else(uncovered),
        }
    }
}
