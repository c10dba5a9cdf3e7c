//! How the child makes and changes mounts.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{UnmountFlags, unmount};

use super::{Child, Role};
use crate::plan::step::{INACCESSIBLE_DIRECTORY, INACCESSIBLE_FILE, MountStep};
use crate::process::user_namespace::map_ids;
use crate::rootfs::{Root, mount, root, selection};
use crate::spec::mount_attributes::{Attributes, Layer, Origin, Owners, Upper};

impl Child<'_> {
    pub(super) fn perform_mount_step(&mut self, step: &MountStep) -> io::Result<()> {
        match step {
            MountStep::SetPropagation { propagation } => {
                let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                Ok(mount::set_propagation(root.as_fd(), *propagation)?)
            }
            MountStep::BindRoot {
                source,
                map_owners,
                read_only_below,
            } => {
                let owners = self.mapped_owners(*map_owners);
                self.enter_root(&root::bind(source, owners, *read_only_below)?)
            }
            MountStep::EmptyRoot { directory, options } => {
                self.root_directory = Some(Root::open(directory)?);
                self.enter_root(&root::empty(directory, options)?)
            }
            MountStep::OverlayRoot {
                lower,
                map_owners,
                options,
            } => {
                let owners = self.mapped_owners(*map_owners);
                self.enter_root(&root::overlay(lower, owners, options)?)
            }
            // With both paths the same, no directory inside is needed for the
            // host's tree (man 2 pivot_root, NOTES).
            MountStep::PivotRoot => Ok(rustix::process::pivot_root(".", ".")?),
            MountStep::DetachHost => self.detach_host(),
            MountStep::Mount {
                fstype,
                target,
                attributes,
                options,
            } => self.mount(fstype, target, *attributes, options),
            MountStep::Bind {
                origin,
                source,
                target,
                recursive,
                attributes,
                owners,
                optional,
            } => {
                let source = match self.origin(*origin)?.resolve(source) {
                    Err(error) if *optional && is_missing(&error) => return Ok(()),
                    answer => answer?,
                };
                let tree = mount::clone_tree(source.as_fd(), *recursive)?;
                let target = mount_point(self.container()?, source.as_fd(), target)?;
                self.show_owners(tree.as_fd(), *recursive, *owners, target.as_fd())?;
                mount::restrict(tree.as_fd(), *attributes, *recursive)?;
                Ok(mount::attach(tree.as_fd(), target.as_fd())?)
            }
            MountStep::Overlay {
                lower,
                upper,
                target,
            } => self.overlay(lower, upper.as_ref(), target),
            MountStep::Selection {
                directory,
                names,
                target,
                map_owners,
            } => {
                let host = self.origin(Origin::Host)?;
                let (directory, names) = (host.resolve(directory)?, host.resolve(names)?);
                let owners = self.mapped_owners(*map_owners);
                let tree = selection::mount(directory, names.as_fd(), owners)?;
                let target = self.container()?.create_dir_all(target)?;
                Ok(mount::attach(tree.as_fd(), target.as_fd())?)
            }
            MountStep::Hide { target, optional } => match self.hide(target) {
                Err(error) if *optional && is_missing(&error) => Ok(()),
                answer => answer,
            },
            MountStep::Restrict { target, attributes } => {
                let target = self.container()?.resolve(target)?;
                Ok(mount::restrict(target.as_fd(), *attributes, false)?)
            }
        }
    }

    /// Makes the mount the root that paths inside are resolved in from here on.
    fn enter_root(&mut self, root: &OwnedFd) -> io::Result<()> {
        rustix::process::fchdir(root)?;
        self.container = Some(Root::open(Path::new("."))?);
        Ok(())
    }

    fn detach_host(&mut self) -> io::Result<()> {
        rustix::process::fchdir(self.host()?)?;
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        self.host = None;
        Ok(())
    }

    fn mount(
        &self,
        fstype: &str,
        target: &Path,
        attributes: Attributes,
        options: &[(String, String)],
    ) -> io::Result<()> {
        let target = self.container()?.create_dir_all(target)?;
        let mount = || -> io::Result<()> {
            let mount = mount::create(fstype, fstype, options, attributes)?;
            Ok(mount::attach(mount.as_fd(), target.as_fd())?)
        };
        match &self.role {
            // It shows the processes of the namespace that it is mounted from.
            Role::Mounter(init) if fstype == "proc" => init.in_pid_namespace(mount),
            _ => mount(),
        }
    }

    /// Binds a device of the host, so that changes of owner and permissions inside do
    /// not reach it.
    pub(super) fn bind_device(&self, hosts: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
        let node = mount::clone_tree(hosts, false)?;
        let target = mount_point(self.container()?, hosts, target)?;
        mount::restrict(node.as_fd(), Attributes::DEVICE, false)?;
        Ok(mount::attach(node.as_fd(), target.as_fd())?)
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

    /// The user namespace to show files of the host through, if their owners are
    /// to be mapped and init has one.
    fn mapped_owners(&self, mapped: bool) -> Option<BorrowedFd<'_>> {
        match &self.role {
            Role::Mounter(init) if mapped => Some(init.user_namespace.as_fd()),
            _ => None,
        }
    }

    fn show_owners(
        &self,
        tree: BorrowedFd<'_>,
        recursive: bool,
        owners: Owners,
        target: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let Role::Mounter(init) = &self.role else {
            return Ok(());
        };
        let map = |namespace| mount::map_owners(tree, recursive, namespace);
        match owners {
            Owners::OnDisk => {}
            Owners::Mapped => map(init.user_namespace.as_fd())?,
            Owners::RootIsOwner => {
                let owner = rustix::fs::fstat(tree)?.st_uid;
                map(init.map_account(owner, owner, 0)?.as_fd())?;
            }
            Owners::TargetOwnerIsOwner => {
                let owner = rustix::fs::fstat(tree)?.st_uid;
                let shown = rustix::fs::fstat(target)?.st_uid;
                map(map_ids(owner, owner, shown)?.as_fd())?;
            }
            Owners::Account { uid, gid, inside } => {
                map(init.map_account(uid, gid, inside)?.as_fd())?;
            }
        }
        Ok(())
    }
}

/// A handle on the place at `target`, made if missing, of the kind that `source`
/// can be mounted over.
pub(super) fn mount_point(
    container: &Root,
    source: BorrowedFd<'_>,
    target: &Path,
) -> io::Result<OwnedFd> {
    if is_directory(source)? {
        return container.create_dir_all(target);
    }
    match container.create_file_if_missing(target) {
        Err(error) if is_missing(&error) => container.create_file_behind_links(target),
        answer => answer,
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn is_directory(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mode = rustix::fs::fstat(file)?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::Directory)
}
