//! A limit of the host that the systems in containers share: the instances of inotify
//! that a user may have (`man 7 inotify`). systemd and its services need several for
//! each system, and all of them are root's or, in a user namespace, count for root too
//! (`man 7 user_namespaces`).
//!
//! The limit is raised when there are many containers, and restored with the last of
//! them, perhaps by another process: so a file tells its former value and the
//! containers. The file is read and written under a lock.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use runtime::sys::proc;
use rustix::fs::inotify;
use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::container::files::remove_file;
use crate::container::lock::Lock;
use crate::container::paths::Places;

/// The instances that are reckoned for a system: a small one has 4, one with the
/// services of a desktop about 10.
const FOR_SYSTEM: u64 = 16;

const SETTING: &str = "fs/inotify/max_user_instances";

/// Its name in sysctl(8).
const NAME: &str = "fs.inotify.max_user_instances";

/// What is restored with the last container.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    before: u64,
    after: u64,
    containers: Vec<String>,
}

/// Raises the limit if it may not suffice for this container and those that run.
/// Returns a notice if it was raised, or cannot be.
pub fn raise(container: &Container) -> Option<String> {
    let places = container.places();
    let limit = proc::setting(SETTING).ok()?;
    let containers = running(places).max(1);
    if containers * FOR_SYSTEM <= limit && !record_path(places).exists() {
        return None;
    }
    match raise_and_record(container, containers) {
        Ok(raised) => raised.then(|| {
            let now: u64 = proc::setting(SETTING).unwrap_or_default();
            format!("{NAME} set to {now} (was {limit})")
        }),
        Err(error) => Some(format!(
            "{error:#}; with {limit} instances, {containers} systems may be too many to start"
        )),
    }
}

/// Restores the limit if this was the last container that it was raised for.
pub fn restore(container: &Container) -> Result<()> {
    let places = container.places();
    if !record_path(places).exists() {
        return Ok(());
    }
    let _lock = lock(places)?;
    let mut record = read(places)?;
    record
        .containers
        .retain(|name| name != container.name().as_str());
    if !record.containers.is_empty() {
        return write(places, &record);
    }
    // Unless it has been set to another value meanwhile.
    if proc::setting::<u64>(SETTING).is_ok_and(|now| now == record.after) {
        set(record.before)?;
    }
    remove_file(&record_path(places))
}

/// Whether the limit is used up, so far that another system does not start; its value.
pub fn used_up() -> Option<String> {
    let instances: Result<Vec<_>, _> = (0..FOR_SYSTEM)
        .map(|_| inotify::init(inotify::CreateFlags::CLOEXEC))
        .collect();
    let limit: u64 = proc::setting(SETTING).ok()?;
    let is_used_up = matches!(instances, Err(rustix::io::Errno::MFILE));
    is_used_up.then(|| format!("the host's {NAME}={limit} is used up"))
}

/// Notes the container, and raises the limit for twice the containers, so that not
/// each start has to. Returns whether the limit was raised.
fn raise_and_record(container: &Container, containers: u64) -> Result<bool> {
    let places = container.places();
    let _lock = lock(places)?;
    let limit = proc::setting(SETTING).with_context(|| format!("cannot read {NAME}"))?;
    let mut record = read(places)?;
    let is_raised = containers * FOR_SYSTEM > limit;
    if is_raised {
        if record == Record::default() {
            record.before = limit;
            record.containers = names(places);
        }
        record.after = (2 * containers * FOR_SYSTEM).next_power_of_two();
    }
    let name = container.name().to_string();
    if record != Record::default() && !record.containers.contains(&name) {
        record.containers.push(name);
    }
    if record != Record::default() {
        write(places, &record)?;
    }
    if is_raised {
        set(record.after)?;
    }
    Ok(is_raised)
}

/// The number of containers that run.
fn running(places: &Places) -> u64 {
    names(places).len() as u64
}

/// The names of the containers that run, this one perhaps among them.
fn names(places: &Places) -> Vec<String> {
    let sockets = fs::read_dir(places.public_dir()).into_iter().flatten();
    let names = sockets.filter_map(|socket| socket.ok()?.file_name().into_string().ok());
    names.collect()
}

fn set(limit: u64) -> Result<()> {
    fs::write(format!("/proc/sys/{SETTING}"), limit.to_string())
        .with_context(|| format!("cannot set {NAME} to {limit}"))
}

fn record_path(places: &Places) -> PathBuf {
    places.run_dir().join(".limits.json")
}

fn lock(places: &Places) -> Result<Lock> {
    Lock::wait(&places.run_dir().join(".limits.lock")).context("cannot lock the limits of the host")
}

/// The record, empty if there is none.
fn read(places: &Places) -> Result<Record> {
    let path = record_path(places);
    let cannot = || format!("cannot read {}", path.display());
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
        text => serde_json::from_slice(&text.with_context(cannot)?).with_context(cannot),
    }
}

fn write(places: &Places, record: &Record) -> Result<()> {
    let path = record_path(places);
    serde_json::to_vec(record)
        .map_err(io::Error::from)
        .and_then(|text| netns::files::replace(&path, &text))
        .with_context(|| format!("cannot write {}", path.display()))
}
