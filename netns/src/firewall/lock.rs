//! One start or stop at a time looks at the rules and changes them.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::Error;
use crate::ContainerName;

/// The lock, held as long as this lives, or a child that has it as an output.
///
/// It says whom it is held for, so that a start which was killed while nft was
/// at work can be waited for without waiting for all others.
pub struct Lock(File);

impl Lock {
    pub fn take(directory: &Path, container: &ContainerName) -> Result<Self, Error> {
        let take = || -> io::Result<File> {
            fs::create_dir_all(directory)?;
            let mut file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path(directory))?;
            flock(&file, FlockOperation::LockExclusive)?;
            file.set_len(0)?;
            file.write_all(container.as_str().as_bytes())?;
            Ok(file)
        };
        take().map(Self).map_err(|error| failed(directory, error))
    }

    /// Lets a child hold the lock until it has ended, whatever becomes of this
    /// process. It is meant for one that writes nothing.
    pub fn as_output(&self) -> io::Result<Stdio> {
        Ok(self.0.try_clone()?.into())
    }
}

/// Waits until nobody holds the lock for this container; not for others.
pub fn wait_for(directory: &Path, container: &ContainerName) -> Result<(), Error> {
    let wait = || -> io::Result<()> {
        let mut file = match File::open(path(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => {}
            other => return Ok(other?),
        }
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        if holder == container.as_str() {
            flock(&file, FlockOperation::LockShared)?;
        }
        Ok(())
    };
    wait().map_err(|error| failed(directory, error))
}

fn path(directory: &Path) -> PathBuf {
    directory.join("firewall.lock")
}

fn failed(directory: &Path, source: io::Error) -> Error {
    Error::File {
        operation: "lock",
        path: path(directory),
        source,
    }
}
