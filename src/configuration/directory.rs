//! All of `/etc/nixos`, replaced at once.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use runtime::rooted::Root;

use super::{Configuration, Replaced};

const DIRECTORY: &str = "/etc/nixos";

/// Where the new one is made.
const STAGED: &str = "/etc/.nixos.new";

impl Configuration {
    /// Makes `/etc/nixos` a copy of a directory of the host, and keeps the one
    /// that was there under the name of a numbered backup.
    pub fn replace_directory_keeping(&self, source: &Path) -> Result<Replaced> {
        let staged = Path::new(STAGED);
        self.root
            .remove_tree(staged)
            .and_then(|()| copy(source, &self.root, staged))
            .with_context(|| self.cannot("make", STAGED))?;
        let moved = self
            .root
            .rename(staged, Path::new(DIRECTORY))
            .with_context(|| self.cannot("make", DIRECTORY))?;
        if moved {
            return Ok(Replaced::Nothing);
        }
        self.root
            .exchange(staged, Path::new(DIRECTORY))
            .with_context(|| self.cannot("replace", DIRECTORY))?;
        for number in 1.. {
            let backup = format!("{DIRECTORY}.~{number}~");
            let moved = self.root.rename(staged, Path::new(&backup));
            if moved.with_context(|| self.cannot("make", &backup))? {
                return Ok(Replaced::Other(backup));
            }
        }
        bail!("no name is free for a backup of {DIRECTORY}")
    }
}

/// Copies what a directory of the store can hold.
fn copy(source: &Path, root: &Root, target: &Path) -> io::Result<()> {
    root.create_dir_all(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let (source, target) = (entry.path(), target.join(entry.file_name()));
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            copy(&source, root, &target)?;
        } else if metadata.is_symlink() {
            root.symlink(&fs::read_link(source)?, &target)?;
        } else {
            // Read-only in the store, they are the container's to change.
            let mode = metadata.permissions().mode() & 0o111 | 0o644;
            root.create_file(&target, &fs::read(source)?, mode)?;
        }
    }
    Ok(())
}
