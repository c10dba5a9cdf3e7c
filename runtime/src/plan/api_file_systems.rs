//! The file systems of the kernel that every Linux system has: `/run`, `/proc`,
//! `/sys` and `/dev`.

use std::path::Path;

use super::bound_users;
use super::step::{
    FileStep, INACCESSIBLE_DIRECTORY, INACCESSIBLE_FILE, MountStep, StartStep, Step,
};
use super::steps::{bind, bind_if_present, file, hide, mount};
use super::{CONTAINER_MANAGER, RUN_HOST};
use crate::spec::mount_attributes::{Attributes, Origin};
use crate::spec::{Network, Spec, Streams};

/// Device nodes that any process may use and that give no access to the host
/// (Container Interface, "What You Shouldn't Do"; `man 1 systemd-nspawn`). They are
/// bound, not made: device nodes cannot be made in a user namespace. They are bound
/// read-only, so that changes of owner and permissions inside do not reach the
/// host's nodes; the devices can be written to all the same.
const DEVICES: [&str; 7] = [
    "null", "zero", "full", "random", "urandom", "tty", "net/tun",
];

/// `/run`, and `/run/host` as the Container Interface describes it.
pub(super) fn run(spec: &Spec) -> Vec<Step> {
    let host = |name: &str| Path::new(RUN_HOST).join(name);
    let mut steps = vec![
        mount(
            "tmpfs",
            "/run",
            Attributes::DATA,
            &[("mode", "755"), ("size", "20%"), ("nr_inodes", "800k")],
        ),
        mount(
            "tmpfs",
            RUN_HOST,
            Attributes::KERNEL,
            &[("mode", "755"), ("size", "4m"), ("nr_inodes", "1k")],
        ),
        file(host("container-manager"), &format!("{CONTAINER_MANAGER}\n")),
        file(
            host("container-uuid"),
            &format!("{}\n", spec.machine_id.hyphenated()),
        ),
        file(host("boot-id"), &format!("{}\n", spec.boot_id.hyphenated())),
        Step::File(FileStep::File {
            path: INACCESSIBLE_FILE.into(),
            contents: String::new(),
            mode: 0,
        }),
        Step::File(FileStep::Directory {
            path: INACCESSIBLE_DIRECTORY.into(),
            mode: 0,
        }),
        bind(
            Origin::Host,
            &spec.notify_socket,
            host("notify"),
            Attributes::KERNEL_READ_ONLY,
        ),
        bind_if_present(
            Origin::Host,
            "/etc/os-release",
            host("os-release"),
            Attributes::KERNEL_READ_ONLY,
        ),
    ];
    steps.extend(uncovered(spec));
    steps.extend(credentials(spec));
    steps.extend(spec.bound_users.iter().flat_map(bound_users::bound));
    steps.push(Step::Mount(MountStep::Restrict {
        target: RUN_HOST.into(),
        attributes: Attributes::READ_ONLY,
    }));
    steps
}

/// The directory of init's credentials (Container Interface, "Credentials").
pub(super) const CREDENTIALS: &str = "/run/host/credentials";

/// Credentials are in a ramfs, which is never swapped out to a disk.
fn credentials(spec: &Spec) -> Vec<Step> {
    if spec.credentials.is_empty() {
        return Vec::new();
    }
    let directory = Path::new(CREDENTIALS);
    let mut steps = vec![mount("ramfs", CREDENTIALS, Attributes::KERNEL, &[])];
    steps.extend(spec.credentials.iter().map(|credential| {
        Step::File(FileStep::Credential {
            path: directory.join(&credential.id),
            contents: credential.contents.clone(),
        })
    }));
    steps.extend([
        Step::File(FileStep::Directory {
            path: CREDENTIALS.into(),
            mode: 0o500,
        }),
        Step::Mount(MountStep::Restrict {
            target: CREDENTIALS.into(),
            attributes: Attributes::READ_ONLY,
        }),
    ]);
    steps
}

/// `/proc`, with the container's own processes. Of the kernel's settings, only those
/// of its own network can be changed; files about the host are hidden.
pub(super) fn proc(spec: &Spec) -> Vec<Step> {
    let mut steps = vec![
        mount("proc", "/proc", Attributes::KERNEL, &[]),
        bind(
            Origin::Container,
            "/proc/sys",
            "/proc/sys",
            Attributes::NONE,
        ),
    ];
    if spec.network != Network::Host {
        steps.push(bind(
            Origin::Container,
            "/proc/sys/net",
            "/proc/sys/net",
            Attributes::NONE,
        ));
    }
    steps.push(Step::Mount(MountStep::Restrict {
        target: "/proc/sys".into(),
        attributes: Attributes::KERNEL_READ_ONLY,
    }));
    steps.push(bind(
        Origin::Container,
        Path::new(RUN_HOST).join("boot-id"),
        "/proc/sys/kernel/random/boot_id",
        Attributes::KERNEL_READ_ONLY,
    ));
    for name in [
        "kallsyms",
        "kcore",
        "keys",
        "kmsg",
        "sysrq-trigger",
        "timer_list",
    ] {
        steps.push(hide(Path::new("/proc").join(name)));
    }
    for name in ["acpi", "apm", "asound", "bus", "fs", "irq", "scsi"] {
        let path = Path::new("/proc").join(name);
        steps.push(bind_if_present(
            Origin::Container,
            &path,
            &path,
            Attributes::KERNEL_READ_ONLY,
        ));
    }
    steps
}

/// A `/proc` and a `/sys` with nothing mounted over them. In a user namespace
/// further inside, such as that of a build in Nix's sandbox, the kernel mounts
/// another only where one can be seen completely (`mount_too_revealing` of the
/// kernel's fs/namespace.c). The files that are hidden elsewhere belong to the
/// host's root, which is not mapped inside; without a user namespace, or with the
/// host's ids, it would be.
fn uncovered(spec: &Spec) -> Vec<Step> {
    const HOSTS_ROOT: u32 = 0;
    match spec.ids {
        Some(ids) if !ids.contains(HOSTS_ROOT) => vec![
            mount("proc", "/run/host/proc", Attributes::KERNEL, &[]),
            mount("sysfs", "/run/host/sys", Attributes::KERNEL, &[]),
        ],
        _ => Vec::new(),
    }
}

/// `/sys`, read-only (Container Interface), with the container's own cgroups and
/// without the directories about the machine's firmware, the kernel's modules and
/// the host's file systems.
pub(super) fn sys() -> Vec<Step> {
    let mut steps = vec![mount("sysfs", "/sys", Attributes::KERNEL_READ_ONLY, &[])];
    for name in ["firmware", "hypervisor", "module", "power"] {
        steps.push(hide(Path::new("/sys").join(name)));
    }
    steps.extend([
        mount(
            "tmpfs",
            "/sys/fs",
            Attributes::KERNEL,
            &[("mode", "755"), ("size", "4m"), ("nr_inodes", "1k")],
        ),
        mount("cgroup2", "/sys/fs/cgroup", Attributes::KERNEL, &[]),
        Step::Mount(MountStep::Restrict {
            target: "/sys/fs".into(),
            attributes: Attributes::READ_ONLY,
        }),
    ]);
    steps
}

/// `/dev`, with a few harmless devices, and terminals and shared memory of its own.
pub(super) fn dev(spec: &Spec) -> Vec<Step> {
    let dev = Path::new("/dev");
    let mut steps = vec![mount(
        "tmpfs",
        "/dev",
        Attributes::NO_SUID,
        &[("mode", "755"), ("size", "4m"), ("nr_inodes", "64k")],
    )];
    for name in DEVICES {
        let path = dev.join(name);
        steps.push(bind_if_present(
            Origin::Host,
            &path,
            &path,
            Attributes::DEVICE,
        ));
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        steps.push(Step::File(FileStep::Symlink {
            path: dev.join(name),
            target: target.into(),
        }));
    }
    // It is mounted from outside of the user namespace and takes the host's ids.
    let tty_gid = match spec.ids {
        None => Some(spec.tty_gid),
        Some(ids) => ids.to_host(spec.tty_gid),
    };
    let tty_gid = tty_gid.map(|gid| gid.to_string());
    let mut options = vec![("mode", "620"), ("ptmxmode", "666")];
    options.extend(tty_gid.iter().map(|gid| ("gid", gid.as_str())));
    steps.push(mount(
        "devpts",
        "/dev/pts",
        Attributes {
            no_exec: true,
            ..Attributes::NO_SUID
        },
        &options,
    ));
    steps.push(mount(
        "tmpfs",
        "/dev/shm",
        Attributes::DATA,
        &[("mode", "1777"), ("size", "10%"), ("nr_inodes", "400k")],
    ));
    steps.push(mount("mqueue", "/dev/mqueue", Attributes::KERNEL, &[]));
    if spec.init.streams == Streams::Terminal {
        steps.push(Step::Start(StartStep::Console));
    }
    steps
}
