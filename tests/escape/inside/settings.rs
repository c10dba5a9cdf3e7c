//! Settings of the kernel, and file systems that show them.
//!
//! Files are opened for writing and not written to: opening is what the kernel
//! checks.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::kernel::{call, first, mount, open_to_write, own_mounts, text};
use crate::attack::{Attack, Proof, Without};
use crate::weakened::Part;

const MOUNTS: &str = "CAP_SYS_ADMIN mounts file systems of the kernel";
const COVERS: &str = "CAP_SYS_ADMIN takes mounts away and makes them writable";

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "core_pattern",
        class: "/proc/sys/kernel/core_pattern",
        aim: "have the kernel run a program of the container's as root of the host",
        attempt: |_| write_setting("/proc/sys/kernel/core_pattern"),
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "core_pattern of a fresh proc",
        class: "proc",
        aim: "the same through a proc that nothing covers",
        attempt: |_| {
            own_mounts()?;
            write_setting(&format!(
                "{}/sys/kernel/core_pattern",
                mount("proc", "proc")?
            ))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(MOUNTS),
    },
    Attack {
        name: "core_pattern made writable",
        class: "MS_REMOUNT",
        aim: "make /proc/sys writable again",
        attempt: |_| {
            own_mounts()?;
            let flags = libc::MS_REMOUNT | libc::MS_BIND;
            let _ = call!(SYS_mount, c"none", c"/proc/sys", 0, flags, 0);
            write_setting("/proc/sys/kernel/core_pattern")
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(COVERS),
    },
    Attack {
        name: "modprobe",
        class: "/proc/sys/kernel/modprobe",
        aim: "have the kernel run a program of the container's to load a module",
        attempt: |_| write_setting("/proc/sys/kernel/modprobe"),
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "sysctl",
        class: "/proc/sys",
        aim: "change settings of the whole kernel: kernel.*, vm.*, fs.*",
        attempt: |_| {
            let names = [
                "kernel/panic",
                "vm/overcommit_memory",
                "fs/file-max",
                "kernel/printk",
            ];
            first(names, |name| write_setting(&format!("/proc/sys/{name}")))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "every setting",
        class: "/proc and /sys",
        aim: "find any file there that can be written to and is not of a namespace",
        attempt: |_| {
            let _ = own_mounts();
            let fresh = ["proc", "sysfs"].map(|kind| mount(kind, kind));
            let known = ["/proc", "/sys", "/run/host/proc", "/run/host/sys"].map(str::to_owned);
            let roots = known.into_iter().chain(fresh.into_iter().flatten());
            first(roots, |root| find_writable(Path::new(&root)))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::SysCovers, Part::Users],
        without_users: Without::Open(MOUNTS),
    },
    Attack {
        name: "user.max",
        class: "/proc/sys/user",
        aim: "raise the number of namespaces that the host allows",
        attempt: |_| write_setting("/proc/sys/user/max_user_namespaces"),
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "sysrq",
        class: "/proc/sysrq-trigger",
        aim: "reboot, kill or crash the host",
        attempt: |_| write_setting("/proc/sysrq-trigger"),
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "uevent_helper",
        class: "/sys/kernel/uevent_helper",
        aim: "have the kernel run a program of the container's for each device",
        attempt: |_| write_setting("/sys/kernel/uevent_helper"),
        proof: Proof::Answer,
        stopped_by: &[Part::SysCovers, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "sysfs",
        class: "/sys",
        aim: "change settings of the host's memory management and RCU",
        attempt: |_| write_setting("/sys/kernel/rcu_expedited"),
        proof: Proof::Answer,
        stopped_by: &[Part::SysCovers, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "fresh sysfs",
        class: "sysfs",
        aim: "the same through a sysfs that is not read-only",
        attempt: |_| {
            own_mounts()?;
            // Where the kernel has only one, of the network namespace, that is made
            // writable.
            let path = mount("sysfs", "sysfs").or_else(|_| {
                call!(SYS_mount, c"none", c"/sys", 0, libc::MS_REMOUNT, 0)?;
                io::Result::Ok("/sys".to_owned())
            })?;
            write_setting(&format!("{path}/kernel/rcu_expedited"))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(MOUNTS),
    },
    Attack {
        name: "binfmt_misc",
        class: "binfmt_misc",
        aim: "have the host run a program of the container's as interpreter",
        attempt: |canary| {
            own_mounts()?;
            let path = mount("binfmt_misc", "binfmt_misc")?;
            let device = std::os::unix::fs::MetadataExt::dev(&fs::metadata(&path)?);
            if device != canary.number::<u64>("binfmt")? {
                return Err(io::Error::other("it is an instance of the container's own"));
            }
            write_setting(&format!("{path}/register"))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(MOUNTS),
    },
    Attack {
        name: "debugfs",
        class: "debugfs",
        aim: "see into the kernel and its drivers",
        attempt: |_| seen("debugfs"),
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(MOUNTS),
    },
    Attack {
        name: "tracefs",
        class: "tracefs",
        aim: "trace every program of the host",
        attempt: |_| seen("tracefs"),
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(MOUNTS),
    },
    Attack {
        name: "securityfs",
        class: "securityfs",
        aim: "change the rules of the host's security modules",
        attempt: |_| seen("securityfs"),
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(MOUNTS),
    },
    Attack {
        name: "pstore",
        class: "pstore",
        aim: "read what the kernel kept of its last crash",
        attempt: |_| {
            own_mounts()?;
            mount("pstore", "pstore")
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(MOUNTS),
    },
    Attack {
        name: "devtmpfs",
        class: "devtmpfs",
        aim: "see the host's /dev, and open its disk there",
        attempt: |_| {
            own_mounts()?;
            let path = mount("devtmpfs", "devtmpfs")?;
            let disks = ["vda", "sda", "nvme0n1", "loop0"];
            first(disks, |disk| {
                fs::File::open(format!("{path}/{disk}")).map(|_| format!("opened {disk}"))
            })
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users, Part::DeviceFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "kallsyms",
        class: "/proc/kallsyms",
        aim: "read the kernel's symbols",
        attempt: |_| lines("/proc/kallsyms"),
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers],
        without_users: Without::Prevented,
    },
    Attack {
        name: "keys uncovered",
        class: "umount",
        aim: "take away what is mounted over a part of /proc",
        attempt: |_| {
            own_mounts()?;
            let _ = call!(SYS_umount2, c"/proc/keys", 0);
            lines("/proc/keys")
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(COVERS),
    },
    Attack {
        name: "keys in a copy",
        class: "open_tree",
        aim: "see below what is mounted, in a copy of the mount without those on it",
        attempt: |_| {
            own_mounts()?;
            const CLONE: u32 = 1;
            const FROM_DESCRIPTOR: u32 = 4;
            let path = super::kernel::mount_point("copy")?;
            let copy = call!(SYS_open_tree, libc::AT_FDCWD, c"/proc", CLONE)?;
            call!(
                SYS_move_mount,
                copy,
                c"",
                libc::AT_FDCWD,
                &text(&path),
                FROM_DESCRIPTOR
            )?;
            lines(&format!("{path}/keys"))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open(COVERS),
    },
    Attack {
        name: "kallsyms from a nested user namespace",
        class: "CLONE_NEWUSER",
        aim: "the same with the capabilities of another user namespace further inside",
        attempt: |_| {
            call!(SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
            let _ = call!(SYS_umount2, c"/proc/kallsyms", libc::MNT_DETACH);
            lines("/proc/kallsyms")
        },
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers],
        without_users: Without::Prevented,
    },
    Attack {
        name: "cover from the container",
        class: "CVE-2025-31133",
        aim: "have a part of /proc covered with a file of the container's choice",
        attempt: |_| lines("/proc/keys"),
        proof: Proof::Answer,
        stopped_by: &[Part::Fresh],
        without_users: Without::Prevented,
    },
    Attack {
        name: "kcore",
        class: "/proc/kcore",
        aim: "read the machine's memory",
        attempt: |_| read_some("/proc/kcore"),
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::Users, Part::BoundingSet],
        without_users: Without::Prevented,
    },
    Attack {
        name: "kmsg of proc",
        class: "/proc/kmsg",
        aim: "read and take away the host's kernel log",
        attempt: |_| read_some("/proc/kmsg"),
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::Users, Part::BoundingSet],
        without_users: Without::Prevented,
    },
    Attack {
        name: "keys",
        class: "/proc/keys",
        aim: "list the keys of the host's root",
        attempt: |_| {
            let keys = fs::read_to_string("/proc/keys")?;
            let found = keys.lines().find(|line| line.contains("canary-of-escape"));
            found
                .map(str::to_owned)
                .ok_or_else(|| io::Error::other("that of the canary is not there"))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::ProcCovers, Part::Users],
        without_users: Without::Prevented,
    },
];

fn write_setting(path: &str) -> io::Result<String> {
    open_to_write(path)?;
    Ok(format!("opened {path} for writing"))
}

/// Mounts a file system of the kernel's and looks into it.
fn seen(kind: &str) -> io::Result<String> {
    own_mounts()?;
    let path = mount(kind, kind)?;
    Ok(format!("saw {} entries", fs::read_dir(path)?.count()))
}

/// Reads the beginning of a file that is not empty.
fn read_some(path: &str) -> io::Result<String> {
    let mut options = fs::File::options();
    let mut file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is a file of another kind"));
    }
    match file.read(&mut [0; 512]) {
        Ok(0) => Err(io::Error::other("it is empty")),
        // All of the log has been read.
        Err(cause) if cause.kind() != io::ErrorKind::WouldBlock => Err(cause),
        _ => Ok(format!("read {path}")),
    }
}

fn lines(path: &str) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    match text.lines().count() {
        0 => Err(io::Error::other("it is empty")),
        count => Ok(format!("read {count} lines")),
    }
}

/// What belongs to the container's own namespaces, below a proc or a sysfs: a path
/// that begins so, behind the mount point.
const NAMESPACED: &[&str] = &[
    // IPC, PID, UTS and user namespaces
    "sys/fs/mqueue",
    "sys/kernel/auto_msgmni",
    "sys/kernel/domainname",
    "sys/kernel/hostname",
    "sys/kernel/msg",
    "sys/kernel/ns_last_pid",
    "sys/kernel/pid_max",
    "sys/kernel/sem",
    "sys/kernel/shm",
    "sys/net",
    "sys/user",
    // Its network namespace and its control groups
    "devices/virtual/net",
    "fs/cgroup",
    // Every process may be asked for pressure.
    "pressure",
];

/// The first file below that opens for writing. Processes are not settings.
fn find_writable(root: &Path) -> io::Result<String> {
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let below = path.strip_prefix(root).unwrap_or(&path);
            let is_process = below
                .to_string_lossy()
                .starts_with(|c: char| c.is_ascii_digit());
            let text = below.to_string_lossy();
            let own = NAMESPACED.iter().any(|known| text.starts_with(known));
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !own && !is_process => pending.push(path),
                Ok(kind) if kind.is_file() && !own && is_setting(&path) => {
                    return Ok(format!("opened {} for writing", path.display()));
                }
                _ => {}
            }
        }
    }
    Err(io::Error::other("there is none"))
}

/// Whether a file can be written to, and is one of the kernel's: not one that covers
/// it.
fn is_setting(path: &Path) -> bool {
    let kinds = [libc::PROC_SUPER_MAGIC, libc::SYSFS_MAGIC];
    let of_kernel = |file: fs::File| {
        let kind = rustix::fs::fstatfs(&file).map(|system| system.f_type);
        let writable = file.metadata().is_ok_and(|file| file.mode() & 0o222 != 0);
        writable && kind.is_ok_and(|kind| kinds.contains(&kind))
    };
    open_to_write(path).is_ok_and(of_kernel)
}
