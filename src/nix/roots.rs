//! The store paths that a container keeps from the garbage collector.
//!
//! The container makes any links in its directories, and the host's Nix would follow
//! them in its own. So links are read in the container's directories, and the host's
//! directory gets one for each store path, named after it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::profile;
use super::store_path::StorePath;

/// Directories that are searched for links. The supervisor keeps them open, and needs
/// descriptors for clients, too.
const MAX_DIRECTORIES: usize = 64;

/// Entries that are read, of all directories together.
const MAX_ENTRIES: usize = 16384;

/// Store paths that one container keeps, beside the generations of its system.
const MAX_ROOTS: usize = 4096;

/// The links that a container has made.
#[derive(Debug, Default)]
pub struct Found {
    /// The store paths that they lead to.
    pub paths: BTreeSet<StorePath>,
    /// The directories that were searched.
    pub directories: Vec<OwnedFd>,
    /// Whether there is more than the limits permit.
    pub is_cut_off: bool,
}

/// Finds all links into the store in the container's directories of profiles and roots.
/// `prepare` gets each directory before it is read. The generations of the system are
/// left out: they have links in a profile on the host.
pub fn find(
    profiles: &Path,
    gcroots: &Path,
    mut prepare: impl FnMut(BorrowedFd<'_>),
) -> io::Result<Found> {
    use std::os::fd::AsFd;
    let mut found = Found::default();
    // The directories to search, and whether the system's profile is in them.
    let mut pending = vec![(open(CWD, profiles)?, true), (open(CWD, gcroots)?, false)];
    let mut entries_left = MAX_ENTRIES;
    while let Some((directory, has_system)) = pending.pop() {
        prepare(directory.as_fd());
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if entries_left == 0 {
                found.is_cut_off = true;
                break;
            }
            entries_left -= 1;
            let bytes = OsStr::from_bytes(name.to_bytes());
            if bytes == "." || bytes == ".." {
                continue;
            }
            if matches!(entry.file_type(), FileType::Symlink | FileType::Unknown)
                && let Ok(target) = rustix::fs::readlinkat(&directory, name, Vec::new())
            {
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                let is_system = has_system && profile::number_of(bytes).is_some();
                if let Some(path) = StorePath::containing(&target).filter(|_| !is_system) {
                    if found.paths.len() < MAX_ROOTS {
                        found.paths.insert(path);
                    } else {
                        found.is_cut_off = true;
                    }
                }
            } else if matches!(entry.file_type(), FileType::Directory | FileType::Unknown)
                && let Ok(below) = open(directory.as_fd(), Path::new(bytes))
            {
                if pending.len() + found.directories.len() + 1 < MAX_DIRECTORIES {
                    pending.push((below, false));
                } else {
                    found.is_cut_off = true;
                }
            }
        }
        found.directories.push(directory);
    }
    Ok(found)
}

/// Makes the links in the host's directory those to `paths`. A path that is not in the
/// store gets none.
pub fn replace(directory: &Path, paths: &BTreeSet<StorePath>) -> io::Result<()> {
    let directory = open(CWD, directory)?;
    let mut present = BTreeMap::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        if let Ok(target) = rustix::fs::readlinkat(&directory, entry.file_name(), Vec::new()) {
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            present.insert(name, PathBuf::from(OsString::from_vec(target.into_bytes())));
        }
    }
    for path in paths {
        match present.remove(path.name()) {
            Some(target) if target == path.path() => continue,
            Some(_) => unlink(&directory, path.name())?,
            None => {}
        }
        if path.exists() {
            rustix::fs::symlinkat(path.path(), &directory, path.name())?;
        }
    }
    for name in present.keys() {
        unlink(&directory, name)?;
    }
    Ok(())
}

fn unlink(directory: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a directory. The last component is not followed if it is a link.
fn open(parent: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, path, flags, Mode::empty())?)
}
