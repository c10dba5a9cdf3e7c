//! Taking a container apart: its root directory, profiles and roots.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};

use crate::container::{Container, Turn};
use crate::journal;
use crate::lock::Lock;
use crate::mountinfo;
use crate::paths::Trees;
use crate::reclaim::{self, remove_file};
use crate::users;

/// Undoes a creation that failed or was killed, its reservation last. If there
/// is a container of that name, it was to be replaced and stays.
pub fn undo_creation(container: &Container, keep_root: bool) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    remove_trees(&places.staged_trees(name))?;
    if !container.exists() {
        let trees = places.trees(name);
        if !keep_root {
            remove_tree(&trees.root)?;
        }
        remove_tree(&trees.profiles)?;
        remove_tree(&trees.gcroots)?;
        users::forget(container)?;
    }
    remove_tree(&places.creating(name))?;
    remove_file(&places.building(name))?;
    remove_file(&places.reservation(name))
}

/// Marks a reservation whose root directory was there before.
pub const KEEP_ROOT: &str = "# the root directory was there before\n";

/// Undoes a creation that was killed, if there was one.
pub fn clear_away_killed_creation(container: &Container, _: &Turn) -> Result<()> {
    let reservation = container.places().reservation(container.name());
    let cannot = || format!("cannot read {}", reservation.display());
    if Lock::is_held(&reservation).with_context(cannot)? {
        return Ok(());
    }
    match fs::read_to_string(&reservation) {
        Ok(text) => {
            // Empty, it was killed before it had made anything.
            let keep_root = text.is_empty() || text.starts_with(KEEP_ROOT);
            undo_creation(container, keep_root)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(cannot),
    }
}

/// Removes a container of which only a tombstone says that it existed. The
/// tombstone goes last, so that a destruction that is killed is finished by
/// the next one, or by the next creation under this name. What cannot be
/// removed does not keep the rest.
pub fn finish_destruction(container: &Container, _: &Turn) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let tombstone = places.tombstone(name);
    if !tombstone.exists() {
        return Ok(());
    }
    all_of([
        reclaim::leftovers(container).map(|notices| reclaim::print(&notices)),
        remove_trees(&places.trees(name)),
        remove_tree(container.run().path()),
        users::forget(container),
        journal::forget(container),
        remove_tree(&places.updating(name)),
        remove_file(&places.building(name)),
        remove_file(&places.changed_conf(name)),
    ])?;
    remove_file(&tombstone)
}

/// Removes what a container has on the host's disk.
fn remove_trees(trees: &Trees) -> Result<()> {
    all_of(trees.all().map(remove_tree))
}

/// Says all errors but the last, which it returns.
fn all_of<const N: usize>(results: [Result<()>; N]) -> Result<()> {
    let mut errors = results.into_iter().filter_map(Result::err);
    let Some(mut last) = errors.next() else {
        return Ok(());
    };
    for error in errors {
        crate::print_error(&std::mem::replace(&mut last, error));
    }
    Err(last)
}

/// Removes a directory with all that is in it. What is mounted below is
/// unmounted first: it belongs to somebody else and stays as it is.
pub fn remove_tree(path: &Path) -> Result<()> {
    let cannot = || format!("cannot remove {}", path.display());
    for mount_point in mount_points_below(path).with_context(cannot)? {
        unmount(&mount_point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .with_context(|| format!("cannot unmount {}", mount_point.display()))?;
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput)).with_context(cannot);
    };
    match File::open(parent) {
        Ok(parent) => runtime::rooted::remove_tree(parent.as_fd(), name).with_context(cannot),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(cannot),
    }
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
