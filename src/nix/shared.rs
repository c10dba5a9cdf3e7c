//! What a container and its host share of Nix' state: the system's profile, and the
//! store paths that the container needs.
//!
//! The host's Nix trusts its directories of profiles and garbage collector roots: it
//! locks, follows and removes by path what it finds there. So the container writes to
//! directories of its own, which no program of the host reads but this one, and the host
//! makes its links itself:
//!
//! ```text
//! inside                             of the container          for the host's Nix
//! /nix/var/nix/profiles/system… ───▶ profiles/system… ◀──────▶ per-container/NAME/system…
//! /nix/var/nix/profiles, gcroots ──▶ profiles, gcroots ──────▶ gcroots/per-container/NAME/HASH-…
//! ```
//!
//! The profile can be changed at both places; [`merge`] gives both the same links.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::merge::merge;
use super::profile::{self, Profile};
use super::results::{LookedUp, Results};
use super::roots;
use super::store_path::StorePath;
use crate::config::ContainerConfig;
use crate::container::files::{remove_file, remove_tree};
use crate::container::lock::Lock;
use crate::container::paths::NixDir;
use crate::container::{Container, create_dir};

/// Entries that are copied from directories which an earlier version of this program
/// let the container write to.
const MAX_COPIED: usize = 16384;

/// Whether a container's own changes of the profile count on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnChanges {
    /// They count as the host's.
    Count,
    /// They do not: an untrusted container would see the store paths of any system that
    /// it sets.
    Ignored,
}

impl OwnChanges {
    /// Those of a container with this configuration.
    pub fn of(config: &ContainerConfig) -> Self {
        match config.untrusted {
            true => Self::Ignored,
            false => Self::Count,
        }
    }
}

/// Directories below each other that are copied, so that no path is too long.
const MAX_DEPTH: usize = 8;

/// What was taken over of a running container.
#[derive(Debug, Default)]
pub struct TakenOver {
    /// The directories whose next change is to be taken over.
    pub directories: Vec<OwnedFd>,
    /// Why something was not taken over.
    pub problems: Vec<anyhow::Error>,
}

/// Makes the container's directories, and takes over the changes of its profile since
/// its last run. The container is not running.
pub fn prepare(container: &Container, own: OwnChanges) -> Result<()> {
    let nix = container.places().nix(container.name());
    if !nix.common().exists() {
        separate(container, &nix)
            .with_context(|| format!("cannot make {} for {container}", nix.path().display()))?;
    }
    lock_and_merge(container, &nix, own)
}

/// Takes over the changes of the profile that were made inside or on the host. Without
/// directories of its own, the container still uses the host's. Nothing happens while
/// its configuration has an error.
pub fn take_over_profile(container: &Container) -> Result<()> {
    let nix = container.places().nix(container.name());
    match container.config() {
        Ok(config) if nix.common().exists() => {
            lock_and_merge(container, &nix, OwnChanges::of(&config))
        }
        _ => Ok(()),
    }
}

fn lock_and_merge(container: &Container, nix: &NixDir, own: OwnChanges) -> Result<()> {
    let _lock = Lock::wait(&nix.lock()).with_context(|| cannot_lock(container))?;
    merge_profiles(container, nix, own)
}

/// The part of a taking over that is not repeated in the next one.
#[derive(Debug, Default)]
pub struct Seen(LookedUp);

/// Takes over all changes that were made on the host or inside, of a container whose own
/// changes count; results of builds inside only with `seen`. `prepare` gets each
/// directory before it is read. `None` if another process is doing the same, or the
/// container has no directories of its own yet.
pub fn take_over(
    container: &Container,
    seen: Option<&mut Seen>,
    mut prepare: impl FnMut(BorrowedFd<'_>),
) -> Result<Option<TakenOver>> {
    let (places, name) = (container.places(), container.name());
    let nix = places.nix(name);
    if !nix.common().exists() {
        return Ok(None);
    }
    let lock = Lock::try_lock(&nix.lock()).with_context(|| cannot_lock(container))?;
    if lock.is_none() {
        return Ok(None);
    }
    let mut taken = TakenOver::default();
    let host = Profile::open(&places.profiles(name)).with_context(|| cannot_read(container))?;
    let host = host.into_directory();
    prepare(host.as_fd());
    let mut found = roots::find(&nix.profiles(), &nix.gcroots(), &mut prepare)
        .with_context(|| cannot_read(container))?;
    taken.directories = found.directories;
    taken.directories.push(host);
    match results(&nix, &places.root(name), seen, prepare) {
        Ok((paths, of_daemon)) => {
            found.paths.extend(paths);
            taken.directories.extend(of_daemon);
        }
        Err(error) => taken
            .problems
            .push(error.context(format!("cannot find results of builds in {container}"))),
    }
    if found.is_cut_off {
        taken.problems.push(anyhow::anyhow!(
            "{container} has more links in /nix/var/nix/profiles and /nix/var/nix/gcroots than \
             are read; the garbage collector of the host may remove store paths that it needs"
        ));
    }
    taken
        .problems
        .extend(merge_profiles(container, &nix, OwnChanges::Count).err());
    let gcroots = places.gcroots(name);
    let replaced = roots::replace(&gcroots, &found.paths)
        .with_context(|| format!("cannot change the links in {}", gcroots.display()));
    taken.problems.extend(replaced.err());
    Ok(Some(taken))
}

/// The store paths that results of builds inside lead to, and the directory of the
/// daemon's links, if it was read.
fn results(
    nix: &NixDir,
    root: &Path,
    seen: Option<&mut Seen>,
    prepare: impl FnMut(BorrowedFd<'_>),
) -> Result<(BTreeSet<StorePath>, Option<OwnedFd>)> {
    let record = nix.results();
    let mut results = Results::read(&record)?;
    let before = results.clone();
    let of_daemon = match seen {
        Some(Seen(looked_up)) => Some(results.add_of_daemon(looked_up, prepare)?),
        None => None,
    };
    let paths = results.look_up(root);
    if results != before {
        results.write(&record)?;
    }
    Ok((paths, of_daemon))
}

fn merge_profiles(container: &Container, nix: &NixDir, own: OwnChanges) -> Result<()> {
    let open = |directory: PathBuf| -> Result<_> {
        let cannot = || format!("cannot read the profile in {}", directory.display());
        let profile = Profile::open(&directory).with_context(cannot)?;
        let links = profile.links().with_context(cannot)?;
        Ok((directory, profile, links))
    };
    let host = open(container.places().profiles(container.name()))?;
    let common = open(nix.common())?;
    let mut inside = open(nix.profiles())?;
    // Only links that the host's Nix could have made are taken over.
    inside.2.generations.retain(|number, target| {
        common.2.generations.get(number) == Some(target)
            || StorePath::exactly(target).is_some_and(|path| path.exists())
    });
    let generations = &inside.2.generations;
    inside.2.current = inside.2.current.filter(|n| generations.contains_key(n));
    let merged = match own {
        OwnChanges::Count => merge(&common.2, &host.2, &inside.2),
        OwnChanges::Ignored => host.2.clone(),
    };
    for (directory, profile, links) in [host, inside, common] {
        profile
            .replace(&links, &merged)
            .with_context(|| format!("cannot change the profile in {}", directory.display()))?;
    }
    Ok(())
}

/// Gives the container directories of its own, with all the links of the host's. If an
/// earlier version of this program has started the container, the container could write
/// to those: there, only links of the host's form stay.
fn separate(container: &Container, nix: &NixDir) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    let (profiles, gcroots) = (places.profiles(name), places.gcroots(name));
    create_dir(nix.path(), 0o700)?;
    let mut left = MAX_COPIED;
    copy_links(&profiles, &nix.profiles(), &mut left)?;
    copy_links(&gcroots, &nix.gcroots(), &mut left)?;
    let found = roots::find(&nix.profiles(), &nix.gcroots(), |_| {})?;
    roots::replace(&gcroots, &found.paths)?;
    remove_other(&gcroots, |name, target| {
        StorePath::exactly(target).is_some_and(|path| path.name() == name)
    })?;
    remove_other(&profiles, |name, target| {
        let is_current = name == profile::CURRENT;
        let generation = if is_current { target.as_os_str() } else { name };
        profile::number_of(generation).is_some()
    })?;
    // Last: without it, all of this is done again.
    create_dir(&nix.common(), 0o700)
}

/// Copies the links in a directory, and in those below it.
fn copy_links(from: &Path, to: &Path, left: &mut usize) -> Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let (from, to) = (from.join(&below), to.join(&below));
        let cannot = || format!("cannot copy the links in {}", from.display());
        let made = fs::DirBuilder::new().mode(0o755).create(&to);
        accept_existing(made).with_context(cannot)?;
        for entry in fs::read_dir(&from).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            if *left == 0 {
                return Ok(());
            }
            *left -= 1;
            let kind = entry.file_type().with_context(cannot)?;
            if kind.is_dir() && below.components().count() < MAX_DEPTH {
                pending.push(below.join(entry.file_name()));
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path()).with_context(cannot)?;
                let made = symlink(target, to.join(entry.file_name()));
                accept_existing(made).with_context(cannot)?;
            }
        }
    }
    Ok(())
}

fn accept_existing(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Removes all entries of a directory but links that are to stay by name and target.
fn remove_other(directory: &Path, stays: impl Fn(&OsStr, &Path) -> bool) -> Result<()> {
    let cannot = || format!("cannot read {}", directory.display());
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let path = entry.path();
        match fs::read_link(&path) {
            Ok(target) if stays(&entry.file_name(), &target) => {}
            _ if entry.file_type().with_context(cannot)?.is_dir() => remove_tree(&path)?,
            _ => remove_file(&path)?,
        }
    }
    Ok(())
}

fn cannot_lock(container: &Container) -> String {
    format!("cannot lock the profile of {container}")
}

fn cannot_read(container: &Container) -> String {
    format!("cannot read the profiles of {container}")
}
