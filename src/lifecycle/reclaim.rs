//! Removal of the resources of a container on the host, found by its name alone.
//!
//! The supervisor does this before each start and after each end, under the
//! container's lock. Doing it twice is harmless. No record of the resources is needed:
//! namespaces and their mounts are gone with their last process, and all other
//! resources have names that are derived from the container's.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use runtime::Origin;
use runtime::rootfs::Root;

use super::{limits, network};
use crate::config::ContainerConfig;
use crate::container::Container;
use crate::container::files::{remove_file, remove_tree};
use crate::spec;

/// Removes all resources of a container that is not running. Returns notices for the
/// administrator.
pub fn remove_leftovers(container: &Container) -> Result<Vec<String>> {
    let notices = network::reclaim(container)?;
    remove_cgroup_and_files(container)?;
    Ok(notices)
}

/// Removes the resources that outlive the container's last process. The kernel removes
/// its links with the network namespace, and this does not wait for that. Returns
/// notices for the administrator.
pub fn clean_up(container: &Container) -> Result<Vec<String>> {
    let notices = network::release(container)?;
    remove_cgroup_and_files(container)?;
    Ok(notices)
}

/// Prints notices, for a command.
pub fn print_notices(notices: &[String]) {
    for notice in notices {
        say!("note: {notice}");
    }
}

fn remove_cgroup_and_files(container: &Container) -> Result<()> {
    let cgroup = container.cgroup()?;
    cgroup
        .remove()
        .with_context(|| format!("cannot remove the cgroup {}", cgroup.path().display()))?;
    let run = container.run();
    for socket in [
        run.control(),
        run.notify(),
        container.places().public(container.name()),
    ] {
        remove_file(&socket)?;
    }
    remove_tree(&run.root())?;
    remove_tree(&run.store())?;
    remove_tree(&container.places().temporary(container.name()))?;
    limits::restore(container)?;
    match configured(container) {
        Some(config) => remove_work_directories(container, &config),
        None => Ok(()),
    }
}

/// The container's configuration, which is in the tombstone while the container is
/// being destroyed. A broken file is an error of the next start, not of the removal.
fn configured(container: &Container) -> Option<ContainerConfig> {
    let (places, name) = (container.places(), container.name());
    let files = [places.conf(name), places.tombstone(name)];
    files.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        ContainerConfig::parse(path, &text).ok()
    })
}

/// Removes the work directories of the overlays of this configuration.
pub fn remove_work_directories(container: &Container, config: &ContainerConfig) -> Result<()> {
    for work in spec::work_directories(config, container.name()) {
        let root = match work.origin {
            Origin::Host => PathBuf::from("/"),
            _ => container.places().root(container.name()),
        };
        remove_below(&root, &work.path)
            .with_context(|| format!("cannot remove {}", work.path.display()))?;
    }
    Ok(())
}

/// Removes the directory at `path`, resolved with `root` as `/`.
fn remove_below(root: &Path, path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match Root::open(root).and_then(|root| root.resolve(parent)) {
        Ok(parent) => runtime::rootfs::remove_tree(parent.as_fd(), name).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
