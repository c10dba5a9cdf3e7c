//! `create --force`: a container in the place of another.
//!
//! The new one is made beside the old one, which runs on meanwhile: its
//! configuration is a reservation, its trees have names of their own. When all
//! of it is there, one rename makes the reservation a replacement, and from then
//! on the new container is the one that counts, whoever is killed: the next
//! command that asks for the name puts it into its place before it does anything
//! else.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::container::{self, Container, Turn};
use crate::reclaim::remove_file;
use crate::teardown::remove_tree;
use crate::users;

/// Puts a container into the place of the one that it replaces. The caller has
/// the lock of the old one, which does not run.
pub fn perform(container: &Container, turn: &Turn) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let replacement = places.replacement(name);
    become_readable(&places.reservation(name))?;
    rename(&places.reservation(name), &replacement)?;
    finish(container, turn)
}

/// Finishes a replacement whose process was killed, if there is one.
pub fn finish_killed(container: &Container) -> Result<()> {
    let pending = || container.places().replacement(container.name()).exists();
    // A user who may not change anything sees the old one until root comes.
    if !pending() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let turn = container::take_turn(container.places())?;
    if pending() {
        finish(container, &turn)?;
    }
    Ok(())
}

/// Can be done again from any point on.
fn finish(container: &Container, _: &Turn) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let (staged, trees) = (places.staged_trees(name), places.trees(name));
    for (staged, place) in staged.all().into_iter().zip(trees.all()) {
        if staged.exists() {
            remove_tree(place)?;
            rename(staged, place)?;
        }
    }
    remove_file(&container.run().console_log())?;
    users::forget(container)?;
    rename(&places.replacement(name), &places.conf(name))
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
