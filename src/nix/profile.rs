//! A container's profile: the generations of its system.
//!
//! The profile has the format of Nix, `system` → `system-N-link` → a store path, so
//! that `nix-env` and the host's garbage collector understand it. There are copies of
//! it on the host and in the container (`nix/shared.rs`). The container can write to
//! its copy, so links are read and changed by names in the open directory, and none is
//! followed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::merge::Links;

/// Links that are read of one profile, and entries that are read to find them. `nix-env`
/// makes a link for each change of the system.
const MAX_ENTRIES: usize = 4096;

/// The name of the link to the current generation.
pub const CURRENT: &str = "system";

/// The profile in a container's directory of profiles.
#[derive(Debug)]
pub struct Profile {
    directory: OwnedFd,
    /// The owner of the directory, who also gets the links that are made in it.
    owner: (Uid, Gid),
}

/// One system of the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    /// The time of its creation, in seconds since 1970.
    pub created: i64,
    /// The target of its link, which can be any path if the container made it.
    pub system: PathBuf,
}

impl Profile {
    /// Opens the profile in `directory`, whose path is trusted.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        let status = rustix::fs::fstat(&directory)?;
        Ok(Self {
            directory,
            owner: (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid)),
        })
    }

    /// Its directory.
    pub fn into_directory(self) -> OwnedFd {
        self.directory
    }

    /// All of its links.
    pub fn links(&self) -> io::Result<Links> {
        let generations = self.generations()?.into_iter();
        Ok(Links {
            generations: generations.map(|g| (g.number, g.system)).collect(),
            current: self.current()?,
        })
    }

    /// Changes the links from `old`, as they were read, to `new`. A link that is in
    /// neither stays.
    pub fn replace(&self, old: &Links, new: &Links) -> io::Result<()> {
        if old == new {
            return Ok(());
        }
        for (number, target) in &new.generations {
            if old.generations.get(number) != Some(target) {
                let name = link_name(*number);
                self.unlink(&name)?;
                self.link(target, &name)?;
            }
        }
        match new.current {
            Some(number) if old.current != new.current => self.switch(number)?,
            _ => {}
        }
        for number in old.generations.keys() {
            if !new.generations.contains_key(number) {
                self.unlink(&link_name(*number))?;
            }
        }
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// All generations, the oldest first.
    pub fn generations(&self) -> io::Result<Vec<Generation>> {
        let mut generations = Vec::new();
        for entry in Dir::read_from(&self.directory)?.take(MAX_ENTRIES) {
            let entry = entry?;
            let name = entry.file_name();
            let Some(number) = number_of(OsStr::from_bytes(name.to_bytes())) else {
                continue;
            };
            let link = rustix::fs::readlinkat(&self.directory, name, Vec::new());
            let status = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
            // Only links are generations, and one may vanish meanwhile.
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

    /// The number of the current generation; `None` if there is none, or if the container
    /// has put something else in its place.
    pub fn current(&self) -> io::Result<Option<u64>> {
        match rustix::fs::readlinkat(&self.directory, CURRENT, Vec::new()) {
            Ok(target) => Ok(number_of(OsStr::from_bytes(target.to_bytes()))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a system the current generation. Like `nix-env --set`, this adds a
    /// generation unless the latest one is the same system.
    pub fn set(&self, system: &Path) -> io::Result<()> {
        let number = match self.generations()?.pop() {
            Some(newest) if newest.system == system => newest.number,
            newest => {
                let mut number = newest.map_or(1, |newest| newest.number.saturating_add(1));
                // A process inside may take the number first.
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
        self.unlink(&temporary)?;
        self.link(Path::new(&link_name(number)), &temporary)?;
        rustix::fs::renameat(&self.directory, &temporary, &self.directory, CURRENT)?;
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    /// Makes a link; `false` if the name exists.
    fn link(&self, target: &Path, name: &str) -> io::Result<bool> {
        match rustix::fs::symlinkat(target, &self.directory, name) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        let (user, group) = self.owner;
        if !user.is_root() || !group.is_root() {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&self.directory, name, Some(user), Some(group), flags)?;
        }
        Ok(true)
    }
}

/// The name of a generation's link.
pub fn link_name(number: u64) -> String {
    format!("{CURRENT}-{number}-link")
}

/// The number of the generation with this link name.
pub fn number_of(name: &OsStr) -> Option<u64> {
    let number = name.to_str()?;
    let number = number.strip_prefix(CURRENT)?.strip_prefix('-')?;
    let number = number.strip_suffix("-link")?.parse().ok()?;
    // No zeros or sign before the number.
    (name == link_name(number).as_str()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A temporary directory, removed when this is dropped.
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
    fn generations_have_the_format_of_nix() {
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
        // The latest generation is this system already.
        profile.set(Path::new("/a")).expect("set");
        assert_eq!(profile.current().expect("readable"), Some(3));
    }

    #[test]
    fn planted_links_are_neither_followed_nor_an_obstacle() {
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
        // A directory in the place of the link is not replaced.
        fs::remove_file(scratch.0.join("system")).expect("removed");
        fs::create_dir(scratch.0.join("system")).expect("a directory");
        assert!(profile.set(Path::new("/b")).is_err());
    }

    #[test]
    fn set_fails_if_no_number_is_left() {
        let scratch = Scratch::new("last");
        let last = scratch.0.join(link_name(u64::MAX));
        symlink("/x", last).expect("a link");
        assert!(scratch.profile().set(Path::new("/a")).is_err());
    }
}
