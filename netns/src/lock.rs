//! Locks between processes, as flock(2) has them: the kernel releases them with
//! their holder, however it ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// A locked file. Dropping it unlocks the file.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing it unlocks")] File);

impl Lock {
    /// Creates the file if it is missing, and waits for the lock.
    pub fn wait(path: &Path) -> io::Result<Self> {
        Self::wait_for(OpenOptions::new().create(true).append(true).open(path)?)
    }

    /// Waits for the lock of a file that exists; `None` if it is missing.
    pub fn wait_if_exists(path: &Path) -> io::Result<Option<Self>> {
        match OpenOptions::new().append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Self::wait_for(opened?).map(Some),
        }
    }

    fn wait_for(file: File) -> io::Result<Self> {
        loop {
            match file.lock() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                locked => return locked.map(|()| Self(file)),
            }
        }
    }
}
