//! Keeps a network namespace past the end of its last process, as ip-netns(8)
//! does: by mounting it on a file.
//!
//! When a namespace ends, a physical interface in it goes to the first namespace
//! of the machine, under any name that is free there, and a virtual one is
//! destroyed (network_namespaces(7)). So a namespace with interfaces of the host
//! must not end before they have been moved out.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::fstatfs;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use crate::{Cause, files};

/// The type of the file system of namespaces: `NSFS_MAGIC` in linux/magic.h.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Mounts the namespace on `path`, which is created.
pub fn pin(path: &Path, netns: BorrowedFd<'_>) -> Result<(), Cause> {
    OpenOptions::new().create(true).append(true).open(path)?;
    mount_bind(format!("/proc/self/fd/{}", netns.as_raw_fd()), path)?;
    Ok(())
}

/// The namespace that is mounted on `path`, if there is one.
pub fn pinned(path: &Path) -> Result<Option<File>, Cause> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // The width of the field depends on the architecture.
    #[allow(clippy::unnecessary_cast)]
    let kind = fstatfs(&file)?.f_type as i64;
    Ok((kind == NSFS_MAGIC).then_some(file))
}

/// Unmounts the namespace, so that it can end, and removes the file.
pub fn unpin(path: &Path) -> Result<(), Cause> {
    match unmount(path, UnmountFlags::DETACH) {
        // Not there, or not mounted on.
        Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(files::remove(path)?)
}
