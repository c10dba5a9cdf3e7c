//! `destroy`: a container gone whole.

use std::fs;
use std::io;

use anyhow::{Context, Result, bail};
use rustix::fs::Access;

use super::life;
use crate::cli::DEFAULT_TIMEOUT_STOP;
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
            "container '{}' stays: {} is read-only; if the container is declared in the host's \
             configuration, remove it there and run `nixos-rebuild switch`",
            container.name(),
            conf.display()
        ),
    }
    if force {
        manager::kill(container)?;
    } else {
        life::stop(container, DEFAULT_TIMEOUT_STOP)?;
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
