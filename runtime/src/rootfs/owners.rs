//! How files of the host come to belong to the users of a user namespace: the
//! kernel shows them so, or they are given to them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, IFlags, Mode, OFlags, ResolveFlags, Stat, Uid, ioctl_getflags,
    ioctl_setflags,
};
use rustix::io::Errno;

use super::{acl, mount};
use crate::spec::idmap::IdMap;
use crate::sys::proc::descriptor_path;
use crate::sys::user_namespace;

/// A user namespace without a process, to show files through.
#[derive(Debug)]
pub struct Mapping(OwnedFd);

impl Mapping {
    /// One with these ids.
    pub fn new(ids: IdMap) -> io::Result<Self> {
        user_namespace::without_process(&ids.line(), &ids.line()).map(Self)
    }

    /// Whether the kernel can show the tree at `path` with other owners; if
    /// `recursive`, with all that is mounted in it. Each file system has to allow
    /// that.
    pub fn can_show(&self, path: &Path, recursive: bool) -> io::Result<bool> {
        let source = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let tree = mount::clone_tree(source.as_fd(), recursive)?;
        match mount::map_owners(tree.as_fd(), recursive, self.0.as_fd()) {
            Ok(()) => Ok(true),
            // The file system is of a kind that cannot, or belongs to a user
            // namespace further outside (man 2 mount_setattr).
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The lower half of an id, which is the id inside; the upper half says whose
/// user namespace it is in.
const INSIDE: u32 = 0xffff;

/// The upper half of the ids of a tree's root directory while the tree changes
/// hands. Nobody has such ids; systemd-nspawn uses the same for the same, so
/// either finishes what the other has begun.
const CHANGING: u32 = 0xfffe_0000;

/// Whose a tree is: user and group of its root directory.
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

    /// Whether the tree was changing hands when that was cut short.
    pub fn is_changing(self) -> bool {
        self.user & !INSIDE == CHANGING || self.group & !INSIDE == CHANGING
    }

    /// Whether it belongs to these users already.
    pub fn is_among(self, ids: IdMap) -> bool {
        ids.contains(self.user) && ids.contains(self.group)
    }

    /// The 65536 ids that it is among, as far as it can be told. The host's own
    /// are such ids, too.
    pub fn ids(self) -> Option<IdMap> {
        let first = self.user & !INSIDE;
        let ids = IdMap::new(first, INSIDE + 1)?;
        (first == self.group & !INSIDE && !self.is_changing()).then_some(ids)
    }
}

/// Whether a tree can be given to these ids: told from the others by their upper
/// half, they can be taken back.
pub fn can_be_given_to(ids: IdMap) -> bool {
    ids.root() & INSIDE == 0 && ids.count() == INSIDE + 1
}

/// Gives the tree at `path` to the users of a user namespace for which
/// [`can_be_given_to`] holds, each file to whom it belongs inside, as far as its
/// own file system reaches. Cut short, it can be done again; the root directory
/// tells until the end that it has to be.
pub fn give_tree(path: &Path, ids: IdMap) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(path, flags, Mode::empty())?;
    if Owner::by(&rustix::fs::fstat(&root)?).is_among(ids) {
        return Ok(());
    }
    let ids = ids.root();
    give(root.as_fd(), CHANGING)?;
    give_entries(root.as_fd(), ids)?;
    // What was given must be so on the disk before the root directory says it.
    rustix::fs::syncfs(&root)?;
    give(root.as_fd(), ids)
}

/// A directory whose entries are being given, but for these below it.
struct Level {
    id: (u64, u64),
    directories: Vec<OsString>,
}

/// Gives all that is below a directory, each directory after what is in it. Two
/// are open at a time: whoever made the tree chose its depth.
fn give_entries(root: BorrowedFd<'_>, ids: u32) -> io::Result<()> {
    let mut current = root.try_clone_to_owned()?;
    let mut levels = vec![give_files(current.as_fd(), ids)?];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.directories.pop() {
            if let Some(directory) = open_directory(current.as_fd(), &name, ids)? {
                current = directory;
                levels.push(give_files(current.as_fd(), ids)?);
            }
            continue;
        }
        levels.pop();
        if let Some(above) = levels.last() {
            give(current.as_fd(), ids)?;
            current = open_parent(current.as_fd(), above)?;
        }
    }
    Ok(())
}

/// Gives what is in a directory, except for directories.
fn give_files(directory: BorrowedFd<'_>, ids: u32) -> io::Result<Level> {
    let mut level = Level {
        id: identity(directory)?,
        directories: Vec::new(),
    };
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        match entry.file_type() {
            FileType::Directory | FileType::Unknown => level.directories.push(name.to_owned()),
            _ => give_file(directory, name, ids)?,
        }
    }
    Ok(level)
}

/// Opens a directory of the same file system. Anything else that has the name is
/// given, and a mount point left alone: what is mounted there is somebody else's.
fn open_directory(parent: BorrowedFd<'_>, name: &OsStr, ids: u32) -> io::Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOTDIR | Errno::LOOP) => give_file(parent, name, ids).map(|()| None),
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

fn give_file(parent: BorrowedFd<'_>, name: &OsStr, ids: u32) -> io::Result<()> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        Ok(file) => give(file.as_fd(), ids),
        Err(Errno::XDEV) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives one file, with its access control list.
fn give(file: BorrowedFd<'_>, ids: u32) -> io::Result<()> {
    let stat = rustix::fs::fstat(file)?;
    let (user, group) = (ids | stat.st_uid & INSIDE, ids | stat.st_gid & INSIDE);
    if (user, group) != (stat.st_uid, stat.st_gid) {
        match chown(file, user, group) {
            // Immutable, as NixOS makes /var/empty (man 1 chattr).
            Err(Errno::PERM) => without_attributes(file, || chown(file, user, group))?,
            answer => answer?,
        }
        restore_mode(file, &stat)?;
    }
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Ok(());
    }
    acl::change_ids(&descriptor_path(file), |id| ids | id & INSIDE)
}

fn chown(file: BorrowedFd<'_>, user: u32, group: u32) -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    rustix::fs::chownat(file, "", Some(user), Some(group), AtFlags::EMPTY_PATH)
}

/// A change of owner takes set-user-ID and set-group-ID away (`man 2 chown`).
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
