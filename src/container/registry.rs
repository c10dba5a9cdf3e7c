//! The list of all containers.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

use super::lock::Lock;
use super::name::ContainerName;
use super::paths::Places;
use super::{Container, create_dir};

/// All containers, sorted by name.
pub fn all(places: &Places) -> Result<Vec<Container>> {
    let names = names(places, name_of_conf)?.into_iter();
    Ok(names.map(|name| Container::new(places, name)).collect())
}

/// All containers, and those that run without a configuration, sorted by name.
pub fn known(places: &Places) -> Result<Vec<Container>> {
    let mut containers = all(places)?;
    // Only root can read the one directory; a socket is in the other while a container
    // runs.
    let running = match rustix::process::geteuid().is_root() {
        true => places.run_dir().to_owned(),
        false => places.public_dir(),
    };
    let running = names_in(&running, |name| name.parse().ok())?.into_iter();
    let running = running.map(|name| Container::new(places, name));
    containers.extend(running.filter(|found| !found.exists() && found.is_supervised()));
    containers.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(containers)
}

/// The names of containers with a file in the directory of configuration files, sorted;
/// `name_of` tells the name by the file's.
pub fn names(
    places: &Places,
    name_of: impl Fn(&str) -> Option<ContainerName>,
) -> Result<Vec<ContainerName>> {
    names_in(places.conf_dir(), name_of)
}

fn names_in(
    directory: &Path,
    name_of: impl Fn(&str) -> Option<ContainerName>,
) -> Result<Vec<ContainerName>> {
    let cannot = || format!("cannot read {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer.with_context(cannot)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(name_of(
            &entry.with_context(cannot)?.file_name().to_string_lossy(),
        ));
    }
    names.sort();
    Ok(names)
}

/// The lock of the registry: containers are made, replaced and removed under it.
#[derive(Debug)]
pub struct RegistryLock(#[expect(dead_code, reason = "held")] Lock);

/// Waits for the lock of the registry.
pub fn lock_registry(places: &Places) -> Result<RegistryLock> {
    create_dir(places.run_dir(), 0o700)?;
    let lock = Lock::wait(&places.run_dir().join(".lock"));
    lock.map(RegistryLock).context("cannot lock the containers")
}

/// Files of other tools in `/etc/containers`, where nixpkgs kept containers
/// before NixOS 22.05 (`man 5 containers.conf` and its neighbours).
const FOREIGN: [&str; 4] = ["containers", "libpod", "registries", "storage"];

/// The container that a configuration file belongs to, by the file's name.
pub fn name_of_conf(file_name: &str) -> Option<ContainerName> {
    let name = file_name.strip_suffix(".conf")?;
    if FOREIGN.contains(&name) {
        return None;
    }
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_tools_are_not_containers() {
        for file in [
            "containers.conf",
            "storage.conf",
            ".foo.creating",
            "a b.conf",
            "foo.conf~",
        ] {
            assert_eq!(name_of_conf(file), None, "{file}");
        }
        assert_eq!(
            name_of_conf("foo.conf").as_ref().map(ContainerName::as_str),
            Some("foo")
        );
    }
}
