//! Removal of a container's files: root directory, profiles, GC roots, records.

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

/// Undoes a creation that failed or was killed, its reservation last. An existing
/// container of that name, which was to be replaced, stays.
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
        remove_tree(places.nix(name).path())?;
        users::remove_record(container)?;
    }
    remove_tree(&places.creating(name))?;
    remove_file(&places.building(name))?;
    remove_file(&places.reservation(name))
}

/// First line of a reservation whose root directory existed before.
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
            // With an empty one, the creation was killed before it made anything.
            let keep_root = text.is_empty() || text.starts_with(KEEP_ROOT);
            undo_creation(container, keep_root)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(cannot),
    }
}

/// Removes the files of a container that has a tombstone instead of a configuration.
/// The tombstone is removed last: if this process is killed, the next destruction or
/// creation under this name finishes it. After an error, the other files are still
/// removed.
pub fn finish_destruction(container: &Container, _: &RegistryLock) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let tombstone = places.tombstone(name);
    if !tombstone.exists() {
        return Ok(());
    }
    all_of([
        reclaim::remove_leftovers(container).map(|notices| reclaim::print_notices(&notices)),
        remove_trees(&places.trees(name)),
        remove_tree(places.nix(name).path()),
        remove_tree(container.run().path()),
        users::remove_record(container),
        journal::remove_links(container),
        remove_tree(&places.updating(name)),
        remove_file(&places.building(name)),
        remove_file(&netns::files::unfinished(&places.conf(name))),
    ])?;
    remove_file(&tombstone)
}

/// Removes root directory, profiles and GC roots.
fn remove_trees(trees: &Trees) -> Result<()> {
    all_of(trees.all().map(remove_tree))
}

/// Prints all errors but the last, which it returns.
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
