//! Devices: resolves names to the numbers of the kernel.

use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};
use runtime::{Device, DeviceAccess, DeviceKind};
use rustix::fs::FileType;

use crate::config::{AllowedDevice, WhichDevice};

/// Where the kernel lists its drivers (`man 5 proc_devices`).
const DRIVERS: &str = "/proc/devices";

/// Resolves the allowed devices. As with `DeviceAllow=`, a missing device is a notice,
/// not an error.
pub fn resolve(allowed: &[AllowedDevice], notices: &mut Vec<String>) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for AllowedDevice { which, access } in allowed {
        let found = match which {
            WhichDevice::Node(node) => node_device(node, *access)?.into_iter().collect(),
            WhichDevice::Drivers { kind, pattern } => drivers(*kind, pattern, *access)?,
        };
        if found.is_empty() {
            let name = match which {
                WhichDevice::Node(node) => node.display().to_string(),
                WhichDevice::Drivers { pattern, .. } => format!("driver {pattern}"),
            };
            notices.push(format!("ALLOWED_DEVICES: this host has no {name}"));
        }
        devices.extend(found);
    }
    Ok(devices)
}

fn node_device(node: &Path, access: DeviceAccess) -> Result<Option<Device>> {
    let cannot = || format!("cannot stat {} of ALLOWED_DEVICES", node.display());
    let stat = match rustix::fs::stat(node).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        answer => answer.with_context(cannot)?,
    };
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => DeviceKind::Character,
        FileType::BlockDevice => DeviceKind::Block,
        _ => bail!("{} of ALLOWED_DEVICES is not a device", node.display()),
    };
    Ok(Some(Device {
        kind,
        major: rustix::fs::major(stat.st_rdev),
        minor: Some(rustix::fs::minor(stat.st_rdev)),
        access,
    }))
}

fn drivers(kind: DeviceKind, pattern: &str, access: DeviceAccess) -> Result<Vec<Device>> {
    let listed =
        std::fs::read_to_string(DRIVERS).with_context(|| format!("cannot read {DRIVERS}"))?;
    let majors = majors(&listed, kind, pattern);
    let device = |major| Device {
        kind,
        major,
        minor: None,
        access,
    };
    Ok(majors.map(device).collect())
}

/// The major numbers of the drivers with a matching name. The list has a headline for
/// each kind of device, and a line `NUMBER NAME` for each driver.
fn majors(listed: &str, kind: DeviceKind, pattern: &str) -> impl Iterator<Item = u32> {
    let headline = match kind {
        DeviceKind::Character => "Character devices:",
        DeviceKind::Block => "Block devices:",
    };
    let after_headline = listed.lines().skip_while(move |line| *line != headline);
    after_headline
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.trim_start().split_once(' '))
        .filter(move |(_, name)| matches(pattern.as_bytes(), name.as_bytes()))
        .filter_map(|(number, _)| number.parse().ok())
}

/// Whether a name matches a pattern, where `*` stands for any bytes and `?` for one.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        ([b'?', rest @ ..], [_, behind @ ..]) => matches(rest, behind),
        ([letter, rest @ ..], [first, behind @ ..]) => letter == first && matches(rest, behind),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_found_by_their_names() {
        let listed = "Character devices:\n  1 mem\n  4 tty\n  4 ttyS\n\n\
                      Block devices:\n  7 loop\n259 blkext\n";
        let found = |kind, pattern| majors(listed, kind, pattern).collect::<Vec<_>>();
        assert_eq!(found(DeviceKind::Character, "mem"), [1]);
        assert_eq!(found(DeviceKind::Character, "tty*"), [4, 4]);
        assert_eq!(found(DeviceKind::Character, "*"), [1, 4, 4]);
        assert_eq!(found(DeviceKind::Block, "blk???"), [259]);
        assert_eq!(found(DeviceKind::Block, "l*p"), [7]);
        assert!(found(DeviceKind::Block, "mem").is_empty());
        assert!(found(DeviceKind::Block, "").is_empty());
    }
}
