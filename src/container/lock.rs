//! Locks that vanish with their holder, however it ends (`man 2 flock`).

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A locked file. It is unlocked when this is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks the file at `path`, which is made if it is missing, and waits while
    /// another process holds the lock.
    pub fn wait(path: &Path) -> io::Result<Self> {
        loop {
            let file = open(path)?;
            file.lock()?;
            if is_at(&file, path)? {
                return Ok(Self(file));
            }
        }
    }

    /// Like [`Lock::wait`], but `None` if another process holds the lock or has
    /// just removed the file.
    pub fn try_lock(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        let locked = is_free(file.try_lock())? && is_at(&file, path)?;
        Ok(locked.then_some(Self(file)))
    }

    /// Whether a process holds the lock of the file at `path`. Makes no file.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            opened => Ok(!is_free(opened?.try_lock_shared())?),
        }
    }

    /// The locked file.
    pub fn file(&mut self) -> &mut File {
        &mut self.0
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

fn is_free(locked: Result<(), TryLockError>) -> io::Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the file is still the one at `path`. If it was replaced or removed
/// meanwhile, the next process locks another file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        there => there.map(|there| (held.dev(), held.ino()) == (there.dev(), there.ino())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_is_held_by_one_and_only_of_the_file_at_the_path() {
        let path = std::env::temp_dir().join(format!("lock-{}", std::process::id()));
        let try_lock = || Lock::try_lock(&path).expect("a lock");
        let is_held = || Lock::is_held(&path).expect("readable");
        assert!(!is_held() && !path.exists());
        let held = try_lock().expect("free");
        assert!(is_held() && try_lock().is_none());
        drop(held);
        assert!(!is_held());
        // A waiting process gets the lock of the file that is there when it is its turn.
        let held = Lock::wait(&path).expect("free");
        std::thread::scope(|scope| {
            let next = scope.spawn(|| Lock::wait(&path).expect("free"));
            std::thread::sleep(std::time::Duration::from_millis(50));
            std::fs::remove_file(&path).expect("removed");
            std::fs::write(&path, "another file").expect("written");
            drop(held);
            let next = next.join().expect("it ends");
            assert!(is_held());
            drop(next);
        });
        std::fs::remove_file(&path).expect("removed");
    }
}
