//! Files and directories of the host, changed by their paths.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};

use super::mountinfo;

/// Removes a file unless it is gone already.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if !is_gone(path) => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// What `unlink` fails with does not tell: a read-only file system says so first.
fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Removes a directory with all that is in it. What is mounted below is
/// unmounted first: it belongs to somebody else and stays as it is.
pub fn remove_tree(path: &Path) -> Result<()> {
    if is_gone(path) {
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

/// The deepest first, those on top of others before them.
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

/// A configuration that is no lock any more is for everybody to read.
pub fn become_readable(conf: &Path) -> Result<()> {
    fs::set_permissions(conf, Permissions::from_mode(0o644))
        .with_context(|| format!("cannot open {} to its readers", conf.display()))
}

/// Renames, and waits until that is on the disk.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().unwrap_or(to);
    fs::rename(from, to)
        .and_then(|()| File::open(directory)?.sync_all())
        .with_context(|| format!("cannot make {}", to.display()))
}
