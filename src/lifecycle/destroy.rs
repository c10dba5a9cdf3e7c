//! Removal of a container's files: root directory, profiles, GC roots, records.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::reclaim;
use crate::container::Container;
use crate::container::files::{remove_file, remove_tree};
use crate::container::lock::Lock;
use crate::container::paths::Trees;
use crate::container::registry::RegistryLock;
use crate::spec::journal;
use crate::spec::users;

/// What was there before a creation, and stays if that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// An empty root directory, which may be a mount point.
    Root,
    /// Files of a container that is gone.
    Files,
}

impl Kept {
    /// The first line of the reservation.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Root => "# the root directory was there before\n",
            Self::Files => "# files of a container that is gone were there before\n",
        }
    }

    /// What a reservation says.
    fn marked(reservation: &str) -> Self {
        // If it is empty, the creation was killed before it made anything.
        if reservation.is_empty() {
            return Self::Files;
        }
        let marks = [Self::Root, Self::Files].into_iter();
        let mut marks = marks.filter(|kept| reservation.starts_with(kept.mark()));
        marks.next().unwrap_or(Self::Nothing)
    }
}

/// Undoes a creation that failed or was killed, its reservation last. An existing
/// container of that name, which was to be replaced, stays.
pub fn undo_creation(container: &Container, kept: Kept) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    remove_trees(&places.staged_trees(name))?;
    if !container.exists() && kept != Kept::Files {
        let trees = places.trees(name);
        if kept == Kept::Nothing {
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

/// Undoes a creation that was killed, if there was one.
pub fn clear_away_killed_creation(container: &Container, _: &RegistryLock) -> Result<()> {
    let reservation = container.places().reservation(container.name());
    let cannot = || format!("cannot read {}", reservation.display());
    if Lock::is_held(&reservation).with_context(cannot)? {
        return Ok(());
    }
    match fs::read_to_string(&reservation) {
        Ok(text) => undo_creation(container, Kept::marked(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(cannot),
    }
}

/// Removes the files of a container that is gone. Returns the first directory of them;
/// `None` if there are none.
pub fn destroy_orphaned(
    container: &Container,
    registry_lock: &RegistryLock,
) -> Result<Option<PathBuf>> {
    let Some(directory) = container.left_files()? else {
        return Ok(None);
    };
    destroy_unconfigured(container, registry_lock)?;
    Ok(Some(directory))
}

/// Removes the files of a container without a configuration, which is not running.
pub fn destroy_unconfigured(container: &Container, registry_lock: &RegistryLock) -> Result<()> {
    let tombstone = container.places().tombstone(container.name());
    File::create(&tombstone).with_context(|| format!("cannot make {}", tombstone.display()))?;
    finish_destruction(container, registry_lock)
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
    // What stood in the place of the configuration file may be a directory.
    match fs::symlink_metadata(&tombstone).is_ok_and(|there| there.is_dir()) {
        true => remove_tree(&tombstone),
        false => remove_file(&tombstone),
    }
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
