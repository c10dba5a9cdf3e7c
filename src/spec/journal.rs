//! A container's journal where the host's `journalctl --merge` finds it: below
//! `/var/log/journal`, in the directory of the container's machine id.
//!
//! The id is in a file that the container can write. With that of another one
//! it would get the other's journal; so a directory says by an attribute which
//! container it was made for, and serves no other.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::{Attributes, Bind, Content, Directory, Id128, Mount, Origin, Owners, Root, RootTree};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::users::Users;
use crate::config::LinkJournal;
use crate::container::Container;
use crate::container::files::remove_file;

/// Where journals are that outlast a boot (`man 8 systemd-journald`), on the
/// host as inside.
const JOURNALS: &str = "/var/log/journal";

/// Which container a directory is for, by its root directory. Only who is root
/// on the host can set or see it (`man 7 xattr`, "Trusted extended attributes").
const MARK: &str = "trusted.nixos-container";

/// How the journals of host and container are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// They are not.
    None,
    /// The container writes into this directory of the host.
    OnHost {
        /// The directory.
        directory: PathBuf,
        /// Whether it is made first.
        make: bool,
    },
    /// The host has a link into the container's root directory.
    InContainer {
        /// Path of the link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// The directory inside.
        inside: PathBuf,
    },
}

/// What is linked at the next start. Changes nothing.
pub fn resolve(mode: LinkJournal, id: Id128, root: &Root) -> Result<Link> {
    let found = match mode {
        LinkJournal::No => return Ok(Link::None),
        LinkJournal::Host { .. } => on_host(id, root),
        LinkJournal::Guest { .. } => in_container(id, root),
        LinkJournal::Auto => return Ok(existing(id, root).unwrap_or(Link::None)),
    };
    match (mode, found) {
        (LinkJournal::Host { attempt } | LinkJournal::Guest { attempt }, Err(_)) if attempt => {
            Ok(Link::None)
        }
        (_, found) => found.context("cannot link the journal (--link-journal)"),
    }
}

fn directory_of(id: Id128) -> PathBuf {
    Path::new(JOURNALS).join(id.to_string())
}

fn on_host(id: Id128, root: &Root) -> Result<Link> {
    require(id, root)?;
    let directory = directory_of(id);
    let make = match Place::at(&directory)? {
        Place::Nothing => true,
        Place::LinkTo(target) if target.starts_with(&root.directory) => true,
        Place::Directory if is_marked(&directory, root)? => false,
        _ => bail!(
            "{} is there already, and not this container's",
            directory.display()
        ),
    };
    Ok(Link::OnHost { directory, make })
}

fn in_container(id: Id128, root: &Root) -> Result<Link> {
    require(id, root)?;
    let link = directory_of(id);
    let inside = link.clone();
    let relative = inside.strip_prefix("/").unwrap_or(&inside);
    let target = root.directory.join(relative);
    match Place::at(&link)? {
        Place::Nothing => {}
        Place::LinkTo(old) if old.starts_with(&root.directory) => {}
        Place::Directory if is_marked(&link, root)? => bail!(
            "{} holds journals of this container; move them away to have later ones in it",
            link.display()
        ),
        _ => bail!(
            "{} is there already, and not this container's",
            link.display()
        ),
    }
    Ok(Link::InContainer {
        link,
        target,
        inside,
    })
}

/// What an earlier start has linked goes on.
fn existing(id: Id128, root: &Root) -> Option<Link> {
    let directory = directory_of(id);
    match Place::at(&directory).ok()? {
        Place::Nothing | Place::Other => None,
        Place::Directory => match on_host(id, root).ok()? {
            link @ Link::OnHost { make: false, .. } => Some(link),
            _ => None,
        },
        Place::LinkTo(_) => in_container(id, root).ok(),
    }
}

/// What both directions need.
fn require(id: Id128, root: &Root) -> Result<()> {
    if !Path::new(JOURNALS).is_dir() {
        bail!("the host keeps no journal: {JOURNALS} is missing; `mkdir {JOURNALS}` changes that");
    }
    if root.tree != RootTree::Directory || root.empty_var {
        bail!("the container's own is gone after each stop, and its name with it");
    }
    let hosts = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    if Id128::parse(&hosts) == Some(id) {
        bail!("its /etc/machine-id is the host's; remove it from the container");
    }
    Ok(())
}

/// What is at a path.
enum Place {
    Nothing,
    Directory,
    LinkTo(PathBuf),
    Other,
}

impl Place {
    fn at(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot look at {}", path.display());
        let kind = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nothing),
            answer => answer.with_context(cannot)?.file_type(),
        };
        if kind.is_symlink() {
            return Ok(Self::LinkTo(fs::read_link(path).with_context(cannot)?));
        }
        Ok(if kind.is_dir() {
            Self::Directory
        } else {
            Self::Other
        })
    }
}

fn is_marked(directory: &Path, root: &Root) -> Result<bool> {
    let mut mark = [0; libc::PATH_MAX as usize];
    match rustix::fs::lgetxattr(directory, MARK, &mut mark) {
        Ok(length) => Ok(mark[..length] == *root.directory.as_os_str().as_bytes()),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno).with_context(|| format!("cannot look at {}", directory.display())),
    }
}

impl Link {
    /// What shows of the link inside. The host's users can get there, so what is
    /// in it belongs to the container's.
    pub fn mount(&self, users: Option<&mut Users>) -> Result<Option<Mount>> {
        let Self::OnHost { directory, .. } = self else {
            return Ok(None);
        };
        if let Some(users) = users {
            users.give(directory.clone())?;
        }
        Ok(Some(Mount {
            target: directory.clone(),
            content: Content::Bind(Bind {
                origin: Origin::Host,
                source: directory.clone(),
                recursive: false,
                attributes: Attributes {
                    no_suid: true,
                    no_devices: true,
                    no_exec: true,
                    ..Attributes::default()
                },
                owners: Owners::OnDisk,
            }),
        }))
    }

    /// What must be there inside. The mode is systemd's (`tmpfiles.d/systemd.conf`).
    pub fn directory(&self) -> Option<Directory> {
        let Self::InContainer { inside, .. } = self else {
            return None;
        };
        Some(Directory {
            path: inside.clone(),
            mode: 0o2755,
        })
    }

    /// Makes what is to be on the host.
    pub fn make(&self, root: &Root) -> Result<()> {
        match self {
            Self::None | Self::OnHost { make: false, .. } => Ok(()),
            Self::OnHost { directory, .. } => make_directory(directory, root)
                .with_context(|| format!("cannot make {}", directory.display())),
            Self::InContainer { link, target, .. } => {
                if fs::read_link(link).is_ok_and(|old| old == *target) {
                    return Ok(());
                }
                remove_file(link)?;
                symlink(target, link).with_context(|| format!("cannot make {}", link.display()))
            }
        }
    }
}

/// Whole, with its mark, or not at all.
fn make_directory(directory: &Path, root: &Root) -> Result<()> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let making = directory.with_file_name(format!(".{name}.making"));
    match fs::DirBuilder::new().mode(0o755).create(&making) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let mark = root.directory.as_os_str().as_bytes();
    rustix::fs::setxattr(&making, MARK, mark, XattrFlags::empty())
        .context("cannot note whose it is in an attribute")?;
    if fs::symlink_metadata(directory).is_ok_and(|found| found.is_symlink()) {
        remove_file(directory)?;
    }
    Ok(fs::rename(&making, directory)?)
}

/// Removes the host's links to the journal of a container that goes. What its
/// journal has written on the host stays.
pub fn forget(container: &Container) -> Result<()> {
    let root = container.places().trees(container.name()).root;
    let cannot = || format!("cannot look into {JOURNALS}");
    let entries = match fs::read_dir(JOURNALS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        answer => answer.with_context(cannot)?,
    };
    for entry in entries {
        let path = entry.with_context(cannot)?.path();
        if fs::read_link(&path).is_ok_and(|target| target.starts_with(&root)) {
            remove_file(&path)?;
        }
    }
    Ok(())
}
