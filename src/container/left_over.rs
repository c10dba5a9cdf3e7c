//! Files of containers that are gone: their configuration was removed, and their root
//! directory, profiles and garbage collector roots were not. `nixos-rebuild switch`
//! leaves them of a container that is no longer declared.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Container;
use super::name::ContainerName;
use super::paths::Places;

/// The containers that are gone and have left files, sorted by name.
pub fn orphaned(places: &Places) -> Result<Vec<Container>> {
    let mut names = Vec::new();
    for directory in places.directories_of_files() {
        for file in entries(directory)? {
            names.extend(name_of(&file.to_string_lossy()));
        }
    }
    names.sort();
    names.dedup();
    let mut orphaned = Vec::new();
    for name in names {
        let container = Container::new(places, name);
        if container.is_gone() && container.left_files()?.is_some() {
            orphaned.push(container);
        }
    }
    Ok(orphaned)
}

impl Container {
    /// The directory in which there are files of this container; the root directory, if
    /// files are in several. An empty directory has been made for it, not by it.
    pub fn left_files(&self) -> Result<Option<PathBuf>> {
        let trees = self.places.trees(&self.name);
        let nix = self.places.nix(&self.name);
        for directory in trees.all().into_iter().chain([nix.path()]) {
            if !entries(directory)?.is_empty() {
                return Ok(Some(directory.to_owned()));
            }
        }
        Ok(None)
    }

    /// Whether there is no container of this name: no configuration, not even one in
    /// the middle of a creation or destruction, and no supervisor.
    pub fn is_gone(&self) -> bool {
        let places = &self.places;
        let has_file = [
            places.conf(&self.name),
            places.reservation(&self.name),
            places.replacement(&self.name),
            places.tombstone(&self.name),
        ]
        .iter()
        .any(|file| fs::symlink_metadata(file).is_ok());
        !has_file && !self.is_supervised()
    }
}

/// The container that a file belongs to, by the names of `Places`.
fn name_of(file: &str) -> Option<ContainerName> {
    let hidden = file
        .strip_prefix('.')
        .and_then(|file| file.strip_suffix(".nix"));
    hidden.unwrap_or(file).parse().ok()
}

/// The names in a directory; none if it is missing or something else.
fn entries(directory: &Path) -> Result<Vec<OsString>> {
    let names = fs::read_dir(directory).and_then(|entries| {
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        names.collect()
    });
    match names {
        Err(error) if is_none(&error) => Ok(Vec::new()),
        answer => answer.with_context(|| format!("cannot read {}", directory.display())),
    }
}

fn is_none(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
