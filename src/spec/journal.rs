//! Links a container's journal to the directory of its machine id below the host's
//! `/var/log/journal`, where `journalctl --merge` reads it.
//!
//! The container can write its machine id, and could take the id of another
//! container to get that one's journal. So an attribute of each directory names the
//! container that it was made for, and no other container gets it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use runtime::{
    Attributes, Bind, Content, Directory, Id128, Mount, Origin, Owners, Root, RootTree, RunFile,
};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::config::LinkJournal;
use crate::container::Container;
use crate::container::files::remove_file;

/// The directory of persistent journals (`man 8 systemd-journald`), on the host and
/// inside.
const JOURNALS: &str = "/var/log/journal";

/// The attribute with the root directory of the container that a directory is for.
/// Only root of the host can read or write it (`man 7 xattr`, "Trusted extended
/// attributes").
const MARK: &str = "trusted.nixos-container";

/// The link between the journals of host and container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// No link.
    None,
    /// A directory of the host is mounted in the container, which writes into it.
    OnHost {
        /// The directory.
        directory: PathBuf,
        /// Whether it must be made first.
        make: bool,
    },
    /// A symlink of the host points into the container's root directory.
    InContainer {
        /// Path of the symlink.
        link: PathBuf,
        /// Its target.
        target: PathBuf,
        /// Path of the target inside.
        inside: PathBuf,
    },
}

/// Chooses the link of the next start. Changes nothing.
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
    check_requirements(id, root)?;
    let directory = directory_of(id);
    let make = match Entry::at(&directory)? {
        Entry::Missing => true,
        Entry::Symlink(target) if target.starts_with(&root.directory) => true,
        Entry::Directory if is_marked(&directory, root)? => false,
        _ => return Err(not_ours(&directory)),
    };
    Ok(Link::OnHost { directory, make })
}

fn in_container(id: Id128, root: &Root) -> Result<Link> {
    check_requirements(id, root)?;
    let link = directory_of(id);
    let inside = link.clone();
    let relative = inside.strip_prefix("/").unwrap_or(&inside);
    let target = root.directory.join(relative);
    match Entry::at(&link)? {
        Entry::Missing => {}
        Entry::Symlink(old) if old.starts_with(&root.directory) => {}
        Entry::Directory if is_marked(&link, root)? => bail!(
            "{} has journals of this container; move it away to keep later journals in the \
             container",
            link.display()
        ),
        _ => return Err(not_ours(&link)),
    }
    Ok(Link::InContainer {
        link,
        target,
        inside,
    })
}

fn not_ours(path: &Path) -> anyhow::Error {
    anyhow!("{} exists and is not this container's", path.display())
}

/// The link of an earlier start.
fn existing(id: Id128, root: &Root) -> Option<Link> {
    let directory = directory_of(id);
    match Entry::at(&directory).ok()? {
        Entry::Missing | Entry::Other => None,
        Entry::Directory => match on_host(id, root).ok()? {
            link @ Link::OnHost { make: false, .. } => Some(link),
            _ => None,
        },
        Entry::Symlink(_) => in_container(id, root).ok(),
    }
}

/// Checks the requirements of both directions.
fn check_requirements(id: Id128, root: &Root) -> Result<()> {
    if !Path::new(JOURNALS).is_dir() {
        bail!(
            "the host has no persistent journal: {JOURNALS} is missing; make it with \
             `mkdir {JOURNALS}`"
        );
    }
    if root.tree != RootTree::Directory || root.empty_var {
        bail!("the container's journal is temporary, like its machine id");
    }
    let hosts = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    if Id128::parse(&hosts) == Some(id) {
        bail!("its /etc/machine-id is the host's; remove it from the container");
    }
    Ok(())
}

/// A directory entry that may be missing.
enum Entry {
    Missing,
    Directory,
    Symlink(PathBuf),
    Other,
}

impl Entry {
    fn at(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot stat {}", path.display());
        let kind = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Missing),
            answer => answer.with_context(cannot)?.file_type(),
        };
        if kind.is_symlink() {
            return Ok(Self::Symlink(fs::read_link(path).with_context(cannot)?));
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
        Err(errno) => {
            Err(errno).with_context(|| format!("cannot read attributes of {}", directory.display()))
        }
    }
}

impl Link {
    /// The directory of the host that the container writes into. Other users of the
    /// host can reach it, so its files must belong to the container's users.
    pub fn host_directory(&self) -> Option<&Path> {
        match self {
            Self::OnHost { directory, .. } => Some(directory),
            Self::None | Self::InContainer { .. } => None,
        }
    }

    /// The mount of the host's directory.
    pub fn mount(&self) -> Option<Mount> {
        let directory = self.host_directory()?;
        Some(Mount {
            target: directory.to_owned(),
            content: Content::Bind(Bind {
                origin: Origin::Host,
                source: directory.to_owned(),
                recursive: false,
                attributes: Attributes::KERNEL,
                owners: Owners::OnDisk,
            }),
        })
    }

    /// The directory that must exist inside. The mode is systemd's
    /// (`tmpfiles.d/systemd.conf`).
    pub fn directory(&self) -> Option<Directory> {
        let Self::InContainer { inside, .. } = self else {
            return None;
        };
        Some(Directory {
            path: inside.clone(),
            mode: 0o2755,
        })
    }

    /// Makes the directory or symlink on the host.
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

/// Makes a directory with its mark, as a whole: it is renamed once it is marked.
fn make_directory(directory: &Path, root: &Root) -> Result<()> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let making = directory.with_file_name(format!(".{name}.making"));
    match fs::DirBuilder::new().mode(0o755).create(&making) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let mark = root.directory.as_os_str().as_bytes();
    rustix::fs::setxattr(&making, MARK, mark, XattrFlags::empty())
        .context("cannot set an attribute")?;
    if fs::symlink_metadata(directory).is_ok_and(|found| found.is_symlink()) {
        remove_file(directory)?;
    }
    Ok(fs::rename(&making, directory)?)
}

/// The configuration of the container's journald with this limit in bytes. It outranks
/// the container's own `journald.conf` (`man 5 journald.conf`, "CONFIGURATION DIRECTORIES
/// AND PRECEDENCE").
pub fn limits(max_use: Option<u64>) -> Vec<RunFile> {
    let file = max_use.map(|bytes| RunFile {
        path: "/run/systemd/journald.conf.d/nixos-container.conf".into(),
        contents: format!("[Journal]\nSystemMaxUse={bytes}\nRuntimeMaxUse={bytes}\n"),
    });
    file.into_iter().collect()
}

/// Removes the host's symlinks to the journal of a container that is being destroyed.
/// Its journals on the host stay.
pub fn remove_links(container: &Container) -> Result<()> {
    let root = container.places().trees(container.name()).root;
    let cannot = || format!("cannot read {JOURNALS}");
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
