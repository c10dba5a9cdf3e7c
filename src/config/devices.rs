//! `ALLOWED_DEVICES`: devices of the host, in the words of `DeviceAllow=`
//! (`man 5 systemd.resource-control`), which nixpkgs' unit hands on.

use std::path::PathBuf;

use runtime::{DeviceAccess, DeviceKind};

/// Devices that the container's processes may use.
#[derive(Debug, Clone, PartialEq)]
pub struct AllowedDevice {
    /// Which.
    pub which: WhichDevice,
    /// What they may do with them.
    pub access: DeviceAccess,
}

/// How devices are named.
#[derive(Debug, Clone, PartialEq)]
pub enum WhichDevice {
    /// The device of this node, below `/dev`.
    Node(PathBuf),
    /// All devices of the drivers that have such a name in `/proc/devices`.
    Drivers {
        /// Of one kind.
        kind: DeviceKind,
        /// The name; `*` stands for any letters, `?` for one.
        pattern: String,
    },
}

/// `NODE [ACCESS]`, separated by commas or line ends.
pub fn allowed_devices(text: &str) -> Result<Vec<AllowedDevice>, &'static str> {
    text.split([',', '\n'])
        .filter(|line| !line.trim().is_empty())
        .map(allowed_device)
        .collect()
}

fn allowed_device(line: &str) -> Result<AllowedDevice, &'static str> {
    let expected = "devices separated by commas, each a node or driver with the letters of what \
                    is allowed, as '/dev/fuse rwm' or 'char-input r'";
    let mut words = line.split_whitespace();
    let (which, letters) = (words.next().unwrap_or_default(), words.next());
    if words.next().is_some() {
        return Err(expected);
    }
    let drivers = |kind, pattern: &str| WhichDevice::Drivers {
        kind,
        pattern: pattern.to_owned(),
    };
    let which = if let Some(pattern) = which.strip_prefix("char-") {
        drivers(DeviceKind::Character, pattern)
    } else if let Some(pattern) = which.strip_prefix("block-") {
        drivers(DeviceKind::Block, pattern)
    } else if which.starts_with("/dev/") {
        WhichDevice::Node(which.into())
    } else {
        return Err(expected);
    };
    let letters = letters.unwrap_or("rwm");
    if !letters.chars().all(|letter| "rwm".contains(letter)) {
        return Err(expected);
    }
    Ok(AllowedDevice {
        which,
        access: DeviceAccess {
            read: letters.contains('r'),
            write: letters.contains('w'),
            make: letters.contains('m'),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_systemd_names_them() {
        let read = DeviceAccess {
            read: true,
            write: false,
            make: false,
        };
        assert_eq!(
            allowed_devices("/dev/fuse rwm, char-input* r\nblock-loop\n"),
            Ok(vec![
                AllowedDevice {
                    which: WhichDevice::Node("/dev/fuse".into()),
                    access: DeviceAccess::ALL,
                },
                AllowedDevice {
                    which: WhichDevice::Drivers {
                        kind: DeviceKind::Character,
                        pattern: "input*".to_owned(),
                    },
                    access: read,
                },
                AllowedDevice {
                    which: WhichDevice::Drivers {
                        kind: DeviceKind::Block,
                        pattern: "loop".to_owned(),
                    },
                    access: DeviceAccess::ALL,
                },
            ])
        );
        for bad in ["fuse", "/etc/passwd r", "/dev/fuse x", "/dev/fuse r w"] {
            assert!(allowed_devices(bad).is_err(), "{bad}");
        }
    }
}
