//! Host names of running containers: lines of `/etc/hosts` (`man 5 hosts`).
//!
//! Each line ends with a comment with the container's name, by which it is found
//! again. The rest of the file is the administrator's, and stays as it is to the
//! last byte.
//!
//! On NixOS the file comes from the system's configuration, and nothing else may
//! change it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{Access, AtFlags, CWD, FileType, StatxAttributes, StatxFlags, accessat, statx};
use serde::Serialize;

use crate::container::lock::Lock;
use crate::container::name::ContainerName;

/// The path of the file.
pub const PATH: &str = "/etc/hosts";

/// Exists on NixOS (`nixos/modules/system/etc` of nixpkgs).
const NIXOS: &str = "/etc/NIXOS";

/// An address and its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename = "add_host_name")]
pub struct Entry {
    /// The container's address.
    pub address: IpAddr,
    /// The container's name, and `NAME.containers`, as in nixpkgs' module.
    pub names: Vec<String>,
}

impl Entry {
    /// The names of a container with this address.
    pub fn new(container: &ContainerName, address: IpAddr) -> Self {
        Self {
            address,
            names: vec![container.to_string(), format!("{container}.containers")],
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.address, self.names.join(" "))
    }
}

/// Whether the file can be replaced: it is neither a link into the store, nor
/// mounted from outside if the host is a container itself.
pub fn is_changeable() -> bool {
    let Ok(file) = statx(
        CWD,
        PATH,
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::TYPE | StatxFlags::MODE,
    ) else {
        return false;
    };
    FileType::from_raw_mode(file.stx_mode.into()).is_file()
        && !file.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        && !Path::new(NIXOS).exists()
        && accessat(CWD, "/etc", Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Replaces the lines of a container in the file, under the lock `lock`. Returns
/// notices for the user: names that are taken.
pub fn add(container: &ContainerName, entries: &[Entry], lock: &Path) -> Result<Vec<String>> {
    if entries.is_empty() || !is_changeable() {
        return Ok(Vec::new());
    }
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let mut notices = Vec::new();
    change(lock, |text| {
        let (changed, taken) = with(text, container, entries, &host);
        notices = taken;
        changed
    })?;
    Ok(notices)
}

/// Removes the lines of a container from the file.
pub fn remove(container: &ContainerName, lock: &Path) -> Result<()> {
    // Without the lock: only the container's own supervisor could add lines, and
    // it has ended.
    let text = match fs::read(PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        answer => answer.with_context(|| format!("cannot read {PATH}"))?,
    };
    if !lines(&text).any(|line| is_of(line, container)) || !is_changeable() {
        return Ok(());
    }
    change(lock, |text| without(text, container))
}

/// Replaces the file by what `edit` makes of its text, under the lock.
fn change(lock: &Path, edit: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<()> {
    let _lock = Lock::wait(lock).with_context(|| format!("cannot lock {}", lock.display()))?;
    let text = fs::read(PATH).with_context(|| format!("cannot read {PATH}"))?;
    let changed = edit(&text);
    if changed == text {
        return Ok(());
    }
    netns::files::replace(Path::new(PATH), &changed)
        .with_context(|| format!("cannot replace {PATH}"))
}

/// The text with the lines of a container, and a sentence for each name that is
/// left out because it is taken. `host` is the host's own name.
pub fn with(
    text: &[u8],
    container: &ContainerName,
    entries: &[Entry],
    host: &str,
) -> (Vec<u8>, Vec<String>) {
    let text = without(text, container);
    let mut notices = Vec::new();
    let mut added = Vec::new();
    for entry in entries {
        let mut free = entry.clone();
        free.names.retain(|name| match holder(&text, name, host) {
            Some(holder) => {
                notices.push(format!(
                    "{name} is {holder}, so it is not added for container '{container}' at {}",
                    entry.address
                ));
                false
            }
            None => true,
        });
        if !free.names.is_empty() {
            added.push(format!("{free} {}", mark(container)).into_bytes());
        }
    }
    let mut all: Vec<&[u8]> = lines(&text).collect();
    // A text without a newline at its end has none with the added lines either, so
    // that it has none when they are removed.
    let end = match all.last() {
        Some([]) => all.len() - 1,
        _ => all.len(),
    };
    all.splice(end..end, added.iter().map(Vec::as_slice));
    (all.join(&b'\n'), notices)
}

/// The text without the lines of a container.
pub fn without(text: &[u8], container: &ContainerName) -> Vec<u8> {
    let others: Vec<_> = lines(text).filter(|line| !is_of(line, container)).collect();
    others.join(&b'\n')
}

/// The lines, with an empty one at the end if the text ends with a newline.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// The comment at the end of a container's lines.
fn mark(container: &ContainerName) -> String {
    format!("# nixos-container {container}")
}

fn is_of(line: &[u8], container: &ContainerName) -> bool {
    line.ends_with(format!(" {}", mark(container)).as_bytes())
}

/// The holder of a name, in words. Upper and lower case are equal (RFC 1035,
/// section 2.3.3).
fn holder(text: &[u8], name: &str, host: &str) -> Option<String> {
    if name.eq_ignore_ascii_case(host) || name.eq_ignore_ascii_case("localhost") {
        return Some("the host's own name".to_owned());
    }
    let line = lines(text)
        .map(String::from_utf8_lossy)
        .find(|line| names(line).any(|other| other.eq_ignore_ascii_case(name)))?;
    Some(format!("already in {PATH} ({})", line.trim()))
}

/// The names in a line, after the address.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let content = line.split('#').next().unwrap_or_default();
    content.split_whitespace().skip(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(name: &str) -> ContainerName {
        name.parse().expect("valid")
    }

    fn entries(container: &str, addresses: &[&str]) -> Vec<Entry> {
        let entry =
            |address: &&str| Entry::new(&name(container), address.parse().expect("an address"));
        addresses.iter().map(entry).collect()
    }

    fn added(text: &str, container: &str, addresses: &[&str]) -> (String, Vec<String>) {
        let entries = entries(container, addresses);
        let (text, notices) = with(text.as_bytes(), &name(container), &entries, "machine");
        (String::from_utf8(text).expect("UTF-8"), notices)
    }

    #[test]
    fn each_address_gets_a_line_at_the_end() {
        let lines = "10.233.1.2 foo foo.containers # nixos-container foo\n\
                     fd00::2 foo foo.containers # nixos-container foo\n";
        for before in ["", "127.0.0.1 localhost\n", "# mine\n\n"] {
            let (text, notices) = added(before, "foo", &["10.233.1.2", "fd00::2"]);
            assert_eq!(text, format!("{before}{lines}"));
            assert_eq!(notices, [""; 0]);
        }
    }

    #[test]
    fn taken_names_are_left_out() {
        for (line, holder) in [
            (
                "10.0.0.7\tweb FOO # mine",
                "already in /etc/hosts (10.0.0.7\tweb FOO # mine)",
            ),
            (
                "10.233.2.2 Foo # nixos-container Foo",
                "already in /etc/hosts (10.233.2.2 Foo # nixos-container Foo)",
            ),
        ] {
            let (text, notices) = added(&format!("{line}\n"), "foo", &["10.233.1.2"]);
            assert_eq!(
                text,
                format!("{line}\n10.233.1.2 foo.containers # nixos-container foo\n")
            );
            let notice =
                format!("foo is {holder}, so it is not added for container 'foo' at 10.233.1.2");
            assert_eq!(notices, [notice]);
        }
        for (line, container) in [("# 10.0.0.7 foo", "foo"), ("foo bar", "foo"), ("", "bar")] {
            assert_eq!(added(line, container, &["10.233.1.2"]).1, [""; 0], "{line}");
        }
        let (text, notices) = added("", "machine", &["10.233.1.2"]);
        assert_eq!(
            text,
            "10.233.1.2 machine.containers # nixos-container machine\n"
        );
        assert!(
            notices[0].starts_with("machine is the host's own name"),
            "{notices:?}"
        );
    }

    #[test]
    fn an_earlier_address_is_replaced() {
        let (text, _) = added("127.0.0.1 localhost\n", "foo", &["10.233.1.2"]);
        let (text, notices) = added(&text, "foo", &["10.233.1.9"]);
        assert_eq!(
            text,
            "127.0.0.1 localhost\n10.233.1.9 foo foo.containers # nixos-container foo\n"
        );
        assert_eq!(notices, [""; 0]);
    }

    #[test]
    fn lines_belong_to_whole_names() {
        let (both, _) = added("", "foo", &["10.233.1.2"]);
        let (both, _) = added(&both, "o", &["10.233.2.2"]);
        let left = without(both.as_bytes(), &name("o"));
        assert_eq!(left, added("", "foo", &["10.233.1.2"]).0.as_bytes());
    }

    proptest! {
        #[test]
        fn removed_lines_leave_no_trace(text in "([a-z0-9.#]{0,9}[ \t\n\r]?|\u{fe}){0,12}") {
            let (changed, _) = added(&text, "foo", &["10.233.1.2", "fd00::2"]);
            prop_assert_eq!(without(changed.as_bytes(), &name("foo")), text.into_bytes());
        }
    }
}
