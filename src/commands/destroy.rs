//! `destroy`: a container gone whole.

use std::fs;
use std::io;

use anyhow::{Context, Result, bail};
use rustix::fs::Access;

use crate::container::Container;
use crate::{manager, teardown};

/// `destroy NAME…`
pub fn destroy(container: &Container, force: bool) -> Result<()> {
    let places = container.places();
    let conf = places.conf(container.name());
    match rustix::fs::access(&conf, Access::WRITE_OK) {
        Ok(()) => {}
        Err(rustix::io::Errno::NOENT) => return teardown::finish_destruction(container),
        Err(_) => bail!(
            "container '{}' is declared in the host's configuration; remove it there and run \
             `nixos-rebuild switch`",
            container.name()
        ),
    }
    if force {
        manager::kill(container)?;
    } else {
        manager::stop(container, None)?;
    }
    let _nobody_starts_it = manager::hold(container)?;
    // In one step the container is gone; the rest can be done again.
    match fs::rename(&conf, places.tombstone(container.name())) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", conf.display()))
        }
        _ => teardown::finish_destruction(container),
    }
}
