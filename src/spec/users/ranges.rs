//! Ranges of ids that belong to one container only.
//!
//! A picked range is recorded beside the container's root directory, because the
//! files there may belong to it. The record stays until the container is destroyed. It
//! is not in the configuration, which may be declared by the host's and read-only.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use netns::files;
use runtime::rootfs::owners::Owner;
use runtime::{DEFAULT_COUNT, IdMap};

use crate::config::{ContainerConfig, PrivateUsers};
use crate::container::files::remove_file;
use crate::container::lock::Lock;
use crate::container::paths::Places;
use crate::container::{self, Container, create_dir};

/// The first and the last id at which a container's range can begin, in steps of 65536
/// (systemd's UIDS-GIDS.md, "Container UIDs").
const FIRST: u32 = 0x0008_0000;
const LAST: u32 = 0x6fff_0000;

/// The range of a container: the recorded one, or a free one. Records nothing.
pub fn find(container: &Container, owner: Owner) -> Result<IdMap> {
    match recorded(container)? {
        Some(ids) => Ok(ids),
        None => pick(container, owner),
    }
}

/// The right to record a range for a container. Two starts at once must not choose
/// the same range, so this is held from the choice ([`find`]) to its record.
#[derive(Debug)]
pub struct Claim<'a> {
    container: &'a Container,
    _lock: Lock,
}

impl Claim<'_> {
    /// Records the range that was chosen.
    pub fn record(self, ids: IdMap) -> Result<()> {
        record(self.container, ids)
    }
}

/// Claims a range; `None` if the container has one recorded, or needs none.
pub fn claim<'a>(container: &'a Container, config: &ContainerConfig) -> Result<Option<Claim<'a>>> {
    let picks = matches!(
        config.private_users,
        PrivateUsers::Pick | PrivateUsers::PickIfPossible
    );
    if !picks || super::unavailable().is_some() || recorded(container)?.is_some() {
        return Ok(None);
    }
    let path = container.places().run_dir().join(".users.lock");
    let lock = Lock::wait(&path).with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(Some(Claim {
        container,
        _lock: lock,
    }))
}

/// Removes the record, so that other containers can pick the range.
pub fn remove_record(container: &Container) -> Result<()> {
    let path = container.places().users(container.name());
    remove_file(&files::unfinished(&path))?;
    remove_file(&path)
}

fn recorded(container: &Container) -> Result<Option<IdMap>> {
    read_record(&container.places().users(container.name()))
}

fn read_record(path: &Path) -> Result<Option<IdMap>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        answer => answer.with_context(|| format!("cannot read {}", path.display()))?,
    };
    match PrivateUsers::parse(text.trim_end()) {
        Ok(PrivateUsers::These(ids)) => Ok(Some(ids)),
        _ => bail!(
            "{} is not a record of the container's users; remove it to have other users picked",
            path.display()
        ),
    }
}

fn record(container: &Container, ids: IdMap) -> Result<()> {
    let path = container.places().users(container.name());
    if let Some(directory) = path.parent() {
        create_dir(directory, 0o700)?;
    }
    let line = format!("{}:{}\n", ids.root(), ids.count());
    files::replace(&path, line.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn pick(container: &Container, owner: Owner) -> Result<IdMap> {
    let name = container.name().as_str();
    choose(name, owner, &super::existing()?, &taken(container)?)
        .context("no range of 65536 users is free; choose one with --private-users=NUMBER")
}

/// Chooses a free range: that of the container's files if they have one, else one
/// that depends on the name only, as long as it is free.
fn choose(name: &str, owner: Owner, existing: &[IdMap], taken: &[IdMap]) -> Option<IdMap> {
    let of_files = owner
        .ids()
        .filter(|ids| (FIRST..=LAST).contains(&ids.root()));
    let slots = (LAST - FIRST) / DEFAULT_COUNT + 1;
    let start = hash(name) % slots;
    let others = (0..slots).map(|step| FIRST + (start + step) % slots * DEFAULT_COUNT);
    let others = others.filter_map(|first| IdMap::new(first, DEFAULT_COUNT));
    of_files
        .into_iter()
        .chain(others)
        .filter(|ids| existing.iter().any(|range| range.includes(*ids)))
        .find(|ids| !taken.iter().any(|other| other.overlaps(*ids)))
}

/// FNV-1a, 32 bits (RFC 9923), which is the same in every build.
fn hash(text: &str) -> u32 {
    let mix = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, mix)
}

/// The ids that are in use: by users and groups of the host and their subordinate
/// ranges (`man 5 subuid`), by processes, which may be of other programs' containers,
/// and by our other containers.
fn taken(container: &Container) -> Result<Vec<IdMap>> {
    let mut taken = Vec::new();
    for file in ["/etc/passwd", "/etc/group"] {
        taken.extend(lines(file)?.iter().filter_map(|line| account(line)));
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        taken.extend(lines(file)?.iter().filter_map(|line| subordinate(line)));
    }
    taken.extend(with_processes()?);
    let places = container.places();
    for other in container::registry::all(places)? {
        if other.name() != container.name() {
            taken.extend(configured(&other));
        }
    }
    taken.extend(records(places, container)?);
    Ok(taken)
}

/// Whether the host has an account with this user number.
pub fn has_account(user: u32) -> Result<bool> {
    let accounts = lines("/etc/passwd")?;
    let mut numbers = accounts.iter().filter_map(|line| account(line));
    Ok(numbers.any(|number| number.contains(user)))
}

fn lines(file: &str) -> Result<Vec<String>> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer.with_context(|| format!("cannot read {file}"))?,
    };
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(str::to_owned).collect())
}

/// The third field of `man 5 passwd` and `man 5 group`.
fn account(line: &str) -> Option<IdMap> {
    IdMap::new(line.split(':').nth(2)?.parse().ok()?, 1)
}

/// A line `NAME:FIRST:COUNT` of `man 5 subuid`.
fn subordinate(line: &str) -> Option<IdMap> {
    let mut numbers = line
        .split(':')
        .skip(1)
        .map(|field| field.trim().parse().ok());
    IdMap::new(numbers.next()??, numbers.next()??)
}

/// The users that have processes.
fn with_processes() -> Result<Vec<IdMap>> {
    let mut users = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let entry = entry.context("cannot read /proc")?;
        // A process that has ended has no user; other files in /proc are root's.
        if let Ok(metadata) = entry.metadata() {
            users.extend(IdMap::new(metadata.uid(), 1));
        }
    }
    Ok(users)
}

/// The range in another container's configuration, if it is given by number. A
/// container with a broken file cannot be started, so its range is free.
fn configured(other: &Container) -> Option<IdMap> {
    match other.config().ok()?.private_users {
        PrivateUsers::These(ids) => Some(ids),
        _ => None,
    }
}

/// The recorded ranges of other containers, even if their configurations no longer ask
/// for private users.
fn records(places: &Places, container: &Container) -> Result<Vec<IdMap>> {
    let directory = places.state_dir();
    let cannot = || format!("cannot read {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer.with_context(cannot)?,
    };
    let own = places.users(container.name());
    let mut ranges = Vec::new();
    for entry in entries {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".users") && path != own {
            ranges.extend(read_record(&path)?);
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_subordinate_ids_are_taken() {
        assert_eq!(account("root:x:0:0::/root:/bin/sh"), IdMap::new(0, 1));
        assert_eq!(account("big:*:524300:"), IdMap::new(524_300, 1));
        assert_eq!(
            subordinate("alice:100000:65536"),
            IdMap::new(100_000, 65536)
        );
        for line in ["", "+", "# comment", "a:b", "a:1", "a:1:", "a:1:-5"] {
            assert_eq!(account(line), None, "{line}");
            assert_eq!(subordinate(line), None, "{line}");
        }
    }

    #[test]
    fn range_depends_on_the_name_and_is_never_a_taken_one() {
        let all = [IdMap::new(0, u32::MAX).expect("valid")];
        let choose = |name, taken: &[IdMap]| choose(name, Owner::HOST, &all, taken);
        let first = choose("foo", &[]).expect("free");
        assert_eq!(choose("foo", &[]), Some(first));
        assert_ne!(choose("bar", &[]), Some(first));
        let one_of_them = IdMap::new(first.root() + 65535, 1).expect("valid");
        let second = choose("foo", &[one_of_them]).expect("free");
        assert!(!second.overlaps(first));
        for ids in [first, second] {
            assert!((FIRST..=LAST).contains(&ids.root()) && ids.root() % DEFAULT_COUNT == 0);
        }
        let last = IdMap::new(LAST, DEFAULT_COUNT).expect("valid");
        let all_but_the_last = IdMap::new(0, LAST).expect("valid");
        assert_eq!(choose("foo", &[all_but_the_last]), Some(last));
        assert_eq!(choose("foo", &[all_but_the_last, last]), None);
    }

    #[test]
    fn ids_that_do_not_exist_are_not_picked() {
        let few = [IdMap::new(0, 65536), IdMap::new(FIRST + 1, DEFAULT_COUNT)];
        let few: Vec<_> = few.into_iter().flatten().collect();
        assert_eq!(choose("foo", Owner::HOST, &few, &[]), None);
        let one = [IdMap::new(FIRST, DEFAULT_COUNT).expect("valid")];
        assert_eq!(choose("foo", Owner::HOST, &one, &[]), Some(one[0]));
    }

    #[test]
    fn hash_is_fnv_1a() {
        assert_eq!(hash(""), 0x811c_9dc5);
        assert_eq!(hash("foobar"), 0xbf9c_f968);
    }

    #[test]
    fn ranges_begin_where_systemd_has_containers() {
        assert_eq!((FIRST, LAST), (524_288, 1_878_982_656));
        assert_eq!((LAST - FIRST) % DEFAULT_COUNT, 0);
    }
}
