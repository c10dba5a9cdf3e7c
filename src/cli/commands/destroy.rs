//! `destroy`: removing a container with all its files.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::container::files;
use crate::container::{self, Container};
use crate::lifecycle::{self, destroy};

/// `destroy NAME…`
pub fn destroy(container: &Container, force: bool) -> Result<()> {
    let places = container.places();
    let conf = places.conf(container.name());
    let is_configured = container.exists();
    if !is_configured && !container.is_supervised() {
        return clear_away(container);
    }
    container.require_imperative()?;
    let _start_lock = if force {
        lifecycle::kill(container)?
    } else {
        lifecycle::stop(
            container,
            Duration::from_secs(lifecycle::DEFAULT_TIMEOUT_STOP),
        )?
    };
    // A creation under the same name waits until all is gone.
    let registry_lock = container::registry::lock_registry(places)?;
    if !is_configured {
        // It ran without a configuration.
        return destroy::destroy_unconfigured(container, &registry_lock);
    }
    // In one step the container is gone; the rest can be done again.
    match fs::rename(&conf, places.tombstone(container.name())) {
        Ok(()) => destroy::finish_destruction(container, &registry_lock),
        // Another process removed the container; only the lock of this one is left.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            files::remove_tree(container.run().path())
        }
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", conf.display())),
    }
}

/// Removes the files of a container that does not exist: those that a killed creation
/// or destruction left, and those of a container that is gone.
fn clear_away(container: &Container) -> Result<()> {
    let registry_lock = container::registry::lock_registry(container.places())?;
    let reservation = container.places().reservation(container.name());
    if reservation.exists() {
        destroy::clear_away_killed_creation(container, &registry_lock)?;
        if reservation.exists() {
            say!("note: {container} is being created; nothing was removed");
        } else if let Some(directory) = container.left_files()? {
            say!(
                "note: undid a creation of {container} that was killed; the files in {} were there \
                 before, and another `nixos-container destroy {}` removes them",
                directory.display(),
                container.name()
            );
        }
        return Ok(());
    }
    destroy::finish_destruction(container, &registry_lock)?;
    if let Some(directory) = destroy::destroy_orphaned(container, &registry_lock)? {
        say!(
            "note: removed {} and the other files that {container} had left",
            directory.display()
        );
    }
    Ok(())
}
