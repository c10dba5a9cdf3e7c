//! Paths inside a root that somebody else can write.
//!
//! A container's files are hostile: each component of a path below its root
//! may be a symbolic link to anywhere, and may change while it is looked at.
//! Here the kernel resolves every path with the root as `/`
//! (`RESOLVE_IN_ROOT`, `man 2 openat2`) and refuses the magic links of
//! `/proc`, so no path leads out.

mod copy;
mod remove;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Uid};
use rustix::io::Errno;

pub use copy::Limits;
pub use remove::{NotRemoved, remove_tree};

use crate::sys::proc;
use remove::remove_if_present;

/// A directory that is `/` for every path resolved in it.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// Whose what is made here is; whoever makes it, if none.
    owner: Option<(Uid, Gid)>,
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

impl Root {
    /// Opens a directory as a root. The path to the root itself is trusted.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            directory: rustix::fs::open(path, flags, Mode::empty())?,
            owner: None,
        })
    }

    /// The same, where files and directories that are made belong to the user
    /// and the group that the root itself belongs to.
    pub fn open_for_its_owner(path: &Path) -> io::Result<Self> {
        let root = Self::open(path)?;
        let status = rustix::fs::fstat(&root.directory)?;
        let owner = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
        Ok(Self {
            owner: Some(owner),
            ..root
        })
    }

    pub(crate) fn open_at(&self, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(
                &self.directory,
                path,
                flags | OFlags::CLOEXEC,
                mode,
                resolve,
            ) {
                // The kernel cannot tell an escape from a rename beside it
                // (man 2 openat2, EAGAIN) and asks to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                answer => return answer,
            }
        }
    }

    /// A handle on whatever the path leads to, without opening it.
    pub fn resolve(&self, path: &Path) -> io::Result<OwnedFd> {
        Ok(self.open_at(path, OFlags::PATH, Mode::empty())?)
    }

    /// A handle on what is at `path` itself, which may be a symbolic link.
    pub fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        Ok(self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// The names in the directory at `path`.
    pub fn entries(&self, path: &Path) -> io::Result<BTreeSet<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut names = BTreeSet::new();
        for entry in Dir::new(self.open_at(path, flags, Mode::empty())?)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.insert(name);
            }
        }
        Ok(names)
    }

    /// Where the path leads, as a path in the root without links in it. Whoever
    /// can write below the root can change that afterwards.
    pub fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let handle = self.resolve(path)?;
        let root = path_of(self.directory.as_fd())?;
        match path_of(handle.as_fd())?.strip_prefix(root) {
            Ok(below) => Ok(Path::new("/").join(below)),
            // One of them has been moved meanwhile.
            Err(_) => Err(Errno::NOENT.into()),
        }
    }

    /// A handle on the directory at `path`; missing ones on the way to it are
    /// made with mode 0755.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.open_at(path, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => {}
            answer => return Ok(answer?),
        }
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.give_entry(parent.as_fd(), name)?,
            // Somebody was faster, or a dangling symbolic link is in the way;
            // opening it tells which.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(self.open_at(path, DIRECTORY, Mode::empty())?)
    }

    /// A handle on the directory at `path`, which is made with mode 0700 if there
    /// is nothing. Something there that is no directory of this user's own is
    /// refused, so that nobody else can choose what is used.
    pub fn create_own_dir(&self, path: &Path) -> io::Result<OwnedFd> {
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
        if rustix::fs::fstat(&directory)?.st_uid != file_system_user() {
            return Err(Errno::EXIST.into());
        }
        Ok(directory)
    }

    /// A handle on whatever is at `path`; an empty file is made if there is
    /// nothing.
    pub fn create_file_if_missing(&self, path: &Path) -> io::Result<OwnedFd> {
        let (parent, name) = self.parent_of(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => Ok(file),
            Err(Errno::EXIST) => self.resolve(path),
            Err(errno) => Err(errno.into()),
        }
    }

    /// A handle on an empty file that is made where the symbolic links at `path`
    /// lead to.
    pub fn create_file_behind_links(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(self.open_at(path, flags, Mode::from_raw_mode(0o644))?)
    }

    /// A symbolic link at `path`, where nothing must be.
    pub fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        Ok(rustix::fs::symlinkat(target, parent, name)?)
    }

    /// Puts a file with these contents at `path`, whole or not at all, in the
    /// place of whatever was there; a symbolic link is replaced, not followed.
    pub fn replace_file(&self, path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let mut temporary = name.to_os_string();
        temporary.push(".tmp");
        remove_if_present(parent.as_fd(), &temporary, AtFlags::empty())?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let mut file = std::fs::File::from(rustix::fs::openat(&parent, &temporary, flags, mode)?);
        self.give(&file)?;
        file.write_all(contents)?;
        rustix::fs::fchmod(&file, mode)?;
        file.sync_all()?;
        Ok(rustix::fs::renameat(&parent, &temporary, &parent, name)?)
    }

    /// Renames what is at `from` to `to`, where nothing must be; whether there
    /// was nothing.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<bool> {
        match self.rename_with(from, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has two entries of directories change places, in one step. Both must be
    /// there.
    pub fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.rename_with(one, other, RenameFlags::EXCHANGE)
    }

    fn rename_with(&self, from: &Path, to: &Path, how: RenameFlags) -> io::Result<()> {
        let (old_parent, old) = self.parent_of(from)?;
        let (new_parent, new) = self.parent_of(to)?;
        Ok(rustix::fs::renameat_with(
            old_parent, old, new_parent, new, how,
        )?)
    }

    /// Removes the directory at `path` and all that is in it, see
    /// [`remove_tree`].
    pub fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        remove_tree(parent.as_fd(), name).map_err(io::Error::other)
    }

    /// Removes the file at `path`, if there is one; of a symbolic link, the link
    /// itself.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = split(path)?;
        match self.open_at(parent, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
            Ok(parent) => remove_if_present(parent.as_fd(), name, AtFlags::empty()),
        }
    }

    /// A file with these contents at `path`; whether there was nothing yet. A
    /// symbolic link counts as something, and is not followed.
    pub fn create_file(&self, path: &Path, contents: &[u8], mode: u32) -> io::Result<bool> {
        let (parent, name) = self.parent_of(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let mut file = match rustix::fs::openat(&parent, name, flags, mode) {
            Ok(file) => std::fs::File::from(file),
            Err(Errno::EXIST) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        self.give(&file)?;
        file.write_all(contents)?;
        rustix::fs::fchmod(&file, mode)?;
        file.sync_all()?;
        Ok(true)
    }

    /// The contents of the regular file at `path`, at most `limit` bytes of
    /// them. Anything else there (a FIFO would block, a device act) is refused.
    pub fn read_file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let Some(file) = self.open_regular(path)? else {
            return Err(io::Error::other("not a regular file"));
        };
        let mut contents = Vec::new();
        file.take(limit).read_to_end(&mut contents)?;
        Ok(contents)
    }

    /// Opens the regular file at `path` to be read; `None` if it is anything else.
    fn open_regular(&self, path: &Path) -> Result<Option<std::fs::File>, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_at(path, flags, Mode::empty())?;
        let mode = rustix::fs::fstat(&file)?.st_mode;
        Ok((FileType::from_raw_mode(mode) == FileType::RegularFile).then(|| file.into()))
    }

    fn give(&self, file: &std::fs::File) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => Ok(rustix::fs::fchown(file, Some(user), Some(group))?),
            None => Ok(()),
        }
    }

    fn give_entry(&self, parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        let Some((user, group)) = self.owner else {
            return Ok(());
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(
            parent,
            name,
            Some(user),
            Some(group),
            flags,
        )?)
    }

    fn parent_of<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let (parent, name) = split(path)?;
        Ok((self.create_dir_all(parent)?, name))
    }
}

/// Where an open file is, as a path of the calling process.
fn path_of(file: BorrowedFd<'_>) -> io::Result<PathBuf> {
    std::fs::read_link(proc::descriptor_path(file))
}

/// A path's directory, and its name in there.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.components().next_back()) {
        (Some(parent), Some(Component::Normal(name))) => Ok((parent, name)),
        _ => Err(Errno::INVAL.into()),
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Whose the files are that the calling thread makes.
fn file_system_user() -> u32 {
    // Nobody has this id; so it changes nothing, and what it was is the answer
    // all the same (man 2 setfsuid, BUGS).
    nix::unistd::setfsuid(u32::MAX.into()).as_raw()
}
