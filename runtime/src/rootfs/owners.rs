//! Owners of files in a user namespace: the kernel maps the owners on the disk, or
//! the files are given to the ids of the namespace.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, IFlags, Mode, OFlags, ResolveFlags, Stat, Uid, ioctl_getflags,
    ioctl_setflags,
};
use rustix::io::Errno;

use super::{acl, mount};
use crate::spec::idmap::IdMap;
use crate::sys::directory::entries;
use crate::sys::proc::descriptor_path;
use crate::sys::user_namespace;

/// A user namespace without a process, for the maps of mounts.
#[derive(Debug)]
pub struct Mapping(OwnedFd);

impl Mapping {
    /// Makes one with these ids.
    pub fn new(ids: IdMap) -> io::Result<Self> {
        user_namespace::without_process(&ids.line(), &ids.line()).map(Self)
    }

    /// Whether the kernel can map the owners of the tree at `path`; with
    /// `recursive`, of the mounts in it, too. Each file system has to support that.
    pub fn can_show(&self, path: &Path, recursive: bool) -> io::Result<bool> {
        let source = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let tree = mount::clone_tree(source.as_fd(), recursive)?;
        match mount::map_owners(tree.as_fd(), recursive, self.0.as_fd()) {
            Ok(()) => Ok(true),
            // The file system does not support it, or belongs to a user namespace
            // further outside (man 2 mount_setattr).
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The lower half of an id, which is the id inside. The upper half tells the user
/// namespaces apart.
const INSIDE: u32 = 0xffff;

/// The upper half of the ids of a tree's root directory while its owners change. No
/// user has such ids. systemd-nspawn uses the same mark, so that either program can
/// finish what the other has begun.
const CHANGING: u32 = 0xfffe_0000;

/// The owner of a tree: user and group of its root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// The host's root.
    pub const HOST: Self = Self { user: 0, group: 0 };

    /// The owner of the tree at `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::by(&rustix::fs::stat(path)?))
    }

    fn by(stat: &Stat) -> Self {
        Self {
            user: stat.st_uid,
            group: stat.st_gid,
        }
    }

    /// Whether a change of the tree's owners was interrupted.
    pub fn is_changing(self) -> bool {
        self.user & !INSIDE == CHANGING || self.group & !INSIDE == CHANGING
    }

    /// Whether the tree belongs to these ids already.
    pub fn is_among(self, ids: IdMap) -> bool {
        ids.contains(self.user) && ids.contains(self.group)
    }

    /// The 65536 ids that the tree belongs to, if they can be told. The host's own
    /// ids are such a range, too.
    pub fn ids(self) -> Option<IdMap> {
        let first = self.user & !INSIDE;
        let ids = IdMap::new(first, INSIDE + 1)?;
        (first == self.group & !INSIDE && !self.is_changing()).then_some(ids)
    }
}

/// Whether a tree can be given to these ids and back: their upper half tells them
/// from others.
pub fn can_be_given_to(ids: IdMap) -> bool {
    ids.root() & INSIDE == 0 && ids.count() == INSIDE + 1
}

/// Gives the tree at `path` to ids for which [`can_be_given_to`] holds: each file to
/// the same user and group inside, within its own file system. If it is interrupted,
/// the owner of the root directory shows that it has to be done again.
pub fn chown_tree(path: &Path, ids: IdMap) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(path, flags, Mode::empty())?;
    if Owner::by(&rustix::fs::fstat(&root)?).is_among(ids) {
        return Ok(());
    }
    let ids = ids.root();
    chown(root.as_fd(), CHANGING)?;
    chown_entries(root.as_fd(), ids)?;
    // All owners must be on the disk before that of the root directory.
    rustix::fs::syncfs(&root)?;
    chown(root.as_fd(), ids)
}

/// A directory of which all files are given, and these directories not yet.
struct Level {
    id: (u64, u64),
    directories: Vec<OsString>,
}

/// Gives all files below a directory, each directory after the files in it. Two are
/// open at a time: the container has chosen the depth of the tree.
fn chown_entries(root: BorrowedFd<'_>, ids: u32) -> io::Result<()> {
    let mut current = root.try_clone_to_owned()?;
    let mut levels = vec![chown_files(current.as_fd(), ids)?];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.directories.pop() {
            if let Some(directory) = open_directory(current.as_fd(), &name, ids)? {
                current = directory;
                levels.push(chown_files(current.as_fd(), ids)?);
            }
            continue;
        }
        levels.pop();
        if let Some(above) = levels.last() {
            chown(current.as_fd(), ids)?;
            current = open_parent(current.as_fd(), above)?;
        }
    }
    Ok(())
}

/// Gives the files in a directory; returns its directories.
fn chown_files(directory: BorrowedFd<'_>, ids: u32) -> io::Result<Level> {
    let mut level = Level {
        id: identity(directory)?,
        directories: Vec::new(),
    };
    for entry in entries(directory)? {
        match entry? {
            (name, FileType::Directory | FileType::Unknown) => level.directories.push(name),
            (name, _) => chown_file(directory, &name, ids)?,
        }
    }
    Ok(level)
}

/// Opens a directory of the same file system. A file that has the name now is given.
/// A mount point is left alone: it shows another file system.
fn open_directory(parent: BorrowedFd<'_>, name: &OsStr, ids: u32) -> io::Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOTDIR | Errno::LOOP) => chown_file(parent, name, ids).map(|()| None),
        Err(Errno::XDEV) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn open_parent(directory: BorrowedFd<'_>, expected: &Level) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::openat(directory, "..", flags, Mode::empty())?;
    if identity(parent.as_fd())? != expected.id {
        return Err(io::Error::other("a directory was moved meanwhile"));
    }
    Ok(parent)
}

fn identity(file: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn chown_file(parent: BorrowedFd<'_>, name: &OsStr, ids: u32) -> io::Result<()> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        Ok(file) => chown(file.as_fd(), ids),
        Err(Errno::XDEV) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives one file, with its access control list.
fn chown(file: BorrowedFd<'_>, ids: u32) -> io::Result<()> {
    let stat = rustix::fs::fstat(file)?;
    let (user, group) = (ids | stat.st_uid & INSIDE, ids | stat.st_gid & INSIDE);
    if (user, group) != (stat.st_uid, stat.st_gid) {
        match set_owner(file, user, group) {
            // Immutable, as NixOS makes /var/empty (man 1 chattr).
            Err(Errno::PERM) => without_attributes(file, || set_owner(file, user, group))?,
            answer => answer?,
        }
        restore_mode(file, &stat)?;
    }
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Ok(());
    }
    acl::change_ids(&descriptor_path(file), |id| ids | id & INSIDE)
}

fn set_owner(file: BorrowedFd<'_>, user: u32, group: u32) -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    rustix::fs::chownat(file, "", Some(user), Some(group), AtFlags::EMPTY_PATH)
}

/// Restores set-user-ID and set-group-ID, which a change of owner takes away
/// (`man 2 chown`).
fn restore_mode(file: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    if !mode.intersects(Mode::SUID | Mode::SGID) {
        return Ok(());
    }
    Ok(rustix::fs::chmod(descriptor_path(file), mode)?)
}

fn without_attributes(
    file: BorrowedFd<'_>,
    change: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(descriptor_path(file), flags, Mode::empty())?;
    let attributes = ioctl_getflags(&file)?;
    ioctl_setflags(&file, attributes - (IFlags::IMMUTABLE | IFlags::APPEND))?;
    let changed = change();
    ioctl_setflags(&file, attributes)?;
    changed
}
