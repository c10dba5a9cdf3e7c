//! Taking a container apart: its root directory, profiles and roots.

use std::fs;
use std::io;

use anyhow::{Context, Result};

use super::reclaim;
use crate::container::Container;
use crate::container::files::{remove_file, remove_tree};
use crate::container::lock::Lock;
use crate::container::paths::Trees;
use crate::container::registry::RegistryLock;
use crate::spec::journal;
use crate::spec::users;

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
pub fn clear_away_killed_creation(container: &Container, _: &RegistryLock) -> Result<()> {
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
pub fn finish_destruction(container: &Container, _: &RegistryLock) -> Result<()> {
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
        remove_file(&netns::files::unfinished(&places.conf(name))),
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
        crate::report::print_error(&std::mem::replace(&mut last, error));
    }
    Err(last)
}
