//! How the child does each [`Step`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{UnmountFlags, unmount};
use rustix::thread::UnshareFlags;

use super::handshake::ChildEnd;
use super::stub_init;
use super::user_namespace::{self, Cloned, Waiting};
use crate::plan::step::{INACCESSIBLE_DIRECTORY, INACCESSIBLE_FILE, Namespace, Step};
use crate::rootfs::Root;
use crate::rootfs::{mount, root};
use crate::spec::accounts::Account;
use crate::spec::mount_attributes::{Attributes, Layer, Origin, Owners, Upper};
use crate::sys::clone::{self, die_with_parent};
use crate::sys::exec;

mod process;
mod streams;
mod user;

/// Longest file that is copied, in bytes.
const LONGEST_COPY: u64 = 1 << 20;

/// What the child holds on to between steps.
pub(crate) struct Child<'a> {
    supervisor: &'a ChildEnd,
    /// Whose it is, if not root's.
    account: Option<Account>,
    /// The host's `/`, until it is detached.
    host: Option<Root>,
    /// The container's `/`, once there is one.
    container: Option<Root>,
    /// The container's root directory, where something covers it.
    root_directory: Option<Root>,
    role: Role,
}

/// Which part of the plan a process does.
enum Role {
    /// All of it.
    Alone,
    /// What comes before [`Step::HandOver`].
    Mounter(Waiting),
    /// What comes after it.
    Init(ChildEnd),
}

impl<'a> Child<'a> {
    pub(crate) fn new(supervisor: &'a ChildEnd) -> io::Result<Self> {
        Ok(Self {
            supervisor,
            account: None,
            host: Some(Root::open(Path::new("/"))?),
            container: None,
            root_directory: None,
            role: Role::Alone,
        })
    }

    /// Does one step, unless it is another process's. [`Step::Exec`] returns
    /// only if it fails.
    pub(crate) fn perform(&mut self, step: &Step) -> io::Result<()> {
        if matches!(self.role, Role::Init(_)) && *step != Step::HandOver {
            return Ok(());
        }
        match step {
            Step::DieWithSupervisor => die_with_parent()?,
            Step::JoinNetwork { path } => join_network(path)?,
            Step::UnshareCgroup => unshare_cgroup()?,
            Step::SetPropagation { propagation } => {
                let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                mount::set_propagation(root.as_fd(), *propagation)?;
            }
            Step::CloneInit { namespaces, ids } => {
                let flags = Namespace::clone_flags(namespaces);
                // SAFETY: the supervisor had one thread when it cloned this
                // process, which has started none.
                match unsafe { user_namespace::clone_init(flags, *ids) }? {
                    Cloned::Child(init) => {
                        self.supervisor.send_init(init.process())?;
                        self.role = Role::Mounter(init);
                    }
                    Cloned::Init(child) => {
                        self.host = None;
                        self.role = Role::Init(child);
                    }
                }
            }
            Step::HandOver => self.hand_over()?,
            Step::BindRoot {
                source,
                map_owners,
                read_only_below,
            } => {
                let owners = self.mapped_owners(*map_owners);
                self.enter(&root::bind(source, owners, *read_only_below)?)?;
            }
            Step::EmptyRoot { directory, options } => {
                self.root_directory = Some(Root::open(directory)?);
                self.enter(&root::empty(directory, options)?)?;
            }
            Step::OverlayRoot {
                lower,
                map_owners,
                options,
            } => {
                let owners = self.mapped_owners(*map_owners);
                self.enter(&root::overlay(lower, owners, options)?)?;
            }
            // Both paths the same: no directory inside is needed for the host's
            // tree (man 2 pivot_root, NOTES).
            Step::PivotRoot => rustix::process::pivot_root(".", ".")?,
            Step::Directory { path, mode } => {
                let directory = self.container()?.create_dir_all(path)?;
                set_mode(directory, *mode)?;
            }
            Step::EmptyFile { path } => match self.container()?.create_file_if_missing(path) {
                // A link to what is not there yet is something, too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                answer => drop(answer?),
            },
            Step::File {
                path,
                contents,
                mode,
            } => self
                .container()?
                .replace_file(path, contents.as_bytes(), *mode)?,
            Step::RemoveFile { path } => self.container()?.remove_file(path)?,
            Step::CopyFile { source, path } => {
                let contents = self.host()?.read_file(source, LONGEST_COPY)?;
                self.container()?.replace_file(path, &contents, 0o644)?;
            }
            Step::Credential { path, contents } => {
                self.container()?
                    .replace_file(path, contents.reveal(), 0o400)?;
            }
            Step::Symlink { path, target } => self.container()?.symlink(target, path)?,
            Step::Mount {
                fstype,
                target,
                attributes,
                options,
            } => {
                let target = self.container()?.create_dir_all(target)?;
                let mount = || -> io::Result<()> {
                    let mount = mount::create(fstype, fstype, options, *attributes)?;
                    Ok(mount::attach(mount.as_fd(), target.as_fd())?)
                };
                match &self.role {
                    // It shows the processes of whoever mounts it.
                    Role::Mounter(init) if fstype == "proc" => init.in_pid_namespace(mount)?,
                    _ => mount()?,
                }
            }
            Step::Bind {
                origin,
                source,
                target,
                recursive,
                attributes,
                owners,
                optional,
            } => {
                let source = match self.origin(*origin)?.resolve(source) {
                    Err(error) if *optional && error.kind() == io::ErrorKind::NotFound => {
                        return Ok(());
                    }
                    answer => answer?,
                };
                let tree = mount::clone_tree(source.as_fd(), *recursive)?;
                self.show_owners(tree.as_fd(), *recursive, *owners)?;
                mount::restrict(tree.as_fd(), *attributes, *recursive)?;
                let target = mount_point(self.container()?, source.as_fd(), target)?;
                mount::attach(tree.as_fd(), target.as_fd())?;
            }
            Step::Overlay {
                lower,
                upper,
                target,
            } => self.overlay(lower, upper.as_ref(), target)?,
            Step::Hide { target, optional } => match self.hide(target) {
                Err(error) if *optional && error.kind() == io::ErrorKind::NotFound => {}
                answer => answer?,
            },
            Step::Restrict { target, attributes } => {
                let target = self.container()?.resolve(target)?;
                mount::restrict(target.as_fd(), *attributes, false)?;
            }
            Step::Console => {
                let main = streams::make_console(self.container()?)?;
                self.supervisor.send_terminal(main.as_fd())?;
            }
            Step::StandardStreams => streams::open_console(self.container()?)?,
            Step::DetachHost => {
                let host = self.host()?;
                rustix::process::fchdir(host)?;
                unmount(".", UnmountFlags::DETACH)?;
                rustix::process::chdir("/")?;
                self.host = None;
            }
            Step::AwaitSupervisor => self.supervisor.await_go()?,
            Step::User { user } => self.account = Some(user::become_user(self.container()?, user)?),
            Step::Pipe => {
                let output = streams::open_pipe(self.container()?)?;
                self.supervisor.send_terminal(output.as_fd())?;
            }
            Step::StubInit => stub_init::leave_behind()?,
            Step::WorkingDirectory { path } => rustix::process::chdir(path)?,
            Step::Process(step) => process::perform(step)?,
            Step::Exec {
                program,
                arguments,
                environment,
            } => {
                let environment = self.with_account(environment);
                return Err(exec(program, arguments, &environment));
            }
        }
        Ok(())
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

    /// From here on, this mount is what paths inside are resolved in.
    fn enter(&mut self, root: &OwnedFd) -> io::Result<()> {
        rustix::process::fchdir(root)?;
        self.container = Some(Root::open(Path::new("."))?);
        Ok(())
    }

    fn overlay(&self, lower: &[Layer], upper: Option<&Upper>, target: &Path) -> io::Result<()> {
        let lower = lower
            .iter()
            .map(|layer| self.origin(layer.origin)?.resolve(&layer.path))
            .collect::<io::Result<Vec<_>>>()?;
        let lower: Vec<_> = lower.iter().map(AsFd::as_fd).collect();
        let overlay = match upper {
            None => mount::overlay(&lower, None, Attributes::READ_ONLY)?,
            Some(upper) => {
                let origin = self.origin(upper.layer.origin)?;
                let work = origin.create_own_dir(&upper.work)?;
                let upper = origin.create_dir_all(&upper.layer.path)?;
                let changes = Some((upper.as_fd(), work.as_fd()));
                mount::overlay(&lower, changes, Attributes::NONE)?
            }
        };
        let target = self.container()?.create_dir_all(target)?;
        Ok(mount::attach(overlay.as_fd(), target.as_fd())?)
    }

    fn hide(&self, target: &Path) -> io::Result<()> {
        let container = self.container()?;
        let target = container.resolve(target)?;
        let cover = if is_directory(target.as_fd())? {
            INACCESSIBLE_DIRECTORY
        } else {
            INACCESSIBLE_FILE
        };
        let cover = container.resolve(Path::new(cover))?;
        let cover = mount::clone_tree(cover.as_fd(), false)?;
        Ok(mount::attach(cover.as_fd(), target.as_fd())?)
    }

    /// A variable that is set already stays.
    fn with_account(&self, environment: &[(String, String)]) -> Vec<(String, String)> {
        let mut environment = environment.to_vec();
        for (key, value) in self.account.iter().flat_map(Account::environment) {
            if environment.iter().all(|(known, _)| *known != key) {
                environment.push((key, value));
            }
        }
        environment
    }

    /// What shows files of the host as init's user namespace maps their owners,
    /// if that shall be.
    fn mapped_owners(&self, mapped: bool) -> Option<BorrowedFd<'_>> {
        match &self.role {
            Role::Mounter(init) if mapped => Some(init.user_namespace.as_fd()),
            _ => None,
        }
    }

    fn show_owners(&self, tree: BorrowedFd<'_>, recursive: bool, owners: Owners) -> io::Result<()> {
        match (&self.role, owners) {
            (Role::Mounter(init), Owners::Mapped) => {
                mount::map_owners(tree, recursive, init.user_namespace.as_fd())?;
            }
            (Role::Mounter(init), Owners::RootIsOwner) => {
                let owner = rustix::fs::fstat(tree)?.st_uid;
                let mapping = init.with_account_as(owner, owner, 0)?;
                mount::map_owners(tree, recursive, mapping.as_fd())?;
            }
            (Role::Mounter(init), Owners::Account { uid, gid, inside }) => {
                let mapping = init.with_account_as(uid, gid, inside)?;
                mount::map_owners(tree, recursive, mapping.as_fd())?;
            }
            _ => {}
        }
        Ok(())
    }

    fn hand_over(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.role, Role::Alone) {
            Role::Alone => Err(io::Error::other("there is nobody to hand over to")),
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
}

/// Something at `target` of the kind that can be mounted over by `source`.
fn mount_point(container: &Root, source: BorrowedFd<'_>, target: &Path) -> io::Result<OwnedFd> {
    if is_directory(source)? {
        return container.create_dir_all(target);
    }
    match container.create_file_if_missing(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            container.create_file_behind_links(target)
        }
        answer => answer,
    }
}

fn join_network(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let namespace = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    Ok(rustix::thread::move_into_link_name_space(
        namespace.as_fd(),
        kind,
    )?)
}

fn unshare_cgroup() -> rustix::io::Result<()> {
    // SAFETY: a cgroup namespace does not touch the file descriptor table,
    // which is what unshare can pull away from under safe code.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) }
}

fn is_directory(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mode = rustix::fs::fstat(file)?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::Directory)
}

/// `chmod` through a handle that was not opened for reading.
fn set_mode(path: OwnedFd, mode: u32) -> io::Result<()> {
    let by_handle = rustix::fs::openat(
        &path,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(rustix::fs::fchmod(by_handle, Mode::from_raw_mode(mode))?)
}

fn exec(program: &Path, arguments: &[String], environment: &[(String, String)]) -> io::Error {
    let name = program.to_string_lossy().into_owned();
    let words: Vec<_> = std::iter::once(name)
        .chain(arguments.iter().cloned())
        .collect();
    exec::exec_as(program, &words, environment)
}
