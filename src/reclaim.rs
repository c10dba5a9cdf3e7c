//! What a container has left on the host, found by its name alone.
//!
//! Runs before each start and after each end, under the supervisor's lock; a
//! second time it finds nothing to do. So nothing needs a record of what a
//! killed supervisor had made: namespaces and the mounts in them went with
//! their last process, the rest is here.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

use crate::container::Container;
use crate::network;
use crate::teardown::remove_tree;

/// Removes all that a container that does not run may have left.
pub fn leftovers(container: &Container) -> Result<()> {
    network::reclaim(container)?;
    remove_cgroup_and_files(container)
}

/// Removes what stays after the container's last process. The links go with
/// its network namespace, a little later: the kernel takes its time, and
/// nobody needs to wait for it here.
pub fn after_end(container: &Container) -> Result<()> {
    network::release(container)?;
    remove_cgroup_and_files(container)
}

fn remove_cgroup_and_files(container: &Container) -> Result<()> {
    let cgroup = container.cgroup()?;
    cgroup
        .remove()
        .with_context(|| format!("cannot remove the cgroup {}", cgroup.path().display()))?;
    let run = container.run();
    for socket in [run.control(), run.notify()] {
        remove_file(&socket)?;
    }
    remove_tree(&container.places().temporary(container.name()))
}

/// Removes a file unless it is gone already.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
