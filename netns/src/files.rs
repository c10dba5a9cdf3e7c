//! Files that are written whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

const MODE_OF_NEW: u32 = 0o644;

/// Replaces the file at `path`, which is absolute, by one with these contents,
/// and returns when the change survives a power cut. The owner and the mode stay
/// as they are; a new file belongs to the caller and has the mode 0644.
///
/// A reader sees either the old contents or the new ones. A process that is
/// killed meanwhile leaves [`unfinished`], which the next call removes. The name
/// of that is always the same, so that a file's owner can remove it with the
/// file; therefore all who write a file hold one lock.
///
/// # Errors
///
/// What the kernel answered. If only the directory cannot be synced, the file
/// has its new contents already.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let directory = File::open(path.parent().unwrap_or(path))?;
    let unfinished = unfinished(path);
    let replaced = write(&unfinished, contents, path).and_then(|()| fs::rename(&unfinished, path));
    if let Err(error) = replaced {
        // The first error is the one to report.
        let _ = remove(&unfinished);
        return Err(error);
    }
    // A rename is on the disk when the directory is (fsync(2)).
    directory.sync_all()
}

/// Where [`replace`] writes a file before it has its name: beside it, as
/// `.NAME.nixos-container`.
#[must_use]
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".nixos-container");
    path.with_file_name(name)
}

/// Writes a file to the disk, with the owner and the mode of `model`.
fn write(path: &Path, contents: &[u8], model: &Path) -> io::Result<()> {
    remove(path)?;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        // Closed to others until it has its final owner.
        .mode(0o600)
        .open(path)?;
    file.write_all(contents)?;
    let mode = match fs::metadata(model) {
        Ok(model) => {
            fchown(&file, Some(model.uid()), Some(model.gid()))?;
            model.mode() & 0o7777
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => MODE_OF_NEW,
        Err(error) => return Err(error),
    };
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Removes a file, unless it is missing.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::chown;
    use std::thread;

    use rustix::io::Errno;
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, apply_filter,
    };

    use super::*;

    fn in_directory(test: impl FnOnce(&Path)) {
        let name = format!(
            "netns-files-{}-{:?}",
            std::process::id(),
            thread::current().id()
        );
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        test(&directory);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn owner_and_mode_stay() {
        in_directory(|directory| {
            let path = directory.join("file");
            replace(&path, b"one").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            chown(&path, Some(7), Some(8)).unwrap();
            // As a killed process leaves it.
            fs::write(unfinished(&path), "half").unwrap();
            replace(&path, b"two").unwrap();
            let is = fs::metadata(&path).unwrap();
            assert_eq!((is.uid(), is.gid(), is.mode() & 0o7777), (7, 8, 0o640));
            assert_eq!(fs::read(&path).unwrap(), b"two");
            assert!(!unfinished(&path).exists());
        });
    }

    /// Replaces a file while fsync(2) fails for one of the descriptors that
    /// [`replace`] opens, by its number. Returns the error and what is in the
    /// file afterwards.
    fn replace_without_fsync_of(path: &Path, number: usize) -> (Option<Errno>, Vec<u8>) {
        fs::write(path, "old").unwrap();
        let replaced = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // SAFETY: the thread uses no descriptor that another one opened.
                unsafe { unshare_unsafe(UnshareFlags::FILES) }.unwrap();
                // The kernel gives out the lowest that are free (open(2)).
                let lowest = [0; 2].map(|_| File::open("/dev/null").unwrap());
                let descriptor = lowest[number].as_raw_fd();
                drop(lowest);
                apply_filter(&failing_fsync(descriptor)).unwrap();
                replace(path, b"new")
            });
            thread.join().unwrap()
        });
        let errno = replaced.err().as_ref().and_then(Errno::from_io_error);
        (errno, fs::read(path).unwrap())
    }

    fn failing_fsync(descriptor: i32) -> BpfProgram {
        let is_it = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            descriptor.try_into().unwrap(),
        );
        let rule = SeccompRule::new(vec![is_it.unwrap()]).unwrap();
        let fsync = libc::SYS_fsync;
        let errno = Errno::IO.raw_os_error().unsigned_abs();
        SeccompFilter::new(
            [(fsync, vec![rule])].into(),
            SeccompAction::Allow,
            SeccompAction::Errno(errno),
            std::env::consts::ARCH.try_into().unwrap(),
        )
        .unwrap()
        .try_into()
        .unwrap()
    }

    #[test]
    fn file_is_synced_before_it_is_renamed_and_directory_afterwards() {
        in_directory(|directory| {
            let path = directory.join("file");
            let (directory, file) = (0, 1);
            let io = Some(Errno::IO);
            assert_eq!(replace_without_fsync_of(&path, file), (io, b"old".to_vec()));
            assert!(!unfinished(&path).exists());
            assert_eq!(
                replace_without_fsync_of(&path, directory),
                (io, b"new".to_vec())
            );
        });
    }
}
