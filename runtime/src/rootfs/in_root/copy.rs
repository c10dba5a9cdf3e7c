//! Copies of a directory of a root, out of the container's reach.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Root;
use crate::sys::directory::entries;

/// The limits of a copy.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files, links and directories.
    pub entries: usize,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Root {
    /// Copies the directory at `path` to `target`, a path of the host that must not
    /// exist. No link in the copy leads out of it: a link that could is copied as the
    /// regular file that it leads to in the root. Other kinds of files are left out.
    pub fn copy_out(&self, path: &Path, target: &Path, limits: Limits) -> io::Result<()> {
        let mut copy = Copy {
            root: self,
            source: path,
            target,
            limits,
            left: limits,
            // Not recursive: the container has chosen the depth of the tree.
            pending: vec![PathBuf::new()],
        };
        while let Some(below) = copy.pending.pop() {
            copy.directory(&below)?;
        }
        Ok(())
    }
}

struct Copy<'a> {
    root: &'a Root,
    source: &'a Path,
    target: &'a Path,
    limits: Limits,
    left: Limits,
    /// Directories that are still to be copied, below source and target.
    pending: Vec<PathBuf>,
}

impl Copy<'_> {
    fn directory(&mut self, below: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let source = self.source.join(below);
        let directory = self.root.open_at(&source, flags, Mode::empty())?;
        let mut builder = DirBuilder::new();
        builder.mode(0o700).create(self.target.join(below))?;
        for entry in entries(&directory)? {
            let (name, _) = entry?;
            let Some(left) = self.left.entries.checked_sub(1) else {
                return Err(self.too_much());
            };
            self.left.entries = left;
            let below = below.join(&name);
            let stat = match rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                answer => answer?,
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.pending.push(below),
                FileType::RegularFile => self.file(&below)?,
                FileType::Symlink => {
                    let to = rustix::fs::readlinkat(&directory, name, Vec::new())?;
                    let to = Path::new(OsStr::from_bytes(to.to_bytes()));
                    if leads_down(to) {
                        symlink(to, self.target.join(&below))?;
                    } else {
                        self.file(&below)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Copies a regular file; ignores other kinds of files.
    fn file(&mut self, below: &Path) -> io::Result<()> {
        let file = match self.root.open_regular(&self.source.join(below)) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(()),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let executable = file.metadata()?.permissions().mode() & 0o111;
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o644 | executable);
        let mut target = options.open(self.target.join(below))?;
        self.contents(file, &mut target)
    }

    fn contents(&mut self, file: File, target: &mut File) -> io::Result<()> {
        let copied = io::copy(&mut file.take(self.left.bytes.saturating_add(1)), target)?;
        match self.left.bytes.checked_sub(copied) {
            Some(left) => self.left.bytes = left,
            None => return Err(self.too_much()),
        }
        Ok(())
    }

    fn too_much(&self) -> io::Error {
        io::Error::other(format!(
            "there are more than {} files or more than {} MiB in it; move unneeded files \
             elsewhere",
            self.limits.entries,
            self.limits.bytes >> 20
        ))
    }
}

/// Whether a link with this target leads to the link's directory or below, provided
/// that all links there do.
fn leads_down(target: &Path) -> bool {
    let mut components = target.components();
    components.all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_that_lead_down_are_links_in_the_copy() {
        for (target, down) in [
            ("a", true),
            ("./a/b", true),
            (".", true),
            ("/a", false),
            ("..", false),
            ("a/../..", false),
            ("a/..", false),
        ] {
            assert_eq!(leads_down(Path::new(target)), down, "{target}");
        }
    }
}
