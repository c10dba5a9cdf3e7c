//! A container's profile: the generations of its system.
//!
//! The profile is Nix' own, `system` → `system-N-link` → a store path, so that
//! `nix-env` in the container and the host's garbage collector understand it.
//! But its directory is one that the container can write, and `nix-env` would
//! follow links in there (its lock file, for one); so the host changes it here,
//! name by name in the open directory, and follows none.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

/// The link that says which generation is the current one.
const CURRENT: &str = "system";

/// The profile in a container's directory of profiles.
#[derive(Debug)]
pub struct Profile(OwnedFd);

/// One system that the profile has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Counted from 1.
    pub number: u64,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Where its link leads; anywhere, if the container made it.
    pub system: PathBuf,
}

impl Profile {
    /// The profile in `directory`; the path to that is trusted.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(directory, flags, Mode::empty())?))
    }

    /// All generations, the oldest first.
    pub fn generations(&self) -> io::Result<Vec<Generation>> {
        let mut generations = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(number) = number_of(OsStr::from_bytes(name.to_bytes())) else {
                continue;
            };
            let link = rustix::fs::readlinkat(&self.0, name, Vec::new());
            let status = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
            // What is no link is no generation; what is gone was one.
            if let (Ok(system), Ok(status)) = (link, status) {
                generations.push(Generation {
                    number,
                    created: status.st_mtime,
                    system: OsStr::from_bytes(system.to_bytes()).into(),
                });
            }
        }
        generations.sort_by_key(|generation| generation.number);
        Ok(generations)
    }

    /// The number of the current generation; `None` without one, or if the
    /// container has put something else in its place.
    pub fn current(&self) -> io::Result<Option<u64>> {
        match rustix::fs::readlinkat(&self.0, CURRENT, Vec::new()) {
            Ok(target) => Ok(number_of(OsStr::from_bytes(target.to_bytes()))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a system the current generation. As with `nix-env --set`, it is a
    /// new one unless the newest is this system already.
    pub fn set(&self, system: &Path) -> io::Result<()> {
        let number = match self.generations()?.pop() {
            Some(newest) if newest.system == system => newest.number,
            newest => {
                let mut number = newest.map_or(1, |newest| newest.number.saturating_add(1));
                // Somebody inside may be faster.
                while !self.link(system, &link_name(number))? {
                    number = number.checked_add(1).ok_or(Errno::OVERFLOW)?;
                }
                number
            }
        };
        self.switch(number)
    }

    /// Makes a generation the current one.
    pub fn switch(&self, number: u64) -> io::Result<()> {
        let temporary = format!(".{CURRENT}-{}", std::process::id());
        match rustix::fs::unlinkat(&self.0, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.link(Path::new(&link_name(number)), &temporary)?;
        rustix::fs::renameat(&self.0, &temporary, &self.0, CURRENT)?;
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// Whether there was nothing of this name yet.
    fn link(&self, target: &Path, name: &str) -> io::Result<bool> {
        match rustix::fs::symlinkat(target, &self.0, name) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The name of a generation's link.
pub fn link_name(number: u64) -> String {
    format!("{CURRENT}-{number}-link")
}

/// The generation that a link of this name is.
fn number_of(name: &OsStr) -> Option<u64> {
    let number = name.to_str()?;
    let number = number.strip_prefix(CURRENT)?.strip_prefix('-')?;
    let number = number.strip_suffix("-link")?.parse().ok()?;
    // Not those with zeros or a sign before the number.
    (name == link_name(number).as_str()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A directory of its own, gone when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("profile-{name}-{}", std::process::id()));
            fs::create_dir(&path).expect("a directory");
            Self(path)
        }

        fn profile(&self) -> Profile {
            Profile::open(&self.0).expect("a directory")
        }

        fn numbers(&self) -> Vec<u64> {
            let generations = self.profile().generations().expect("readable");
            generations.iter().map(|g| g.number).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn generations_are_those_of_nix() {
        let scratch = Scratch::new("generations");
        let profile = scratch.profile();
        assert_eq!(profile.current().expect("readable"), None);
        for system in ["/a", "/b", "/b", "/a"] {
            profile.set(Path::new(system)).expect("set");
        }
        assert_eq!(scratch.numbers(), [1, 2, 3]);
        assert_eq!(profile.current().expect("readable"), Some(3));
        profile.switch(1).expect("switched");
        let current = fs::read_link(scratch.0.join("system")).expect("a link");
        assert_eq!(current, Path::new("system-1-link"));
        // The newest is there already.
        profile.set(Path::new("/a")).expect("set");
        assert_eq!(profile.current().expect("readable"), Some(3));
    }

    #[test]
    fn what_is_planted_is_neither_followed_nor_in_the_way() {
        let scratch = Scratch::new("planted");
        let outside = scratch.0.join("outside");
        fs::create_dir(&outside).expect("a directory");
        for name in ["system", "system.lock", "system-1-link", "system-02-link"] {
            symlink(&outside, scratch.0.join(name)).expect("a link");
        }
        fs::create_dir(scratch.0.join("system-7-link")).expect("a directory");
        let profile = scratch.profile();
        assert_eq!(profile.current().expect("readable"), None);
        profile.set(Path::new("/a")).expect("set");
        assert_eq!(scratch.numbers(), [1, 2]);
        let entries = fs::read_dir(&outside).expect("readable");
        assert_eq!(entries.count(), 0);
        // A directory in the place of the link is nobody's but the container's.
        fs::remove_file(scratch.0.join("system")).expect("removed");
        fs::create_dir(scratch.0.join("system")).expect("a directory");
        assert!(profile.set(Path::new("/b")).is_err());
    }

    #[test]
    fn a_number_is_never_taken_twice() {
        let scratch = Scratch::new("last");
        let last = scratch.0.join(link_name(u64::MAX));
        symlink("/x", last).expect("a link");
        assert!(scratch.profile().set(Path::new("/a")).is_err());
    }
}
