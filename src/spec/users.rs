//! Which users of the host a container's are, and how its files come to belong
//! to them.

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

pub use ranges::{claim, forget};

/// The users of a container that are not the host's.
#[derive(Debug)]
pub struct Users {
    /// Who they are on the host.
    pub ids: IdMap,
    /// The files below the root directory are shown as theirs.
    pub map_root: bool,
    /// Trees that are to be given to them before each start.
    pub given: Vec<PathBuf>,
    /// `None` where an id is the same inside.
    mapping: Option<Mapping>,
}

/// The users of a container as configured; `None` for the host's. Changes
/// nothing.
pub fn resolve(container: &Container, config: &ContainerConfig) -> Result<Option<Users>> {
    let root = container.places().root(container.name());
    let owner = owner(&root)?;
    let Some(ids) = ids(container, config, owner)? else {
        refuse_half_given(owner, &root)?;
        return Ok(None);
    };
    let mut users = Users {
        ids,
        map_root: false,
        given: Vec::new(),
        mapping: mapping(ids)?,
    };
    match users.ownership(config.ownership, owner, &root)? {
        Ownership::Map => users.map_root = true,
        Ownership::Chown => users.give(root)?,
        Ownership::Off | Ownership::Auto => refuse_half_given(owner, &root)?,
    }
    Ok(Some(users))
}

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

/// Why there can be no user namespace, if there can be none.
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

/// The users and groups that there are: all numbers, unless the host is in a user
/// namespace itself (`man 7 user_namespaces`, "User and group ID mappings").
fn existing() -> Result<Vec<IdMap>> {
    let ranges = proc::own_ids()
        .context("cannot read /proc/self/uid_map")?
        .into_iter();
    Ok(ranges
        .filter_map(|ids| IdMap::new(ids.first, ids.count))
        .collect())
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

/// `yes`: systemd-nspawn takes the 65536 ids that the root directory's owner is
/// among.
fn of_root(owner: Owner) -> Result<IdMap> {
    owner.ids().context(
        "--private-users=yes takes the users that the root directory belongs to, but its user \
         and its group do not go together; give it to a user and a group of the same number, \
         a multiple of 65536, or use --private-users=pick",
    )
}

/// Whose the root directory is. One that does not exist yet will be the host's
/// root's.
fn owner(root: &Path) -> Result<Owner> {
    match Owner::of(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Owner::HOST),
        answer => answer.with_context(|| format!("cannot look at {}", root.display())),
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
    /// Whether files that are the host's root's can be shown as those of root
    /// inside; if `recursive`, those of all that is mounted there. What does not
    /// exist yet will be on the disk of what is above it.
    pub fn can_map(&self, path: &Path, recursive: bool) -> Result<bool> {
        let existing = path.ancestors().find(|path| path.exists());
        match (&self.mapping, existing) {
            (Some(mapping), Some(existing)) => mapping
                .can_show(existing, recursive && existing == path)
                .with_context(|| format!("cannot look at {}", path.display())),
            _ => Ok(false),
        }
    }

    /// Whether the files of one tree can be shown as those of somebody inside.
    pub fn can_show(&self, path: &Path) -> Result<bool> {
        let shown = match &self.mapping {
            Some(mapping) => mapping.can_show(path, true),
            // Whoever it is, the file system can do it or cannot.
            None => Mapping::new(self.ids).and_then(|mapping| mapping.can_show(path, true)),
        };
        shown.with_context(|| format!("cannot look at {}", path.display()))
    }

    /// What has to be done for the root directory, [`Ownership::Off`] for
    /// nothing.
    fn ownership(&self, wanted: Ownership, owner: Owner, root: &Path) -> Result<Ownership> {
        Ok(match wanted {
            Ownership::Off | Ownership::Chown => wanted,
            Ownership::Map | Ownership::Auto if owner.is_among(self.ids) => Ownership::Off,
            Ownership::Map => {
                self.require_mappable(owner, root)?;
                Ownership::Map
            }
            Ownership::Auto
                if owner.is_among(IdMap::IDENTITY)
                    && open_way(root).is_none()
                    && self.can_map(root, true)? =>
            {
                Ownership::Map
            }
            Ownership::Auto => Ownership::Chown,
        })
    }

    fn require_mappable(&self, owner: Owner, root: &Path) -> Result<()> {
        let path = root.display();
        refuse_half_given(owner, root)?;
        if !owner.is_among(IdMap::IDENTITY) {
            bail!(
                "--private-users-ownership=map shows files of the host's users as those of the \
                 container's, but {path} belongs to none of the host's; {TAKE_BACK}"
            );
        }
        if !self.can_map(root, true)? {
            bail!(
                "--private-users-ownership=map does not work on {path}: {} cannot show files \
                 with other owners; use --private-users-ownership=chown",
                mountinfo::file_system_of(root)
            );
        }
        if let Some(open) = open_way(root) {
            bail!(
                "--private-users-ownership=map does not work on {path}: what its root makes setuid \
                 would be the host's root's, and others can get there; `chmod 700 {}`, or use \
                 --private-users-ownership=chown",
                open.display()
            );
        }
        Ok(())
    }

    /// Has a tree given to the container's users before it starts.
    pub fn give(&mut self, path: PathBuf) -> Result<()> {
        if owner(&path)?.is_among(self.ids) {
            return Ok(());
        }
        if !owners::can_be_given_to(self.ids) {
            bail!(
                "{} can be given to 65536 users from a multiple of 65536 on only, not to {}; \
                 choose others with --private-users",
                path.display(),
                self.ids
            );
        }
        self.given.push(path);
        Ok(())
    }

    /// Makes one file of the host's that of root inside.
    pub fn own(&self, path: &Path) -> Result<()> {
        let root = Some(self.ids.root());
        std::os::unix::fs::chown(path, root, root)
            .with_context(|| format!("cannot give {} to {}", path.display(), self.ids))
    }

    /// Gives what is to be given.
    pub fn give_files(&self) -> Result<()> {
        for path in &self.given {
            owners::chown_tree(path, self.ids)
                .with_context(|| format!("cannot give {} to {}", path.display(), self.ids))?;
        }
        Ok(())
    }
}

/// The directory above a path that would have to be closed to keep the host's
/// other users away from it; `None` if they are. A file that the container's root
/// makes setuid belongs on the disk to who it is shown for, and would be the
/// host's root's. Directories that are missing are made closed.
pub fn open_way(path: &Path) -> Option<&Path> {
    let is_closed = |directory: &Path| {
        fs::metadata(directory).map_or(true, |directory| {
            let (group, others) = (directory.mode() & 0o010, directory.mode() & 0o001);
            directory.uid() == 0 && others == 0 && (group == 0 || directory.gid() == 0)
        })
    };
    let mut above = path.ancestors().skip(1);
    path.parent().filter(|_| !above.any(is_closed))
}

/// As systemd-nspawn's manual page has it.
const TAKE_BACK: &str =
    "give the files back with --private-users=0 --private-users-ownership=chown";

fn refuse_half_given(owner: Owner, root: &Path) -> Result<()> {
    if owner.is_changing() {
        bail!(
            "the files in {} were about to change owners when that was cut short; finish it with \
             the --private-users that they had, or {TAKE_BACK}",
            root.display()
        );
    }
    Ok(())
}
