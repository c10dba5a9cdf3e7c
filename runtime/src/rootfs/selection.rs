//! Some entries of a directory, and no others: a directory of links that overlayfs
//! follows. One mount shows any number of entries, and a running container sees an
//! entry that is added (`Documentation/filesystems/overlayfs.rst` of Linux,
//! "Redirect_dir" and "Metadata only copy up").
//!
//! An entry that is a directory is an empty directory with the attribute `redirect`;
//! a file is one without contents, with the attributes `redirect` and `metacopy`. The
//! overlay shows what the name stands for in its lower layer. Links are copied.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::mount;
use crate::spec::mount_attributes::Attributes;

/// The directory of entries in a selection. The overlay's lower layer has entries of
/// its own beside it.
const ENTRIES: &CStr = c"entries";
/// Where an entry is made before it is moved, whole, to [`ENTRIES`].
const UNFINISHED: &CStr = c"unfinished";

const OPAQUE: &CStr = c"trusted.overlay.opaque";
const REDIRECT: &CStr = c"trusted.overlay.redirect";
const METACOPY: &CStr = c"trusted.overlay.metacopy";

/// The names of a selection of entries of one directory, kept in another one.
#[derive(Debug)]
pub struct SelectedNames {
    directory: OwnedFd,
    selection: OwnedFd,
    owner: u32,
}

impl SelectedNames {
    /// Makes an empty selection of entries of `directory` in `selection`, an empty
    /// directory. Entries will belong to the user that is `owner` on the host. Both paths
    /// are the host's own.
    ///
    /// # Errors
    ///
    /// Those of the system calls; the file system of `selection` must support attributes
    /// of the kind `trusted` (`man 7 xattr`).
    pub fn create(directory: &Path, selection: &Path, owner: u32) -> io::Result<Self> {
        let this = Self {
            directory: super::root::open(directory)?,
            selection: super::root::open(selection)?,
            owner,
        };
        for name in [ENTRIES, UNFINISHED] {
            rustix::fs::mkdirat(&this.selection, name, Mode::from_raw_mode(0o755))?;
        }
        let entries = open_at(this.selection.as_fd(), ENTRIES, OFlags::DIRECTORY)?;
        // The lower layer may have a directory of this name.
        rustix::fs::fsetxattr(&entries, OPAQUE, b"y", XattrFlags::empty())?;
        this.give(entries.as_fd())?;
        Ok(this)
    }

    /// Opens a selection that was made before.
    ///
    /// # Errors
    ///
    /// Those of the system calls.
    pub fn open(directory: &Path, selection: &Path) -> io::Result<Self> {
        let selection = super::root::open(selection)?;
        let entries = rustix::fs::statat(&selection, ENTRIES, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Self {
            directory: super::root::open(directory)?,
            selection,
            owner: entries.st_uid,
        })
    }

    /// Adds entries; those that are there stay.
    ///
    /// # Errors
    ///
    /// An entry that does not exist, or is no directory, file or link; and those of the
    /// system calls.
    pub fn add(&self, names: &[OsString]) -> io::Result<()> {
        let entries = open_at(self.selection.as_fd(), ENTRIES, OFlags::DIRECTORY)?;
        let unfinished = open_at(self.selection.as_fd(), UNFINISHED, OFlags::DIRECTORY)?;
        for name in names {
            let name = CString::new(name.as_bytes())?;
            if rustix::fs::statat(&entries, &*name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                continue;
            }
            let what = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", name.to_string_lossy()))
            };
            self.make(unfinished.as_fd(), &name).map_err(what)?;
            rustix::fs::renameat(&unfinished, &*name, &entries, &*name)
                .map_err(|errno| what(errno.into()))?;
        }
        Ok(())
    }

    fn make(&self, place: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let status = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(status.st_mode);
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => {
                ignore_existing(rustix::fs::mkdirat(place, name, mode))?;
                let directory = open_at(place, name, OFlags::DIRECTORY)?;
                redirect(directory.as_fd(), name)?;
                self.finish(directory.as_fd(), &status)
            }
            FileType::RegularFile => {
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(place, name, flags, Mode::RUSR | Mode::WUSR)?;
                rustix::fs::ftruncate(&file, status.st_size.cast_unsigned())?;
                rustix::fs::fsetxattr(&file, METACOPY, b"", XattrFlags::empty())?;
                redirect(file.as_fd(), name)?;
                self.finish(file.as_fd(), &status)
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&self.directory, name, Vec::new())?;
                ignore_existing(rustix::fs::symlinkat(&*target, place, name))?;
                let (uid, gid) = self.ids();
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(place, name, uid, gid, flags)?;
                Ok(rustix::fs::utimensat(place, name, &times(&status), flags)?)
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Gives an entry the owner, mode and time that the container is to see.
    fn finish(&self, entry: BorrowedFd<'_>, status: &Stat) -> io::Result<()> {
        self.give(entry)?;
        rustix::fs::fchmod(entry, Mode::from_raw_mode(status.st_mode))?;
        Ok(rustix::fs::futimens(entry, &times(status))?)
    }

    fn give(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let (uid, gid) = self.ids();
        Ok(rustix::fs::fchown(file, uid, gid)?)
    }

    fn ids(&self) -> (Option<Uid>, Option<Gid>) {
        (
            Some(Uid::from_raw(self.owner)),
            Some(Gid::from_raw(self.owner)),
        )
    }
}

/// A detached, read-only mount of the entries in `selection`. Files of `directory` have
/// the owners that the user namespace `owners` maps them to. Mounts over both
/// directories, which must be the caller's to cover.
pub(crate) fn mount(
    directory: OwnedFd,
    selection: BorrowedFd<'_>,
    owners: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let mut lower = directory;
    // An overlay takes mapped layers only from the caller's mount namespace.
    if let Some(owners) = owners {
        let mapped = mount::clone_tree(lower.as_fd(), false)?;
        mount::map_owners(mapped.as_fd(), false, owners)?;
        mount::attach(mapped.as_fd(), lower.as_fd())?;
        lower = mapped;
    }
    let overlay = mount::redirected(selection, lower.as_fd())?;
    // Only a mount of the caller's namespace can be cloned from a directory in it.
    mount::attach(overlay.as_fd(), selection)?;
    let entries = open_at(overlay.as_fd(), ENTRIES, OFlags::PATH | OFlags::DIRECTORY)?;
    let tree = mount::clone_tree(entries.as_fd(), false)?;
    mount::restrict(tree.as_fd(), Attributes::READ_ONLY, false)?;
    Ok(tree)
}

fn redirect(entry: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let path = [b"/", name.to_bytes()].concat();
    Ok(rustix::fs::fsetxattr(
        entry,
        REDIRECT,
        &path,
        XattrFlags::empty(),
    )?)
}

fn open_at(directory: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

fn ignore_existing(answer: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match answer {
        Err(Errno::EXIST) => Ok(()),
        answer => answer,
    }
}

fn times(status: &Stat) -> Timestamps {
    let time = Timespec {
        tv_sec: status.st_mtime,
        tv_nsec: status.st_mtime_nsec.try_into().unwrap_or(0),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
