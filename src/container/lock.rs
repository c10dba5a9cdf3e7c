//! Locks that vanish with their holder, however it ends (`man 2 flock`).

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;

/// A locked file; dropped, it is unlocked.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks the file at `path`, which is made if it is missing, and waits
    /// while somebody else holds it.
    pub fn wait(path: &Path) -> io::Result<Self> {
        loop {
            if let Some(lock) = Self::of(path, FlockOperation::LockExclusive)? {
                return Ok(lock);
            }
        }
    }

    /// Like [`Lock::wait`], but `None` if somebody else holds it.
    pub fn try_lock(path: &Path) -> io::Result<Option<Self>> {
        Self::of(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Whether somebody holds the lock of the file at `path`. Makes no file.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            answer => answer?,
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// `None` also when the file was replaced or removed while we waited: then
    /// what we hold is not what the next one will find.
    fn of(path: &Path, operation: FlockOperation) -> io::Result<Option<Self>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)?;
        match rustix::fs::flock(&file, operation) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        let held = file.metadata()?;
        let there = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            answer => answer?,
        };
        let same = held.ino() == there.ino() && held.dev() == there.dev();
        Ok(same.then_some(Self(file)))
    }

    /// The locked file.
    pub fn file(&mut self) -> &mut File {
        &mut self.0
    }
}
