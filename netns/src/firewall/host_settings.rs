//! Sysctls of the host that containers share, and their former values.
//!
//! The values are restored when the last container goes, perhaps by another
//! process: so they are recorded in a file before anything is changed. The file
//! is read and written under the lock.

use std::fmt;
use std::fs;
use std::io;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Family};
use crate::link::bridge;
use crate::sysctl::{list, read};
use crate::{files, sysctl};

const IPV4_FORWARDING: &str = "net/ipv4/ip_forward";
const IPV6_FORWARDING: &str = "net/ipv6/conf/all/forwarding";

/// Prefixes of our links. Containers behind them must not change the host's
/// routes.
const OWN_LINKS: [&str; 3] = ["ve-", "vb-", "vz-"];

/// A sysctl that was set. Displayed as a notice for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysctlChange {
    /// Its path below `/proc/sys`.
    path: String,
    before: String,
    after: String,
}

impl fmt::Display for SysctlChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, .. } = self;
        write!(f, "{} set to {after} (was {before})", dotted(&self.path))
    }
}

/// The name in sysctl(8), which exchanges dots and slashes.
fn dotted(path: &str) -> String {
    path.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
}

/// What is restored when the last container goes.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    changes: Vec<SysctlChange>,
    /// Paths and values of further sysctls, which the kernel changes with them.
    side_effects: Vec<(String, String)>,
    /// Links that are not a container's own and have a route to `::1`.
    pub loopback_routes: Vec<String>,
}

impl Record {
    /// The record in `directory`, empty if there is none.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let path = record_path(directory);
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| file_error("read", path, error))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(file_error("read", path, error)),
        }
    }

    pub fn exists(directory: &Path) -> bool {
        record_path(directory).exists()
    }

    pub fn write(&self, directory: &Path) -> Result<(), Error> {
        let path = record_path(directory);
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        let written = text.and_then(|text| files::replace(&path, &text));
        written.map_err(|error| file_error("write", path, error))
    }

    pub fn remove(directory: &Path) -> Result<(), Error> {
        let path = record_path(directory);
        files::remove(&path).map_err(|error| file_error("remove", path, error))
    }

    /// Adds sysctls that will be set, except for those that were set for an earlier
    /// container, and links that will have a route to `::1`.
    pub fn add(&mut self, changes: &[SysctlChange], loopback_routes: Vec<String>) {
        for change in changes {
            if self.changes.iter().any(|known| known.path == change.path) {
                continue;
            }
            self.side_effects.extend(side_effects(&change.path));
            self.changes.push(change.clone());
        }
        for link in loopback_routes {
            if !self.loopback_routes.contains(&link) {
                self.loopback_routes.push(link);
            }
        }
    }

    /// Restores every sysctl, unless it has been set to another value meanwhile.
    pub fn restore(&self) -> Result<(), Error> {
        for change in self.changes.iter().rev() {
            if read(&change.path).as_ref() == Some(&change.after) {
                write(&change.path, &change.before)?;
            }
        }
        for (path, value) in &self.side_effects {
            if read(path).is_some_and(|now| now != *value) {
                write(path, value)?;
            }
        }
        Ok(())
    }
}

fn record_path(directory: &Path) -> PathBuf {
    directory.join("sysctls.json")
}

/// The sysctls to be set so that the host forwards packets of a family.
pub fn for_forwarding(family: Family) -> Result<Vec<SysctlChange>, Error> {
    match family {
        Family::V4 => Ok(change(IPV4_FORWARDING, "1").into_iter().collect()),
        Family::V6 => {
            let Some(forwarding) = change(IPV6_FORWARDING, "1") else {
                return Ok(Vec::new());
            };
            // A router ignores router advertisements and drops the routes that it
            // has from them, unless accept_ra is 2 (ip-sysctl). So that is first.
            let mut changes = keep_advertisements()?;
            changes.push(forwarding);
            Ok(changes)
        }
    }
}

/// The sysctls to be set so that packets from and to 127.0.0.0/8 can pass `link`.
pub fn for_loopback(link: &str) -> Vec<SysctlChange> {
    change(&route_localnet(link), "1").into_iter().collect()
}

/// Closes a link of our own to 127.0.0.0/8. `false` if the link is gone.
pub fn close_loopback(link: &str) -> Result<bool, Error> {
    let path = route_localnet(link);
    match read(&path) {
        None => Ok(false),
        Some(value) => {
            if value != "0" {
                write(&path, "0")?;
            }
            Ok(true)
        }
    }
}

pub fn set(change: &SysctlChange) -> Result<(), Error> {
    write(&change.path, &change.after)
}

fn route_localnet(link: &str) -> String {
    format!("net/ipv4/conf/{link}/route_localnet")
}

fn keep_advertisements() -> Result<Vec<SysctlChange>, Error> {
    let of_containers = bridge::of_containers_alone().map_err(|error| Error::Netlink {
        operation: "list bridges",
        source: io::Error::other(error),
    })?;
    let changes = list("net/ipv6/conf")
        .iter()
        .filter(|link| !of_containers.contains(link))
        .filter(|link| !OWN_LINKS.iter().any(|own| link.starts_with(own)))
        .filter(|link| !["all", "default", "lo"].contains(&link.as_str()))
        .filter(|link| {
            read(&format!("net/ipv6/conf/{link}/forwarding")).as_deref() == Some("0")
                && read(&format!("net/ipv6/conf/{link}/accept_ra")).as_deref() == Some("1")
        })
        .filter_map(|link| change(&format!("net/ipv6/conf/{link}/accept_ra"), "2"))
        .collect();
    Ok(changes)
}

/// The sysctls that the kernel changes when the forwarding of all links is set
/// back to 0, with their values: each link's forwarding becomes 0, and in IPv4
/// redirects are accepted (ip-sysctl; `inet_forward_change` in
/// net/ipv4/devinet.c).
fn side_effects(path: &str) -> Vec<(String, String)> {
    let (conf, all) = match path {
        IPV4_FORWARDING => ("net/ipv4/conf", Some("net/ipv4/conf/all/accept_redirects")),
        IPV6_FORWARDING => ("net/ipv6/conf", None),
        _ => return Vec::new(),
    };
    let forwarding = list(conf)
        .into_iter()
        .filter(|link| link != "all")
        .map(|link| format!("{conf}/{link}/forwarding"))
        .filter_map(|path| Some((read(&path)?, path)))
        .filter(|(value, _)| value != "0")
        .map(|(value, path)| (path, value));
    let all = all.and_then(|path| Some((path.to_owned(), read(path)?)));
    forwarding.chain(all).collect()
}

fn change(path: &str, after: &str) -> Option<SysctlChange> {
    let before = read(path)?;
    (before != after).then(|| SysctlChange {
        path: path.to_owned(),
        before,
        after: after.to_owned(),
    })
}

fn write(path: &str, value: &str) -> Result<(), Error> {
    sysctl::write(path, value).map_err(|error| file_error("set", sysctl::absolute(path), error))
}

fn file_error(
    operation: &'static str,
    path: impl Into<PathBuf>,
    error: impl Into<io::Error>,
) -> Error {
    Error::File {
        operation,
        path: path.into(),
        source: error.into(),
    }
}
