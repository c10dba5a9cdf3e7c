//! How the child changes the container's files.

use std::io::{
    self,
    ErrorKind::{AlreadyExists, PermissionDenied},
};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::Child;
use crate::plan::step::FileStep;

/// Longest file that is copied, in bytes.
const LONGEST_COPY: u64 = 1 << 20;

impl Child<'_> {
    pub(super) fn perform_file_step(&self, step: &FileStep) -> io::Result<()> {
        let container = self.container()?;
        match step {
            FileStep::Directory { path, mode } => set_mode(&container.create_dir_all(path)?, *mode),
            FileStep::EmptyFile { path } => match container.create_file_if_missing(path) {
                // A link to a path that is missing counts as there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                answer => answer.map(drop),
            },
            FileStep::File {
                path,
                contents,
                mode,
            } => container.replace_file(path, contents.as_bytes(), *mode),
            FileStep::RemoveFile { path } => container.remove_file(path),
            FileStep::CopyFile { source, path } => {
                let contents = self.host()?.read_file(source, LONGEST_COPY)?;
                container.replace_file(path, &contents, 0o644)
            }
            FileStep::Credential { path, contents } => {
                container.replace_file(path, contents.reveal(), 0o400)
            }
            FileStep::Device { path, major, minor } => self.make_device(path, *major, *minor),
            FileStep::Symlink { path, target } => container.symlink(target, path),
        }
    }

    fn make_device(&self, path: &Path, major: u32, minor: u32) -> io::Result<()> {
        let hosts = match self.host()?.resolve(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            answer => answer?,
        };
        let device = rustix::fs::makedev(major, minor);
        match self.container()?.create_character_device(path, device) {
            // The host is a container itself (`man 2 mknod`, EPERM), or `/dev` is not
            // the directory in memory that this runtime makes.
            Err(error) if [PermissionDenied, AlreadyExists].contains(&error.kind()) => {
                self.bind_device(hosts.as_fd(), path)
            }
            answer => answer,
        }
    }
}

/// `chmod` through a handle that was not opened for reading.
fn set_mode(directory: &OwnedFd, mode: u32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    Ok(rustix::fs::fchmod(readable, Mode::from_raw_mode(mode))?)
}
