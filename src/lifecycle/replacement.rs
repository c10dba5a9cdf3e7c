//! `create --force`: a container in the place of another.
//!
//! The new one is made beside the old one, which runs on meanwhile: its
//! configuration is a reservation, its trees have names of their own. When all
//! of it is there, one rename makes the reservation a replacement, and from then
//! on the new container is the one that counts, whoever is killed: the next
//! command that asks for the name puts it into its place before it does anything
//! else.

use anyhow::Result;

use crate::container::Container;
use crate::container::files::{make_readable, remove_file, remove_tree, rename};
use crate::container::registry::{self, RegistryLock};
use crate::spec::users;

/// Puts a container into the place of the one that it replaces. The caller has
/// the lock of the old one, which does not run.
pub fn perform(container: &Container, registry_lock: &RegistryLock) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let replacement = places.replacement(name);
    make_readable(&places.reservation(name))?;
    rename(&places.reservation(name), &replacement)?;
    finish(container, registry_lock)
}

/// Finishes a replacement whose process was killed, if there is one.
pub fn finish_killed(container: &Container) -> Result<()> {
    let pending = || container.places().replacement(container.name()).exists();
    // A user who may not change anything sees the old one until root comes.
    if !pending() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let registry_lock = registry::lock_registry(container.places())?;
    if pending() {
        finish(container, &registry_lock)?;
    }
    Ok(())
}

/// Can be done again from any point on.
fn finish(container: &Container, _: &RegistryLock) -> Result<()> {
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
