//! Hierarchies of cgroup version 1, which a host may have beside version 2
//! (`man 7 cgroups`).
//!
//! Root inside can mount them. It sees the group that its cgroup namespace was made in:
//! were that the root of a hierarchy, it would see all groups of the host and could
//! write `release_agent`, a program that the kernel executes as root of the host
//! (CVE-2022-0492). So a container is made in a group below. That group stays: all
//! containers use it, and the kernel takes milliseconds to fill another one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use derive_more::Display;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

/// The name of the group for containers.
const GROUP: &str = "nixos-containers";

/// The group of a process in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Display, Serialize)]
#[display("{} of {hierarchy}", path.display())]
pub struct LegacyCgroup {
    /// Controllers and name of the hierarchy, as its mount has them, with commas between.
    hierarchy: String,
    /// The group's path below the root of the caller's cgroup namespace.
    path: PathBuf,
}

/// The groups of the calling process.
pub fn of_this_process() -> io::Result<Vec<LegacyCgroup>> {
    let text = std::fs::read_to_string("/proc/self/cgroup")?;
    Ok(text.lines().filter_map(parse).collect())
}

/// A line `NUMBER:HIERARCHY:PATH`; version 2 has an empty hierarchy.
fn parse(line: &str) -> Option<LegacyCgroup> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (hierarchy, path) = (fields.next()?, Path::new(fields.next()?));
    // A path outside of the namespace begins with `/..`.
    let inside = |component: &Component<'_>| matches!(component, Component::Normal(_));
    let is_inside = path.components().skip(1).all(|name| inside(&name));
    let below = path.components().filter(|name| is_inside && inside(name));
    (!hierarchy.is_empty()).then(|| LegacyCgroup {
        hierarchy: hierarchy.to_owned(),
        path: below.collect(),
    })
}

impl LegacyCgroup {
    /// The parameters with which the hierarchy is mounted.
    pub(crate) fn mount_options(&self) -> Vec<(String, String)> {
        let words = self.hierarchy.split(',');
        let has_controllers = words.clone().any(|word| !word.starts_with("name="));
        let none = (!has_controllers).then_some("none").into_iter();
        none.chain(words)
            .map(|word| {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                (key.to_owned(), value.to_owned())
            })
            .collect()
    }

    /// Moves the calling thread into the containers' group below this one, in a mount of
    /// the hierarchy.
    pub(crate) fn enter_group_below(&self, mount: BorrowedFd<'_>) -> io::Result<()> {
        let own = Path::new(".").join(&self.path);
        let group = own.join(GROUP);
        match rustix::fs::mkdirat(mount, &group, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        // A thread that moves itself takes no lock of all threads of the host, which
        // takes milliseconds (`cgroup_procs_write_start` of `kernel/cgroup/cgroup.c`).
        let enter = || write(mount, &group.join("tasks"), b"0");
        match enter() {
            // A fresh group has no processors.
            Err(Errno::NOSPC) => {}
            answer => return Ok(answer?),
        }
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let values = rustix::fs::openat(mount, own.join(file), flags, Mode::empty())?;
            let values = io::read_to_string(File::from(values))?;
            write(mount, &group.join(file), values.as_bytes())?;
        }
        Ok(enter()?)
    }
}

fn write(mount: BorrowedFd<'_>, path: &Path, value: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(mount, path, flags, Mode::empty())?;
    rustix::io::write(file.as_fd(), value).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(hierarchy: &str, path: &str) -> Option<LegacyCgroup> {
        let (hierarchy, path) = (hierarchy.to_owned(), path.into());
        Some(LegacyCgroup { hierarchy, path })
    }

    #[test]
    fn hierarchies_of_version_1_are_found() {
        assert_eq!(parse("4:cpu,cpuacct:/a/b:c"), group("cpu,cpuacct", "a/b:c"));
        assert_eq!(parse("1:name=systemd:/"), group("name=systemd", ""));
        assert_eq!(parse("5:freezer:/../../x"), group("freezer", ""));
        for other in ["0::/", "", "3", "3:cpu"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_hierarchy_is_mounted_by_its_controllers_and_its_name() {
        let options = |hierarchy| {
            let group = group(hierarchy, "").expect("a group");
            let words = group.mount_options().into_iter();
            let words: Vec<_> = words.map(|(key, value)| key + "=" + &value).collect();
            words.join(" ")
        };
        assert_eq!(options("cpu,cpuacct"), "cpu= cpuacct=");
        assert_eq!(options("name=systemd"), "none= name=systemd");
        assert_eq!(options("cpu,name=x"), "cpu= name=x");
    }
}
