//! Removal of a tree that another user has made.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::fs::{ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Setter, ioctl, opcode};

use crate::sys::directory::entries;

/// Files that could not be removed, with the causes.
#[derive(Debug, thiserror::Error)]
#[error("{}", list(.0))]
pub struct NotRemoved(pub Vec<(PathBuf, io::Error)>);

/// The number of files that an error names.
const NAMED: usize = 10;

fn list(left: &[(PathBuf, io::Error)]) -> String {
    let named = left.iter().take(NAMED);
    let mut lines: Vec<_> = named
        .map(|(path, error)| format!("{}: {error}", path.display()))
        .collect();
    if left.len() > NAMED {
        lines.push(format!("and {} more", left.len() - NAMED));
    }
    lines.join("; ")
}

/// Removes the directory `name` below `parent` and all files in it, within its own
/// file system. Mounts below stay, and their mount points are reported as busy. A
/// file that cannot be removed does not keep the others.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), NotRemoved> {
    let mut lifted = 0;
    loop {
        let mut removal = Removal {
            top: None,
            lifted,
            left: Vec::new(),
        };
        removal.remove(parent, name, Path::new(name), 0);
        match removal {
            Removal { left, .. } if left.is_empty() => return Ok(()),
            // The lifted directories are within reach now.
            Removal { lifted: more, .. } if more > lifted => lifted = more,
            Removal { left, .. } => return Err(NotRemoved(left)),
        }
    }
}

/// The number of levels below the top where directories are removed in place. Each
/// costs two descriptors and a stack frame, and the container has chosen the depth
/// of the tree.
const DEEPEST: usize = 32;

/// One walk through a tree.
struct Removal {
    /// The tree's own directory. Directories that are too deep are lifted into
    /// it, to be removed by the next walk.
    top: Option<OwnedFd>,
    /// The number of lifted directories.
    lifted: usize,
    /// Files that could not be removed.
    left: Vec<(PathBuf, io::Error)>,
}

impl Removal {
    /// `path` is the name in errors.
    fn remove(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path, depth: usize) {
        let before = self.left.len();
        if depth > DEEPEST {
            if let Err(error) = self.remove_or_lift(parent, name) {
                self.left.push((path.to_owned(), error));
            }
            return;
        }
        if let Err(error) = self.empty(parent, name, path, depth) {
            self.left.push((path.to_owned(), error));
        }
        // A directory with files left in it cannot be removed.
        if self.left.len() == before
            && let Err(error) = remove_entry(parent, name)
        {
            self.left.push((path.to_owned(), error));
        }
    }

    /// Removes all files in a directory; does nothing for other kinds of files.
    fn empty(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        depth: usize,
    ) -> io::Result<()> {
        let Some(directory) = open_directory(parent, name)? else {
            return Ok(());
        };
        if depth == 0 {
            self.top = Some(directory.try_clone()?);
        }
        allow_changes(directory.as_fd());
        for entry in entries(&directory)? {
            let (name, _) = entry?;
            self.remove(directory.as_fd(), &name, &path.join(&name), depth + 1);
        }
        Ok(())
    }

    fn remove_or_lift(&mut self, parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        if let Some(directory) = open_directory(parent, name)? {
            allow_changes(directory.as_fd());
        }
        match (remove_entry(parent, name), &self.top) {
            (Err(error), Some(top)) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                self.lifted = lift(parent, name, top.as_fd(), self.lifted)?;
                // It still exists elsewhere.
                Err(error)
            }
            (answer, _) => answer,
        }
    }
}

/// Moves a directory into `top`, under a name with the first free number after
/// `number`; returns that number.
fn lift(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    top: BorrowedFd<'_>,
    number: usize,
) -> io::Result<usize> {
    for number in number + 1.. {
        let place = format!(".removing.{number}");
        match rustix::fs::renameat_with(parent, name, top, place, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            answer => return Ok(answer.map(|()| number)?),
        }
    }
    Err(Errno::EXIST.into())
}

/// Opens a directory of the same file system; `None` for other kinds of files.
fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<OwnedFd>> {
    match open_below(parent, name, OFlags::DIRECTORY) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        // RESOLVE_NO_XDEV met a mount point.
        Err(Errno::XDEV) => Err(Errno::BUSY.into()),
        Err(errno) => Err(errno.into()),
    }
}

fn open_below(parent: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)
}

fn remove_entry(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // Linux' answer for a directory (man 2 unlink).
        Err(Errno::ISDIR) => remove_if_present(parent, name, AtFlags::REMOVEDIR),
        Err(Errno::PERM) if allow_removal(parent, name) => {
            remove_if_present(parent, name, AtFlags::empty())
        }
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn remove_if_present(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    flags: AtFlags,
) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// As [`allow_changes`], for a regular file by its name. Opening other kinds of files
/// could have an effect.
fn allow_removal(parent: BorrowedFd<'_>, name: &OsStr) -> bool {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    if !stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile) {
        return false;
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    open_below(parent, name, flags).is_ok_and(|file| allow_changes(file.as_fd()))
}

/// Allows changes of a file that it forbids itself; returns whether that was needed.
fn allow_changes(file: BorrowedFd<'_>) -> bool {
    clear_attributes(file) | make_subvolume_writable(file)
}

/// `BTRFS_IOC_SUBVOL_GETFLAGS` and `BTRFS_IOC_SUBVOL_SETFLAGS` of `linux/btrfs.h`.
const GET_SUBVOLUME_FLAGS: Opcode = opcode::read::<u64>(0x94, 25);
const SET_SUBVOLUME_FLAGS: Opcode = opcode::write::<u64>(0x94, 26);

/// `BTRFS_SUBVOL_RDONLY` likewise.
const READ_ONLY: u64 = 1 << 1;

/// Makes a read-only subvolume of btrfs writable, as snapshots are (`man 8
/// btrfs-property`, ro). Other files have no such flag.
fn make_subvolume_writable(file: BorrowedFd<'_>) -> bool {
    // SAFETY: the kernel writes a number of 64 bits.
    let flags = unsafe { ioctl(file, Getter::<GET_SUBVOLUME_FLAGS, u64>::new()) };
    flags.is_ok_and(|flags| {
        // SAFETY: the kernel reads a number of 64 bits.
        let set = |flags| unsafe { ioctl(file, Setter::<SET_SUBVOLUME_FLAGS, u64>::new(flags)) };
        flags & READ_ONLY != 0 && set(flags & !READ_ONLY).is_ok()
    })
}

/// Clears the immutable and append-only attributes (`man 1 chattr`), as NixOS sets
/// them on `/var/empty`; returns whether it has cleared one.
fn clear_attributes(file: BorrowedFd<'_>) -> bool {
    let locked = IFlags::IMMUTABLE | IFlags::APPEND;
    ioctl_getflags(file)
        .is_ok_and(|flags| flags.intersects(locked) && ioctl_setflags(file, flags - locked).is_ok())
}
