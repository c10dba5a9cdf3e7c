//! A copy of a container's configuration, for Nix to read.
//!
//! Nix opens files by their paths. In the container, a process could replace a file
//! meanwhile: by one that was not there when the configuration was compared with the one
//! that is trusted, or by a link to a file of the host.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::rootfs::{self, Limits};

use super::{Configuration, PLACE};
use crate::container::create_dir;
use crate::container::files::remove_tree;
use crate::nix::build;

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

    /// The directory of the copy, which only root can enter.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The copy of the configuration and of the files beside it.
    pub fn copy(&self) -> &Path {
        &self.copy
    }

    /// Replaces the configuration in the copy.
    pub fn set_text(&self, text: &str) -> Result<()> {
        let name = self.file.file_name().unwrap_or_default();
        let written = fs::File::open(&self.copy).and_then(|copy| {
            rootfs::remove_tree(copy.as_fd(), name).map_err(io::Error::other)?;
            fs::write(&self.file, text)
        });
        written.with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// Whether there is no file beside the configuration.
    pub fn is_alone(&self) -> Result<bool> {
        let cannot = || format!("cannot read {}", self.copy.display());
        for entry in fs::read_dir(&self.copy).with_context(cannot)? {
            if entry.with_context(cannot)?.path() != self.file {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The hash of all files of the copy; `None` if the configuration does not have its
    /// usual name.
    pub fn hash(&self) -> Result<Option<String>> {
        if self.file.file_name() != Path::new(PLACE).file_name() {
            return Ok(None);
        }
        build::hash(&self.copy).map(Some)
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
        // In the place of a missing file, Nix would take the host's own configuration.
        if !fs::symlink_metadata(&snapshot.file).is_ok_and(|file| file.is_file()) {
            bail!(
                "{} is not a regular file; replace it by one, or give another configuration with \
                 --config, --config-file or --flake",
                self.path.join(PLACE.trim_start_matches('/')).display()
            );
        }
        Ok(Some(snapshot))
    }

    /// Copies the files beside the container's configuration to `directory`, and the
    /// configuration as one of them.
    pub fn snapshot_beside(&self, directory: PathBuf) -> Result<Snapshot> {
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
        Ok(snapshot)
    }

    /// Copies a tree of the container to `directory`; `path` is one of the host. `None`
    /// if it does not lead into the container's root directory.
    pub fn snapshot_tree(&self, path: &Path, directory: PathBuf) -> Result<Option<Snapshot>> {
        let root = fs::canonicalize(&self.path);
        let real = fs::canonicalize(path);
        let below = match (&root, &real) {
            (Ok(root), Ok(real)) => real.strip_prefix(root).ok(),
            _ => None,
        };
        let Some(below) = below else {
            return Ok(None);
        };
        let snapshot = Snapshot::empty(directory, OsStr::new("flake.nix"))?;
        self.copy(&Path::new("/").join(below), &snapshot)?;
        Ok(Some(snapshot))
    }

    fn copy(&self, beside: &Path, snapshot: &Snapshot) -> Result<()> {
        self.root
            .copy_out(beside, &snapshot.copy, LIMITS)
            .with_context(|| self.cannot("copy", &beside.display().to_string()))
    }
}
