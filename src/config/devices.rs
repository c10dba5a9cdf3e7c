//! `ALLOWED_DEVICES`: devices of the host, in the syntax of `DeviceAllow=`
//! (`man 5 systemd.resource-control`), to which nixpkgs' unit passes them.

use std::path::PathBuf;

use runtime::{DeviceAccess, DeviceKind};

use super::error::Parsed;

/// Devices that the container's processes may use.
#[derive(Debug, Clone, PartialEq)]
pub struct AllowedDevice {
    /// Which devices.
    pub which: WhichDevice,
    /// The permitted access.
    pub access: DeviceAccess,
}

/// A name for devices.
#[derive(Debug, Clone, PartialEq)]
pub enum WhichDevice {
    /// The path of a device node below `/dev`.
    Node(PathBuf),
    /// All devices of the drivers with a matching name in `/proc/devices`.
    Drivers {
        /// The kind of device.
        kind: DeviceKind,
        /// The name, in which `*` stands for any letters and `?` for one.
        pattern: String,
    },
}

/// The value of `ALLOWED_DEVICES`: `NODE [ACCESS]`, separated by commas or line ends.
pub fn allowed_devices(text: &str) -> Parsed<Vec<AllowedDevice>> {
    text.split([',', '\n'])
        .filter(|line| !line.trim().is_empty())
        .map(allowed_device)
        .collect()
}

fn allowed_device(line: &str) -> Parsed<AllowedDevice> {
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
    fn devices_have_the_names_of_device_allow() {
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
