//! The ids of a container's users on the host, and the owners of its files.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::IdMap;
use runtime::rootfs::owners::{self, Mapping, Owner};
use runtime::sys::proc;

use crate::config::{ContainerConfig, Ownership, PrivateUsers};
use crate::container::Container;
use crate::container::mountinfo;

pub mod bound_users;
mod ranges;
pub mod user_record;

pub use ranges::{Claim, claim, remove_record};

/// The users of a container in a user namespace of its own.
#[derive(Debug)]
pub struct Users {
    /// Their ids on the host.
    pub ids: IdMap,
    /// The change of owner that the root directory needs.
    pub root_owners: RootOwners,
    /// `None` if each id inside is the same id of the host.
    mapping: Option<Mapping>,
}

/// How the files below a root directory become those of a container's users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootOwners {
    /// They belong to them, or stay as they are.
    Unchanged,
    /// The kernel maps the owners for the container.
    Mapped,
    /// The supervisor changes the owners on the disk.
    Chowned,
}

/// Resolves the users of a container; `None` if they are the host's. Changes nothing.
pub fn resolve(container: &Container, config: &ContainerConfig) -> Result<Option<Users>> {
    let root = container.places().root(container.name());
    let owner = owner(&root)?;
    let Some(ids) = ids(container, config, owner)? else {
        refuse_interrupted_chown(owner, &root)?;
        return Ok(None);
    };
    let mut users = Users {
        ids,
        root_owners: RootOwners::Unchanged,
        mapping: mapping(ids)?,
    };
    users.root_owners = users.decide_root_owners(config.ownership, owner, &root)?;
    Ok(Some(users))
}

/// The container's ids on the host; `None` if it has no user namespace.
fn ids(container: &Container, config: &ContainerConfig, owner: Owner) -> Result<Option<IdMap>> {
    let unavailable = unavailable();
    match (config.private_users, unavailable) {
        (PrivateUsers::No, _) | (PrivateUsers::PickIfPossible, Some(_)) => Ok(None),
        (_, Some(why)) => {
            bail!("PRIVATE_USERS and --private-users need user namespaces, but {why}")
        }
        (PrivateUsers::These(ids), None) => {
            require_existing(ids)?;
            Ok(Some(ids))
        }
        (PrivateUsers::OfRoot, None) => of_root(owner).map(Some),
        (PrivateUsers::Pick | PrivateUsers::PickIfPossible, None) => {
            ranges::find(container, owner).map(Some)
        }
    }
}

/// The host's user that owns the container's user namespace: the number of root inside,
/// so that the kernel charges the container for what it takes. A user of the host with
/// that number could enter the container as its root; then it is the host's root.
pub fn namespace_owner(users: &Users) -> Result<u32> {
    let root = users.ids.root();
    Ok(if ranges::has_account(root)? { 0 } else { root })
}

/// Why the host cannot make user namespaces; `None` if it can.
fn unavailable() -> Option<String> {
    let limit = "user/max_user_namespaces";
    if !Path::new("/proc/self/ns/user").exists() {
        return Some("this kernel was built without them (CONFIG_USER_NS)".to_owned());
    }
    let none = proc::setting(limit).is_ok_and(|limit: u64| limit == 0);
    none.then(|| {
        format!("/proc/sys/{limit} is 0; allow some with `sysctl user.max_user_namespaces=65536`")
    })
}

/// The ids that exist on the host: all numbers, unless the host is in a user
/// namespace itself (`man 7 user_namespaces`, "User and group ID mappings").
fn existing() -> Result<Vec<IdMap>> {
    let ranges = proc::own_ids().context("cannot read /proc/self/uid_map")?;
    let maps = ranges.iter().map(|ids| IdMap::new(ids.first, ids.count));
    Ok(maps.flatten().collect())
}

fn require_existing(ids: IdMap) -> Result<()> {
    if existing()?.iter().any(|range| range.includes(ids)) {
        return Ok(());
    }
    bail!(
        "--private-users (or PRIVATE_USERS) maps {ids}, but this host is in a user namespace \
         itself and has others; choose from those of /proc/self/uid_map"
    )
}

/// The ids for `yes`, as with systemd-nspawn: the range of 65536 ids with the owner
/// of the root directory.
fn of_root(owner: Owner) -> Result<IdMap> {
    owner.ids().context(
        "--private-users=yes uses the ids of the root directory's owner, but its user and its \
         group are not of one range; change both to the same number, a multiple of 65536, or \
         use --private-users=pick",
    )
}

/// The owner of a tree. A tree that does not exist yet will belong to the host's root.
fn owner(root: &Path) -> Result<Owner> {
    match Owner::of(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Owner::HOST),
        answer => answer.with_context(|| format!("cannot stat {}", root.display())),
    }
}

fn mapping(ids: IdMap) -> Result<Option<Mapping>> {
    if ids.is_identity() {
        return Ok(None);
    }
    let cannot = || format!("cannot make a user namespace with the users {ids}");
    Mapping::new(ids).map(Some).with_context(cannot)
}

impl Users {
    /// Whether the kernel can map the owners of the tree at `path`; if `recursive`,
    /// also of the mounts in it. A directory that does not exist yet will be in the
    /// file system of its parent.
    pub fn can_map(&self, path: &Path, recursive: bool) -> Result<bool> {
        let existing = path.ancestors().find(|path| path.exists());
        match (&self.mapping, existing) {
            (Some(mapping), Some(existing)) => mapping
                .can_show(existing, recursive && existing == path)
                .with_context(|| cannot_check(path)),
            _ => Ok(false),
        }
    }

    /// Whether the kernel can map the owner of the tree at `path` to one user inside.
    pub fn can_map_to_one(&self, path: &Path) -> Result<bool> {
        let can_map = match &self.mapping {
            Some(mapping) => mapping.can_show(path, true),
            // The answer depends on the file system, not on the ids.
            None => Mapping::new(self.ids).and_then(|mapping| mapping.can_show(path, true)),
        };
        can_map.with_context(|| cannot_check(path))
    }

    fn decide_root_owners(
        &self,
        configured: Ownership,
        owner: Owner,
        root: &Path,
    ) -> Result<RootOwners> {
        let decided = match configured {
            Ownership::Off => RootOwners::Unchanged,
            Ownership::Chown => RootOwners::Chowned,
            Ownership::Map | Ownership::Auto if owner.is_among(self.ids) => RootOwners::Unchanged,
            Ownership::Map => {
                self.require_mappable(owner, root)?;
                RootOwners::Mapped
            }
            Ownership::Auto
                if owner.is_among(IdMap::IDENTITY)
                    && exposed_ancestor(root).is_none()
                    && self.can_map(root, true)? =>
            {
                RootOwners::Mapped
            }
            Ownership::Auto => RootOwners::Chowned,
        };
        if decided == RootOwners::Unchanged {
            refuse_interrupted_chown(owner, root)?;
        }
        Ok(decided)
    }

    fn require_mappable(&self, owner: Owner, root: &Path) -> Result<()> {
        let path = root.display();
        refuse_interrupted_chown(owner, root)?;
        if !owner.is_among(IdMap::IDENTITY) {
            bail!(
                "--private-users-ownership=map maps files of the host's users to the container's, \
                 but {path} does not belong to the host's users; {UNDO_CHOWN}"
            );
        }
        if !self.can_map(root, true)? {
            bail!(
                "--private-users-ownership=map does not work on {path}: {} cannot map the owners \
                 of files; use --private-users-ownership=chown",
                mountinfo::file_system_of(root)
            );
        }
        if let Some(exposed) = exposed_ancestor(root) {
            bail!(
                "--private-users-ownership=map does not work on {path}: a file that the \
                 container's root makes setuid would belong to the host's root, and other users \
                 can reach it; `chmod 700 {}`, or use --private-users-ownership=chown",
                exposed.display()
            );
        }
        Ok(())
    }

    /// Of trees that must belong to the container's users, those that do not yet.
    ///
    /// # Errors
    ///
    /// An owner cannot be read; the container's ids are not a range to which the owners
    /// of a tree can be changed.
    pub fn trees_to_chown(&self, trees: impl Iterator<Item = PathBuf>) -> Result<Vec<PathBuf>> {
        let mut to_chown = Vec::new();
        for tree in trees {
            if owner(&tree)?.is_among(self.ids) {
                continue;
            }
            if !owners::can_be_given_to(self.ids) {
                bail!(
                    "cannot change the owners of {} to {}: the ids must be 65536 from a multiple \
                     of 65536 on; choose others with --private-users",
                    tree.display(),
                    self.ids
                );
            }
            to_chown.push(tree);
        }
        Ok(to_chown)
    }

    /// Changes the owner of one file to the container's root.
    pub fn chown_to_root(&self, path: &Path) -> Result<()> {
        let root = Some(self.ids.root());
        std::os::unix::fs::chown(path, root, root).with_context(|| self.cannot_chown(path))
    }

    /// Changes the owners of all files in a tree to the container's users.
    pub fn chown_tree(&self, path: &Path) -> Result<()> {
        owners::chown_tree(path, self.ids).with_context(|| self.cannot_chown(path))
    }

    fn cannot_chown(&self, path: &Path) -> String {
        format!(
            "cannot change the owner of {} to {}",
            path.display(),
            self.ids
        )
    }
}

fn cannot_check(path: &Path) -> String {
    format!("cannot check the file system of {}", path.display())
}

/// A directory above `path` to close, so that other users of the host cannot reach
/// the path; `None` if they cannot. It matters where owners are mapped: a file that
/// the container's root makes setuid belongs to the host's root on the disk.
/// Directories that are missing will be made closed.
pub fn exposed_ancestor(path: &Path) -> Option<PathBuf> {
    let is_closed = |directory: &Path| {
        fs::metadata(directory).map_or(true, |directory| {
            let (group, others) = (directory.mode() & 0o010, directory.mode() & 0o001);
            directory.uid() == 0 && others == 0 && (group == 0 || directory.gid() == 0)
        })
    };
    // A closed way to a link does not close the directory behind it.
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(_) => fs::canonicalize(path.parent()?)
            .ok()?
            .join(path.file_name()?),
    };
    let parent = real.parent()?;
    (!parent.ancestors().any(is_closed)).then(|| parent.to_owned())
}

/// The way that `man 1 systemd-nspawn` tells, `--private-users-ownership=`.
const UNDO_CHOWN: &str =
    "change the owners back with --private-users=0 --private-users-ownership=chown";

fn refuse_interrupted_chown(owner: Owner, root: &Path) -> Result<()> {
    if owner.is_changing() {
        bail!(
            "a change of the owners of the files in {} was interrupted; finish it with the \
             --private-users of that start, or {UNDO_CHOWN}",
            root.display()
        );
    }
    Ok(())
}
