//! How the child leaves the groups of its supervisor in hierarchies of cgroup
//! version 1.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};

use crate::rootfs::mount;
use crate::spec::mount_attributes::Attributes;
use crate::sys::cgroup_v1::LegacyCgroup;

/// Where the hierarchies are mounted until the host's tree is detached: one after the
/// other would take milliseconds to unmount. Every kernel has this directory, and nothing
/// is read in it.
const MOUNT_POINT: &str = "/proc/driver";

/// Moves the calling thread into a group below each of these. The host may have mounted a
/// hierarchy elsewhere or not at all.
pub(super) fn leave(groups: &[LegacyCgroup]) -> io::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mount_point = rustix::fs::open(MOUNT_POINT, flags, Mode::empty())?;
    for group in groups {
        let options = group.mount_options();
        // What the host's root cannot mount, root inside cannot either.
        let Ok(hierarchy) = mount::create("cgroup", "cgroup", &options, Attributes::KERNEL) else {
            continue;
        };
        mount::attach(hierarchy.as_fd(), mount_point.as_fd())?;
        group.enter_group_below(hierarchy.as_fd())?;
    }
    Ok(())
}
