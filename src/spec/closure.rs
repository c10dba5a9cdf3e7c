//! The store paths that an untrusted container sees: those of its system.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use runtime::rootfs::selection::SelectedNames;

use crate::config::ContainerConfig;
use crate::container::name::ContainerName;
use crate::container::paths::{Places, RunDir};
use crate::container::{Container, create_dir};
use crate::nix::system;

/// Nix' store.
pub(super) const STORE: &str = "/nix/store";

/// The store paths that a container sees.
#[derive(Debug)]
pub struct Closure {
    run: RunDir,
    names: Vec<OsString>,
}

/// The store paths of a container's system; `None` if the container sees the whole
/// store. Asks Nix.
pub(super) fn resolve(
    places: &Places,
    name: &ContainerName,
    config: &ContainerConfig,
) -> Result<Option<Closure>> {
    if !config.untrusted {
        return Ok(None);
    }
    let names = system::closure(&super::system_on_host(places, name, config))?;
    let run = places.run(name);
    Ok(Some(Closure { run, names }))
}

impl Closure {
    /// Makes the names for a start. In the container, the files belong to its root, who
    /// is `owner` on the host.
    pub fn make(&self, owner: u32) -> Result<()> {
        let directory = self.run.store();
        create_dir(&directory, 0o755)?;
        SelectedNames::create(Path::new(STORE), &directory, owner)
            .and_then(|selected| selected.add(&self.names))
            .with_context(|| cannot(&directory))
    }
}

/// Shows the store paths of the container's current system to the running container,
/// beside those that it sees.
pub fn add_current(container: &Container, config: &ContainerConfig) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let Some(closure) = resolve(places, name, config)? else {
        return Ok(());
    };
    let directory = closure.run.store();
    SelectedNames::open(Path::new(STORE), &directory)
        .and_then(|selected| selected.add(&closure.names))
        .with_context(|| cannot(&directory))
}

fn cannot(directory: &Path) -> String {
    format!("cannot select store paths in {}", directory.display())
}
