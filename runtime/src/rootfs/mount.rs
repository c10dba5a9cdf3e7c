//! The mount system calls as safe functions (`man 2 open_tree`, `man 2 fsopen`,
//! `man 2 move_mount`, `man 2 mount_setattr`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::StatVfsMountFlags;
use rustix::io::{Errno, Result};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::spec::mount_attributes::{Attributes, Propagation};
use crate::sys::proc;

/// A detached copy of the mount that `source` is in, from `source` down; with the
/// mounts below it if `recursive`.
pub(crate) fn clone_tree(source: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(source, "", flags)
}

/// A detached mount of a new file system.
pub(crate) fn create(
    fstype: &str,
    source: &str,
    options: &[(String, String)],
    attributes: Attributes,
) -> Result<OwnedFd> {
    let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", source)?;
    for (key, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(context.as_fd(), key.as_str())?;
        } else {
            fsconfig_set_string(context.as_fd(), key.as_str(), value.as_str())?;
        }
    }
    fsconfig_create(context.as_fd())?;
    let attributes = flags(attributes);
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A detached mount of directories on top of each other, the lowest first. Changes
/// go to the first directory of `changes`, with the second as working directory on
/// the same mount (`Documentation/filesystems/overlayfs.rst` of Linux).
///
/// The directories are named by their descriptors: a path would be resolved again,
/// need escapes for colons, and might exceed the 256 bytes of a parameter
/// (`man 2 fsconfig`). This needs the host's `/proc`.
pub(crate) fn overlay(
    lower: &[BorrowedFd<'_>],
    changes: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
    attributes: Attributes,
) -> Result<OwnedFd> {
    let path = |directory: &BorrowedFd<'_>| proc::descriptor_path(*directory);
    // The kernel wants the uppermost first.
    let lower: Vec<_> = lower.iter().rev().map(path).collect();
    let mut options = vec![("lowerdir".to_owned(), lower.join(":"))];
    if let Some((upper, work)) = changes {
        options.push(("upperdir".to_owned(), path(&upper)));
        options.push(("workdir".to_owned(), path(&work)));
    }
    create("overlay", "overlay", &options, attributes)
}

/// A detached, read-only overlay of `upper` on `lower`, in which entries of `upper` with
/// the attributes `redirect` and `metacopy` show entries of `lower`. This needs the
/// host's `/proc`.
pub(crate) fn redirected(upper: BorrowedFd<'_>, lower: BorrowedFd<'_>) -> Result<OwnedFd> {
    let layers = [upper, lower].map(proc::descriptor_path).join(":");
    let options = [
        ("lowerdir", layers.as_str()),
        ("redirect_dir", "on"),
        ("metacopy", "on"),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    create("overlay", "overlay", &options, Attributes::READ_ONLY)
}

/// Puts a detached mount onto `target`.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

/// Adds attributes to a mount; with `recursive`, also to the mounts below it.
pub(crate) fn restrict(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    recursive: bool,
) -> Result<()> {
    if attributes == Attributes::default() {
        return Ok(());
    }
    set_attributes(mount, recursive, |attr| {
        attr.attr_set = flags(attributes).bits().into()
    })
}

/// Makes all mounts of a tree read-only but the topmost.
pub(crate) fn make_read_only_below(tree: BorrowedFd<'_>) -> Result<()> {
    let flags = rustix::fs::fstatvfs(tree)?.f_flag;
    restrict(tree, Attributes::READ_ONLY, true)?;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    set_attributes(tree, false, |attr| attr.attr_clr = libc::MOUNT_ATTR_RDONLY)
}

/// Shows the files of a detached tree with the owners that a user namespace maps
/// them to: files of root on the disk as those of root inside
/// (`man 2 mount_setattr`, "ID-mapped mounts").
pub(crate) fn map_owners(
    tree: BorrowedFd<'_>,
    recursive: bool,
    user_namespace: BorrowedFd<'_>,
) -> Result<()> {
    set_attributes(tree, recursive, |attr| {
        attr.attr_set = libc::MOUNT_ATTR_IDMAP;
        attr.userns_fd = user_namespace.as_raw_fd().cast_unsigned().into();
    })
}

/// Changes where mount events of the whole tree go (`man 7 mount_namespaces`).
pub(crate) fn set_propagation(tree: BorrowedFd<'_>, propagation: Propagation) -> Result<()> {
    set_attributes(tree, true, |attr| {
        attr.propagation = match propagation {
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Shared => libc::MS_SHARED,
        }
    })
}

fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    change: impl FnOnce(&mut libc::mount_attr),
) -> Result<()> {
    // SAFETY: all-zero is a value of this structure of numbers.
    let mut attr: libc::mount_attr = unsafe { std::mem::zeroed() };
    change(&mut attr);
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the kernel reads an empty string and one mount_attr of the size
    // given; both outlive the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    match nix::errno::Errno::result(answer) {
        Ok(_) => Ok(()),
        Err(errno) => Err(Errno::from_raw_os_error(errno as i32)),
    }
}

fn flags(attributes: Attributes) -> MountAttrFlags {
    let mut flags = MountAttrFlags::empty();
    flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, attributes.read_only);
    flags.set(MountAttrFlags::MOUNT_ATTR_NOSUID, attributes.no_suid);
    flags.set(MountAttrFlags::MOUNT_ATTR_NODEV, attributes.no_devices);
    flags.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, attributes.no_exec);
    flags
}
