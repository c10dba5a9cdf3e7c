//! What a container has left on the host, found by its name alone.
//!
//! Runs before each start and after each end, under the supervisor's lock; a
//! second time it finds nothing to do. So nothing needs a record of what a
//! killed supervisor had made: namespaces and the mounts in them went with
//! their last process, the rest is here.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use runtime::Origin;
use runtime::rootfs::Root;

use crate::config::ContainerConfig;
use crate::container::Container;
use crate::container::files::{remove_file, remove_tree};
use crate::spec;
use crate::spec::network;

/// Removes all that a container that does not run may have left. Returns what
/// the user has to know of it.
pub fn leftovers(container: &Container) -> Result<Vec<String>> {
    let notices = network::reclaim(container)?;
    remove_cgroup_and_files(container)?;
    Ok(notices)
}

/// Removes what stays after the container's last process. The links go with
/// its network namespace, a little later: the kernel takes its time, and
/// nobody needs to wait for it here. Returns what the user has to know.
pub fn after_end(container: &Container) -> Result<Vec<String>> {
    let notices = network::release(container)?;
    remove_cgroup_and_files(container)?;
    Ok(notices)
}

/// What a command, which has a user in front of it, says of a notice.
pub fn print(notices: &[String]) {
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
    remove_tree(&container.places().temporary(container.name()))?;
    match configured(container) {
        Some(config) => work_directories(container, &config),
        None => Ok(()),
    }
}

/// What the container is, or while it is being destroyed was, configured to be.
/// A broken file is an error of whoever starts the container, not here.
fn configured(container: &Container) -> Option<ContainerConfig> {
    let (places, name) = (container.places(), container.name());
    let files = [places.conf(name), places.tombstone(name)];
    files.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        ContainerConfig::parse(path, &text).ok()
    })
}

/// Removes what the overlays of this configuration have beside their upper
/// directories.
pub fn work_directories(container: &Container, config: &ContainerConfig) -> Result<()> {
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

/// Removes the directory at `path` as it is seen with `root` as `/`.
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
