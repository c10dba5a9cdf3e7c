//! The mount of a container's root. Each function mounts over the container's root
//! directory and returns the mount: `pivot_root` needs a mount point of the
//! caller's namespace (`man 2 pivot_root`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::mount;
use crate::spec::mount_attributes::Attributes;

/// The directory itself, with the host's mounts below it, which are read-only if
/// `read_only_below`. All files have the owners that the user namespace `owners`
/// maps them to.
pub(crate) fn bind(
    directory: &Path,
    owners: Option<BorrowedFd<'_>>,
    read_only_below: bool,
) -> io::Result<OwnedFd> {
    let directory = open(directory)?;
    let tree = mount::clone_tree(directory.as_fd(), true)?;
    if let Some(owners) = owners {
        mount::map_owners(tree.as_fd(), true, owners)?;
    }
    if read_only_below {
        mount::make_read_only_below(tree.as_fd())?;
    }
    mount::attach(tree.as_fd(), directory.as_fd())?;
    Ok(tree)
}

/// An empty file system in memory.
pub(crate) fn empty(directory: &Path, options: &[(String, String)]) -> io::Result<OwnedFd> {
    let directory = open(directory)?;
    let root = mount::create("tmpfs", "tmpfs", options, Attributes::NONE)?;
    mount::attach(root.as_fd(), directory.as_fd())?;
    Ok(root)
}

/// The directory, without the mounts below it; changes go to memory. For `owners`
/// see [`bind`].
pub(crate) fn overlay(
    directory: &Path,
    owners: Option<BorrowedFd<'_>>,
    options: &[(String, String)],
) -> io::Result<OwnedFd> {
    let mut lower = open(directory)?;
    // An overlay shows the owners of its layers. It takes mapped layers, too, only
    // from the caller's mount namespace.
    if let Some(owners) = owners {
        let mapped = mount::clone_tree(lower.as_fd(), false)?;
        mount::map_owners(mapped.as_fd(), false, owners)?;
        mount::attach(mapped.as_fd(), lower.as_fd())?;
        lower = mapped;
    }
    // An overlay takes its upper directory only from a mount of the caller's
    // namespace. Any place would do: the overlay covers this one, and it is detached
    // with the host's tree.
    let memory = empty(directory, options)?;
    let make = |name: &str| {
        rustix::fs::mkdirat(&memory, name, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&memory, name, flags, Mode::empty())
    };
    let (upper, work) = (make("upper")?, make("work")?);
    let changes = Some((upper.as_fd(), work.as_fd()));
    let root = mount::overlay(&[lower.as_fd()], changes, Attributes::NONE)?;
    mount::attach(root.as_fd(), memory.as_fd())?;
    Ok(root)
}

pub(super) fn open(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty())
}
