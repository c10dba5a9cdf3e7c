//! A copy of a container's configuration, for Nix to read.
//!
//! Nix evaluates the configuration as the host's root, and opens files by their paths.
//! In the container, a process could replace a file by a link to a file of the host
//! meanwhile.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use runtime::rootfs::{self, Limits};

use super::{Configuration, PLACE};
use crate::container::create_dir;
use crate::container::files::remove_tree;

/// The maximum size of a directory with a configuration.
const LIMITS: Limits = Limits {
    entries: 10_000,
    bytes: 64 << 20,
};

/// A copy of a `configuration.nix` and of the files beside it, in a directory that only
/// root can enter. It is removed when this is dropped.
#[derive(Debug)]
pub struct Snapshot {
    /// The directory to remove.
    directory: PathBuf,
    /// The copy. It has the usual name, since names of store paths derive from it.
    copy: PathBuf,
    file: PathBuf,
}

impl Snapshot {
    /// The path of the `configuration.nix`.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// An empty copy. Removes a `directory` that a killed process left.
    fn empty(directory: PathBuf, file: &OsStr) -> Result<Self> {
        remove_tree(&directory)?;
        create_dir(&directory, 0o700)?;
        let copy = directory.join("nixos");
        let file = copy.join(file);
        Ok(Self {
            directory,
            copy,
            file,
        })
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.directory) {
            crate::report::print_error(&error);
        }
    }
}

impl Configuration {
    /// Copies the container's configuration to `directory`; `None` if there is none.
    pub fn snapshot(&self, directory: PathBuf) -> Result<Option<Snapshot>> {
        let place = match self.root.canonicalize(Path::new(PLACE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            answer => answer.with_context(|| self.cannot("find", PLACE))?,
        };
        // `PLACE` may be a link; Nix resolves relative paths beside its target.
        let (Some(beside), Some(file)) = (place.parent(), place.file_name()) else {
            return Ok(None);
        };
        let snapshot = Snapshot::empty(directory, file)?;
        self.copy(beside, &snapshot)?;
        Ok(Some(snapshot))
    }

    /// Copies the files beside the container's configuration to `directory`, with this text
    /// as the configuration.
    pub fn snapshot_with(&self, text: &str, directory: PathBuf) -> Result<Snapshot> {
        let place = Path::new(PLACE);
        let (beside, file) = (place.parent(), place.file_name());
        let (beside, file) = (beside.unwrap_or(place), file.unwrap_or_default());
        let snapshot = Snapshot::empty(directory, file)?;
        match self.root.resolve(beside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_dir(&snapshot.copy, 0o700)?;
            }
            _ => self.copy(beside, &snapshot)?,
        }
        let written = fs::File::open(&snapshot.copy).and_then(|copy| {
            rootfs::remove_tree(copy.as_fd(), file).map_err(io::Error::other)?;
            fs::write(&snapshot.file, text)
        });
        written.with_context(|| format!("cannot write {}", snapshot.file.display()))?;
        Ok(snapshot)
    }

    fn copy(&self, beside: &Path, snapshot: &Snapshot) -> Result<()> {
        self.root
            .copy_out(beside, &snapshot.copy, LIMITS)
            .with_context(|| self.cannot("copy", &beside.display().to_string()))
    }
}
