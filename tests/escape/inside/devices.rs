//! Devices of the host.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::kernel::{call, mount_point, open_to_write, own_mounts, text};
use crate::attack::{Attack, Proof, Without};
use crate::canary::Canary;
use crate::weakened::Part;

const DEVICES: &[Part] = &[Part::DeviceFilter, Part::Users];

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "disk",
        class: "mknod",
        aim: "make a node for a disk of the host's, and open it",
        attempt: |canary| {
            let loop_device = node("loop", libc::S_IFBLK, libc::makedev(7, 0));
            super::kernel::first([disk(canary), loop_device], |path| {
                fs::File::open(path?)?;
                Ok("opened it".to_owned())
            })
        },
        proof: Proof::Answer,
        stopped_by: DEVICES,
        without_users: Without::Prevented,
    },
    Attack {
        name: "disk mounted",
        class: "mount",
        aim: "mount the host's disk",
        attempt: |canary| {
            own_mounts()?;
            let (path, target) = (disk(canary)?, mount_point("disk")?);
            super::kernel::first(["ext4", "xfs", "btrfs", "f2fs"], |kind| {
                call!(SYS_mount, &text(&path), &text(&target), &text(kind), 0, 0)?;
                Ok(format!("saw {} entries", fs::read_dir(&target)?.count()))
            })
        },
        proof: Proof::Answer,
        stopped_by: DEVICES,
        without_users: Without::Prevented,
    },
    Attack {
        name: "/dev/mem",
        class: "/dev/mem",
        aim: "read the machine's memory",
        attempt: |_| opened("mem", 1, 1),
        proof: Proof::Answer,
        stopped_by: &[Part::DeviceFilter, Part::Users, Part::BoundingSet],
        without_users: Without::Prevented,
    },
    Attack {
        name: "/dev/kmsg",
        class: "/dev/kmsg",
        aim: "write to the host's kernel log",
        attempt: |_| opened("kmsg", 1, 11),
        proof: Proof::Answer,
        stopped_by: DEVICES,
        without_users: Without::Prevented,
    },
    Attack {
        name: "virtual console",
        class: "/dev/tty0",
        aim: "read what is typed on the host's console, and write there",
        attempt: |_| opened("tty0", 4, 0),
        proof: Proof::Answer,
        stopped_by: DEVICES,
        without_users: Without::Prevented,
    },
    Attack {
        name: "loop device",
        class: "/dev/loop-control",
        aim: "make block devices on the host",
        attempt: |_| opened("loop-control", 10, 237),
        proof: Proof::Answer,
        stopped_by: DEVICES,
        without_users: Without::Prevented,
    },
    Attack {
        name: "owner of /dev/null",
        class: "chmod",
        aim: "change the permissions of a device node of the host's",
        attempt: |canary| {
            let node = fs::metadata("/dev/null")?;
            if canary.fact("null")? != format!("{}:{}", node.dev(), node.ino()) {
                return Err(io::Error::other("it is the container's own"));
            }
            // To those that it has.
            fs::set_permissions("/dev/null", node.permissions())?;
            Ok("set them".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::ReadOnlyDevices, Part::Users],
        without_users: Without::Prevented,
    },
];

/// A node for the disk with the host's root.
fn disk(canary: &Canary) -> io::Result<String> {
    let device: u64 = canary.number("disk")?;
    node("disk", libc::S_IFBLK, device)
}

fn opened(name: &str, major: u32, minor: u32) -> io::Result<String> {
    open_to_write(node(name, libc::S_IFCHR, libc::makedev(major, minor))?)?;
    Ok("opened it for writing".to_owned())
}

/// Makes a device node where the mount allows their use: not in `/tmp`.
fn node(name: &str, kind: libc::mode_t, device: u64) -> io::Result<String> {
    let path = format!("/escape-{name}-{}", std::process::id());
    let _ = fs::remove_file(&path);
    let made = call!(
        SYS_mknodat,
        libc::AT_FDCWD,
        &text(&path),
        kind | 0o600,
        device
    );
    made.map(|_| path)
}
