//! One start or stop at a time looks at the rules and changes them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::Error;

/// The lock, held as long as this lives.
pub struct Lock(#[expect(dead_code, reason = "closing it unlocks")] File);

impl Lock {
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("firewall.lock");
        let take = || -> io::Result<File> {
            fs::create_dir_all(directory)?;
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        take().map(Self).map_err(|source| Error::File {
            operation: "lock",
            path,
            source,
        })
    }
}
