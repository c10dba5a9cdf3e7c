//! The child's share in a start, beside the supervisor and init.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::{Child, Role, streams, user};
use crate::plan::step::{Namespace, StartStep};
use crate::process::stub_init;
use crate::process::user_namespace::{self, Cloned};
use crate::rootfs::Root;
use crate::spec::accounts::Account;
use crate::spec::idmap::IdMap;
use crate::sys::{clone, exec};

impl Child<'_> {
    /// [`StartStep::Exec`] returns only if it fails.
    pub(super) fn perform_start_step(&mut self, step: &StartStep) -> io::Result<()> {
        match step {
            StartStep::CloneInit {
                namespaces,
                ids,
                owner,
                tasks,
            } => self.clone_init(namespaces, *ids, *owner, *tasks),
            StartStep::HandOver => self.hand_over(),
            StartStep::Console => {
                let main = streams::make_console(self.container()?)?;
                self.supervisor.send_terminal(main.as_fd())
            }
            StartStep::StandardStreams => streams::open_console(self.container()?),
            StartStep::Pipe => {
                let output = streams::open_pipe(self.container()?)?;
                self.supervisor.send_terminal(output.as_fd())
            }
            StartStep::WorkingDirectory { path } => {
                let directory = self.container()?.resolve(path)?;
                Ok(rustix::process::fchdir(directory)?)
            }
            StartStep::AwaitSupervisor => self.supervisor.await_go(),
            StartStep::User { user } => {
                self.account = Some(user::become_user(self.container()?, user)?);
                Ok(())
            }
            StartStep::StubInit => stub_init::leave_behind(),
            StartStep::PassSocket { descriptor } => {
                streams::pass_socket(*descriptor, exec::STREAMS)?;
                self.descriptors = exec::STREAMS + 1;
                Ok(())
            }
            StartStep::Exec {
                program,
                arguments,
                environment,
            } => {
                let name = program.to_string_lossy().into_owned();
                let words: Vec<_> = std::iter::once(&name).chain(arguments).collect();
                Err(exec::exec_as(
                    program,
                    &words,
                    &self.with_account(environment),
                    self.descriptors,
                    self.supervisor.as_fd(),
                ))
            }
        }
    }

    /// Goes on as the mounter in the child, and as init in the new process.
    fn clone_init(
        &mut self,
        namespaces: &[Namespace],
        ids: IdMap,
        owner: u32,
        tasks: Option<u64>,
    ) -> io::Result<()> {
        let flags = Namespace::clone_flags(namespaces);
        // SAFETY: the supervisor had one thread when it cloned this process,
        // which has started none.
        match unsafe { user_namespace::clone_init(flags, ids, owner, tasks) }? {
            Cloned::Child(init) => {
                self.supervisor.send_init(init.process())?;
                self.role = Role::Mounter(init);
            }
            Cloned::Init(child) => {
                self.host = None;
                self.role = Role::Init(child);
            }
        }
        Ok(())
    }

    /// Ends the mounter; init goes on alone.
    fn hand_over(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.role, Role::Alone) {
            Role::Alone => Err(io::Error::other("there is no init to hand over to")),
            Role::Mounter(init) => {
                init.go()?;
                clone::exit(0)
            }
            Role::Init(child) => {
                user_namespace::take_over(&child)?;
                self.container = Some(Root::open(Path::new("/"))?);
                Ok(())
            }
        }
    }

    /// The environment with the variables of the account. A variable that is set
    /// already stays.
    fn with_account(&self, environment: &[(String, String)]) -> Vec<(String, String)> {
        let mut environment = environment.to_vec();
        for (key, value) in self.account.iter().flat_map(Account::environment) {
            if environment.iter().all(|(known, _)| *known != key) {
                environment.push((key, value));
            }
        }
        environment
    }
}
