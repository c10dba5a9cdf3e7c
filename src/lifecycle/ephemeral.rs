//! Containers that are destroyed when they stop: those with `DESTROY_ON_STOP` in their
//! configuration, which `create --ephemeral` sets.
//!
//! `EPHEMERAL` alone has no such effect: the NixOS module sets it for containers with
//! an empty root at each start, which exist until the host's configuration no longer
//! declares them. Their configuration is read-only, and a container with a read-only
//! configuration is never destroyed, even with `DESTROY_ON_STOP`.
//!
//! A mark beside the configuration tells that the container has been started. While its
//! supervisor lives, the supervisor holds the container's lock. A mark without a lock is
//! from a supervisor that was killed or a host that lost power; the next command
//! destroys that container.

use std::fs::{self, File};
use std::io;

use anyhow::{Context, Result};

use super::destroy;
use crate::config::ContainerConfig;
use crate::container::files::{remove_file, remove_tree};
use crate::container::paths::Places;
use crate::container::{self, Container};

/// Makes the mark of a started container, if it is to be destroyed when it stops. The
/// caller holds its lock.
pub fn remember_start(container: &Container, config: &ContainerConfig) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    if !config.destroy_on_stop || container.is_declared() {
        return Ok(());
    }
    let mark = places.started(name);
    File::create(&mark)
        .and_then(|_| File::open(places.conf_dir())?.sync_all())
        .with_context(|| format!("cannot make {}", mark.display()))
}

/// Removes the mark, so that the container outlives its next stop.
pub fn forget_start(container: &Container) -> Result<()> {
    remove_file(&container.places().started(container.name()))
}

/// Whether there is a mark, so that the container is destroyed when it stops.
pub fn remembers_start(container: &Container) -> bool {
    container.places().started(container.name()).exists()
}

/// Destroys a stopped container that has a mark. The caller holds its lock.
pub fn destroy_stopped(container: &Container) -> Result<()> {
    if !remembers_start(container) {
        return Ok(());
    }
    let (places, name) = (container.places(), container.name());
    // A creation under the same name waits for this lock.
    let registry_lock = container::registry::lock_registry(places)?;
    let conf = places.conf(name);
    match fs::rename(&conf, places.tombstone(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", conf.display()));
        }
        _ => {}
    }
    destroy::finish_destruction(container, &registry_lock)?;
    forget_start(container)
}

/// Destroys all containers with a mark that are not running.
pub fn destroy_left_over(places: &Places) -> Result<()> {
    for name in container::registry::names(places, Places::name_of_started)? {
        let container = Container::new(places, name);
        let lock = container.try_lock()?;
        if lock.is_some() {
            destroy_stopped(&container)?;
            remove_tree(container.run().path())?;
        }
    }
    Ok(())
}
