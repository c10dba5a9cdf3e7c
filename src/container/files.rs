//! Changes of files and directories of the host, by their paths.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};

use super::mountinfo;

/// Removes a file, unless it is missing.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if !is_missing(path) => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether nothing is at the path. The error of `unlink` does not answer that: on a
/// read-only file system it is `EROFS` for missing files too.
fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Removes a directory and everything in it. File systems mounted below it are
/// unmounted first; their contents stay.
pub fn remove_tree(path: &Path) -> Result<()> {
    if is_missing(path) {
        return Ok(());
    }
    let cannot = || format!("cannot remove {}", path.display());
    for mount_point in mount_points_below(path).with_context(cannot)? {
        unmount(&mount_point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .with_context(|| format!("cannot unmount {}", mount_point.display()))?;
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput)).with_context(cannot);
    };
    let parent = File::open(parent).with_context(cannot)?;
    runtime::rootfs::remove_tree(parent.as_fd(), name).with_context(cannot)
}

/// The mount points below a path, the deepest and uppermost first.
fn mount_points_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer?,
    };
    let mounts = fs::read("/proc/self/mountinfo")?;
    let mut below: Vec<_> = mounts
        .split(|byte| *byte == b'\n')
        .filter_map(mountinfo::mount_point)
        .filter(|mount_point| mount_point.starts_with(&path))
        .collect();
    below.reverse();
    Ok(below)
}

/// Opens a configuration file to all readers, when it is no longer used as a lock.
pub fn make_readable(conf: &Path) -> Result<()> {
    fs::set_permissions(conf, Permissions::from_mode(0o644))
        .with_context(|| format!("cannot make {} readable", conf.display()))
}

/// Renames a file, and waits until the change is on the disk.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().unwrap_or(to);
    fs::rename(from, to)
        .and_then(|()| File::open(directory)?.sync_all())
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}
