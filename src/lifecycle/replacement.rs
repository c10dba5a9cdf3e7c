//! `create --force`: replaces a container by another one.
//!
//! The new container is made beside the old one, which may be running: its
//! configuration is a reservation, and its trees are staged under other names. When it
//! is complete, a rename turns the reservation into a replacement. That commits the
//! change: if a process is killed later, the next command for this name finishes the
//! replacement first.

use anyhow::Result;

use crate::container::Container;
use crate::container::files::{make_readable, remove_file, remove_tree, rename};
use crate::container::registry::{self, RegistryLock};
use crate::spec::users;

/// Replaces the container by the staged one. The caller holds the lock of the old
/// container, which is not running.
pub fn commit(container: &Container, registry_lock: &RegistryLock) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let replacement = places.replacement(name);
    make_readable(&places.reservation(name))?;
    rename(&places.reservation(name), &replacement)?;
    finish(container, registry_lock)
}

/// Finishes a replacement that was interrupted, if there is one.
pub fn finish_interrupted(container: &Container) -> Result<()> {
    let pending = || container.places().replacement(container.name()).exists();
    // Only root can change files; other users see the old container until then.
    if !pending() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let registry_lock = registry::lock_registry(container.places())?;
    if pending() {
        finish(container, &registry_lock)?;
    }
    Ok(())
}

/// Moves the staged trees and the configuration into place. If it is interrupted, it can
/// be done again.
fn finish(container: &Container, _: &RegistryLock) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let (staged, trees) = (places.staged_trees(name), places.trees(name));
    for (staged, tree) in staged.all().into_iter().zip(trees.all()) {
        if staged.exists() {
            remove_tree(tree)?;
            rename(staged, tree)?;
        }
    }
    // The next start makes it, of the new profile.
    remove_tree(places.nix(name).path())?;
    remove_file(&container.run().console_log())?;
    users::remove_record(container)?;
    rename(&places.replacement(name), &places.conf(name))
}
