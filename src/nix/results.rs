//! The results of builds inside.
//!
//! `nix-build` makes a link to what it has built, such as `/root/result`, and has the
//! daemon keep it: the daemon makes a link to that link in a directory of the host (`man
//! 1 nix-store`, `--add-root`). On the host, the path leads elsewhere or nowhere, and the
//! host's garbage collector removes the link. So the paths are looked up in the
//! container, and remembered.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use runtime::rootfs::Root;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::store_path::StorePath;

/// The directory of the host's garbage collector roots.
const GCROOTS: &str = "/nix/var/nix/gcroots";

/// The directory below it in which the daemon makes its links. The first link makes it.
const AUTO: &str = "auto";

/// Links that are remembered for one container.
const MAX_RESULTS: usize = 1024;

/// Links of the daemon that are read. Those of the host and of all containers are in one
/// directory.
const MAX_LINKS: usize = 65536;

/// Links of the daemon that have been looked up already, by name and inode: the daemon
/// replaces the link when a result is replaced.
#[derive(Debug, Default)]
pub struct LookedUp(HashSet<(OsString, u64)>);

/// The paths of the results of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results(BTreeSet<PathBuf>);

impl Results {
    /// Those that are remembered in a file, which the container cannot write.
    pub fn read(record: &Path) -> io::Result<Self> {
        let text = match fs::read(record) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            answer => answer?,
        };
        let paths = text
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty());
        let paths = paths.map(|path| PathBuf::from(OsStr::from_bytes(path)));
        Ok(Self(paths.collect()))
    }

    /// Remembers them.
    pub fn write(&self, record: &Path) -> io::Result<()> {
        let paths: Vec<_> = self.0.iter().map(|path| path.as_os_str()).collect();
        netns::files::replace(record, paths.join(OsStr::new("\0")).as_bytes())
    }

    /// Adds the paths that the daemon has links to, of this container or not. `prepare`
    /// gets the directory before it is read; it is returned.
    pub fn add_of_daemon(
        &mut self,
        looked_up: &mut LookedUp,
        mut prepare: impl FnMut(BorrowedFd<'_>),
    ) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let gcroots = rustix::fs::open(GCROOTS, flags, Mode::empty())?;
        let open = || rustix::fs::openat(&gcroots, AUTO, flags, Mode::empty());
        let directory = match open() {
            Err(Errno::NOENT) => {
                prepare(gcroots.as_fd());
                match open() {
                    Err(Errno::NOENT) => return Ok(gcroots),
                    opened => opened?,
                }
            }
            opened => opened?,
        };
        prepare(directory.as_fd());
        let mut present = HashSet::new();
        for entry in Dir::read_from(&directory)?.take(MAX_LINKS) {
            let entry = entry?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            let key = (name, entry.ino());
            if !looked_up.0.contains(&key)
                && let Ok(path) = rustix::fs::readlinkat(&directory, &key.0, Vec::new())
            {
                self.0.insert(OsString::from_vec(path.into_bytes()).into());
            }
            present.insert(key);
        }
        *looked_up = LookedUp(present);
        Ok(directory)
    }

    /// Keeps those that are links into the store in the container's root directory on the
    /// disk; the store paths that they lead to.
    pub fn look_up(&mut self, root: &Path) -> BTreeSet<StorePath> {
        let mut found = BTreeSet::new();
        // An ephemeral container has no directory on the disk.
        let Ok(root) = Root::open(root) else {
            self.0.clear();
            return found;
        };
        let mut left = MAX_RESULTS;
        self.0.retain(|path| {
            let result = root.find(path).ok().filter(|_| left > 0);
            let target = result.and_then(|link| rustix::fs::readlinkat(link, "", Vec::new()).ok());
            let target =
                target.map(|target| PathBuf::from(OsString::from_vec(target.into_bytes())));
            let store_path = target.and_then(|target| StorePath::containing(&target));
            let is_result = store_path.is_some();
            left -= usize::from(is_result);
            found.extend(store_path);
            is_result
        });
        found
    }
}
