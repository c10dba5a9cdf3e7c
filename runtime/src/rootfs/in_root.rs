//! Paths inside a root that other users can write to.
//!
//! A container's files are hostile: each component of a path below its root may be a
//! symbolic link to anywhere, and may change at any moment. Here the kernel resolves
//! every path with the root as `/` (`RESOLVE_IN_ROOT`, `man 2 openat2`) and refuses
//! the magic links of `/proc`, so no path leads out.

mod copy;
mod remove;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dev, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Uid};
use rustix::io::Errno;

pub use copy::Limits;
pub use remove::{NotRemoved, remove_tree};

use crate::sys::directory::entries;
use crate::sys::proc;
use remove::remove_if_present;

/// A directory that is `/` for every path resolved in it.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// Owner of files created here; the calling user if `None`.
    owner: Option<(Uid, Gid)>,
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::CLOEXEC);

impl Root {
    /// Opens a directory as a root. The path to it is trusted.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            directory: rustix::fs::open(path, flags, Mode::empty())?,
            owner: None,
        })
    }

    /// As [`Root::open`], but files and directories that are created belong to the
    /// user and the group of the root itself.
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
                // The kernel cannot tell an escape from a concurrent rename, and
                // asks to try again (man 2 openat2, EAGAIN).
                Err(Errno::AGAIN | Errno::INTR) => {}
                answer => return answer,
            }
        }
    }

    /// A handle on the file that the path leads to, without opening it.
    pub fn resolve(&self, path: &Path) -> io::Result<OwnedFd> {
        Ok(self.open_at(path, OFlags::PATH, Mode::empty())?)
    }

    /// A handle on the file at `path` itself, which may be a symbolic link.
    pub fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        Ok(self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// The names in the directory at `path`.
    pub fn entries(&self, path: &Path) -> io::Result<BTreeSet<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let entries = entries(self.open_at(path, flags, Mode::empty())?)?;
        Ok(entries
            .map(|entry| entry.map(|(name, _)| name))
            .collect::<Result<_, _>>()?)
    }

    /// The path without links in it. A process that can write below the root can
    /// change that afterwards.
    pub fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let handle = self.resolve(path)?;
        let root = path_of(self.directory.as_fd())?;
        match path_of(handle.as_fd())?.strip_prefix(root) {
            Ok(below) => Ok(Path::new("/").join(below)),
            // The file or the root was moved meanwhile.
            Err(_) => Err(Errno::NOENT.into()),
        }
    }

    /// A handle on the directory at `path`. Missing directories on the way are made
    /// with mode 0755.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.open_at(path, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => {}
            answer => return Ok(answer?),
        }
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.chown(parent.as_fd(), name)?,
            // Another process was faster, or a dangling symbolic link is in the
            // way; opening it tells which.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(self.open_at(path, DIRECTORY, Mode::empty())?)
    }

    /// A handle on the directory at `path`, which is made with mode 0700 if missing.
    /// A file that is not a directory of the calling user is refused, so that no
    /// other user can choose the directory.
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

    /// A handle on the file at `path`; an empty file is made if it is missing.
    pub fn create_file_if_missing(&self, path: &Path) -> io::Result<OwnedFd> {
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::openat(parent, name, NEW_FILE, Mode::from_raw_mode(0o644)) {
            Ok(file) => Ok(file),
            Err(Errno::EXIST) => self.resolve(path),
            Err(errno) => Err(errno.into()),
        }
    }

    /// A handle on an empty file that is made at the end of the symbolic links at
    /// `path`.
    pub fn create_file_behind_links(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(self.open_at(path, flags, Mode::from_raw_mode(0o644))?)
    }

    /// Makes a symbolic link at `path`, which must not exist.
    pub fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        Ok(rustix::fs::symlinkat(target, parent, name)?)
    }

    /// Makes a character device that any user may open at `path`, which must not
    /// exist.
    pub fn create_character_device(&self, path: &Path, device: Dev) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(&parent, name, FileType::CharacterDevice, mode, device)?;
        // The mask took bits away (`man 2 umask`).
        Ok(rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())?)
    }

    /// Puts a file with these contents at `path`, whole or not at all. A file or
    /// symbolic link there is replaced, not followed.
    pub fn replace_file(&self, path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let mut temporary = name.to_os_string();
        temporary.push(".tmp");
        remove_if_present(parent.as_fd(), &temporary, AtFlags::empty())?;
        self.write_new(parent.as_fd(), &temporary, contents, mode)?;
        Ok(rustix::fs::renameat(&parent, &temporary, &parent, name)?)
    }

    /// Renames a file to `to`. Returns false, without effect, if `to` exists.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<bool> {
        false_if_present(self.rename_with(from, to, RenameFlags::NOREPLACE))
    }

    /// Exchanges two files, which must exist, in one step.
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

    /// Removes the directory at `path` and all files in it, see [`remove_tree`].
    pub fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        remove_tree(parent.as_fd(), name).map_err(io::Error::other)
    }

    /// Removes the file at `path`, if it exists; of a symbolic link, the link itself.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = split(path)?;
        match self.open_at(parent, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
            Ok(parent) => remove_if_present(parent.as_fd(), name, AtFlags::empty()),
        }
    }

    /// Creates a file with these contents. Returns false, without effect, if `path`
    /// exists, even as a symbolic link to nothing.
    pub fn create_file(&self, path: &Path, contents: &[u8], mode: u32) -> io::Result<bool> {
        let (parent, name) = self.parent_of(path)?;
        false_if_present(self.write_new(parent.as_fd(), name, contents, mode))
    }

    /// Writes a file that does not exist yet, to the disk.
    fn write_new(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        contents: &[u8],
        mode: u32,
    ) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        let mut file = File::from(rustix::fs::openat(parent, name, NEW_FILE, mode)?);
        self.chown(file.as_fd(), OsStr::new(""))?;
        file.write_all(contents)?;
        rustix::fs::fchmod(&file, mode)?;
        file.sync_all()
    }

    /// The contents of the regular file at `path`, at most `limit` bytes. Other kinds
    /// of files are refused: a FIFO would block, a device act.
    pub fn read_file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let Some(file) = self.open_regular(path)? else {
            return Err(io::Error::other("not a regular file"));
        };
        let mut contents = Vec::new();
        file.take(limit).read_to_end(&mut contents)?;
        Ok(contents)
    }

    /// Opens the regular file at `path` for reading; `None` for other kinds of files.
    fn open_regular(&self, path: &Path) -> Result<Option<File>, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_at(path, flags, Mode::empty())?;
        let mode = rustix::fs::fstat(&file)?.st_mode;
        Ok((FileType::from_raw_mode(mode) == FileType::RegularFile).then(|| file.into()))
    }

    /// Gives the file `name` in a directory to the owner. An empty name is that of
    /// the open file itself.
    fn chown(&self, file: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        let Some((user, group)) = self.owner else {
            return Ok(());
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        Ok(rustix::fs::chownat(
            file,
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

/// False if something has the name already.
fn false_if_present(made: io::Result<()>) -> io::Result<bool> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        answer => answer.map(|()| true),
    }
}

/// The path of an open file, as the calling process sees it.
fn path_of(file: BorrowedFd<'_>) -> io::Result<PathBuf> {
    std::fs::read_link(proc::descriptor_path(file))
}

/// The directory of a path, and the name in it.
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

/// The owner of files that the calling thread creates.
fn file_system_user() -> u32 {
    // No user has this id, so the call changes nothing and returns the present one
    // (man 2 setfsuid, BUGS).
    nix::unistd::setfsuid(u32::MAX.into()).as_raw()
}
