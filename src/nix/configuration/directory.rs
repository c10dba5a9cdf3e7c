//! Replacing the whole of `/etc/nixos` at once.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use runtime::rootfs::Root;
use rustix::fs::FileType;

use super::{Configuration, Replaced};

const DIRECTORY: &str = "/etc/nixos";

/// The place where the new directory is made.
const STAGED: &str = "/etc/.nixos.new";

impl Configuration {
    /// Makes `/etc/nixos` a copy of a directory of the host, and keeps the old one as a
    /// numbered backup. Changes nothing if it is the same.
    pub fn replace_directory_with_backup(&self, source: &Path) -> Result<Replaced> {
        // A directory that cannot be compared is a different one.
        if is_copy(source, &self.root, Path::new(DIRECTORY)).unwrap_or(false) {
            return Ok(Replaced::Same);
        }
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

/// Copies directories, links and regular files, which the store consists of.
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
            root.create_file(&target, &fs::read(source)?, mode(&metadata))?;
        }
    }
    Ok(())
}

/// The mode of a copy: files are read-only in the store, but writable in the
/// container.
fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o111 | 0o644
}

/// Whether the target is what [`copy`] would make.
fn is_copy(source: &Path, root: &Root, target: &Path) -> io::Result<bool> {
    let there = root.find(target)?;
    let status = rustix::fs::fstat(&there)?;
    let metadata = fs::symlink_metadata(source)?;
    let kind = FileType::from_raw_mode(status.st_mode);
    if kind != FileType::from_raw_mode(metadata.mode()) {
        return Ok(false);
    }
    Ok(match kind {
        FileType::Directory => {
            let mut names = BTreeSet::new();
            for entry in fs::read_dir(source)? {
                let name = entry?.file_name();
                if !is_copy(&source.join(&name), root, &target.join(&name))? {
                    return Ok(false);
                }
                names.insert(name);
            }
            root.entries(target)? == names
        }
        FileType::Symlink => {
            let link = rustix::fs::readlinkat(&there, "", Vec::new())?;
            fs::read_link(source)?.as_os_str().as_bytes() == link.as_bytes()
        }
        _ => {
            status.st_mode & 0o7777 == mode(&metadata)
                && status.st_size.cast_unsigned() == metadata.len()
                && root.read_file(target, metadata.len())? == fs::read(source)?
        }
    })
}
