//! Devices by their numbers.

use std::fmt;

use serde::Serialize;

/// A device, or all devices of a driver, by the kernel's numbers (kernel
/// documentation, admin-guide/devices).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The kind.
    pub kind: DeviceKind,
    /// Number of the driver.
    pub major: u32,
    /// Number of the device; `None` stands for all devices of the driver.
    pub minor: Option<u32>,
    /// The permitted access.
    pub access: DeviceAccess,
}

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// Read and written byte after byte.
    Character,
    /// Read and written in blocks, as disks are.
    Block,
}

/// Access to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeviceAccess {
    /// Open it for reading.
    pub read: bool,
    /// Open it for writing.
    pub write: bool,
    /// Make a node for it (`man 2 mknod`).
    pub make: bool,
}

impl DeviceAccess {
    /// Everything.
    pub const ALL: Self = Self {
        read: true,
        write: true,
        make: true,
    };
}

/// The form of `devices.allow` of cgroup version 1 (kernel documentation,
/// admin-guide/cgroup-v1/devices).
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::Character => 'c',
            DeviceKind::Block => 'b',
        };
        write!(f, "{kind} {}:", self.major)?;
        match self.minor {
            Some(minor) => write!(f, "{minor} ")?,
            None => f.write_str("* ")?,
        }
        let DeviceAccess { read, write, make } = self.access;
        for (granted, letter) in [(read, "r"), (write, "w"), (make, "m")] {
            f.write_str(if granted { letter } else { "" })?;
        }
        Ok(())
    }
}

/// The devices of every container: those of `DevicePolicy=closed`
/// (`man 5 systemd.resource-control`), and tunnels.
pub(crate) const DEFAULT_DEVICES: [Device; 9] = [
    character(1, Some(3)),    // null
    character(1, Some(5)),    // zero
    character(1, Some(7)),    // full
    character(1, Some(8)),    // random
    character(1, Some(9)),    // urandom
    character(5, Some(0)),    // tty
    character(5, Some(2)),    // ptmx
    character(136, None),     // pts/0 to pts/255
    character(10, Some(200)), // net/tun
];

const fn character(major: u32, minor: Option<u32>) -> Device {
    Device {
        kind: DeviceKind::Character,
        major,
        minor,
        access: DeviceAccess::ALL,
    }
}
