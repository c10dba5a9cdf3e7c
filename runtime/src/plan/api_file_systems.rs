//! The file systems of the kernel that every Linux system has: `/run`, `/proc`,
//! `/sys` and `/dev`.

use std::path::Path;

use super::bound_users;
use super::step::{FileStep, INACCESSIBLE_DIRECTORY, INACCESSIBLE_FILE, StartStep, Step};
use super::steps::{bind, bind_if_present, directory, file, hide, mount, restrict, symlink, tmpfs};
use super::{CONTAINER_MANAGER, RUN_HOST};
use crate::spec::mount_attributes::{Attributes, Origin};
use crate::spec::{Network, RunFile, Spec, Streams};

/// Device nodes that any process may use and that give no access to the host
/// (Container Interface, "What You Shouldn't Do"; `man 1 systemd-nspawn`). They are
/// bound, not made: device nodes cannot be made in a user namespace. They are bound
/// read-only, so that changes of owner and permissions inside do not reach the
/// host's nodes; the devices can be written to all the same.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Tunnels. `systemd-tmpfiles` opens them to all users inside, whatever the host has
/// (`static-nodes-permissions.conf` of systemd), so the node is the container's own.
const TUNNELS: &str = "/dev/net/tun";

/// Whether every container has the node of a device at this path.
pub fn has_device_node(path: &Path) -> bool {
    let node = path.strip_prefix("/dev");
    path == Path::new(TUNNELS)
        || node.is_ok_and(|node| DEVICES.iter().any(|name| Path::new(name) == node))
}

/// The most pseudoterminals in `/dev/pts`, as lxc has it. The kernel has 4096 for all,
/// of which 1024 are for the host alone (`kernel.pty.max` and `kernel.pty.reserve`,
/// `man 4 pts`).
const TERMINALS: u32 = 1024;

/// A directory that all users can write to, in memory.
pub(super) const SHARED_DIRECTORY: &str = "mode=1777,size=10%,nr_inodes=400k";

/// `/run`, and `/run/host` as the Container Interface describes it.
pub(super) fn run(spec: &Spec) -> Vec<Step> {
    let host = |name: &str| Path::new(RUN_HOST).join(name);
    let mut steps = vec![
        tmpfs("/run", Attributes::DATA, "mode=755,size=20%,nr_inodes=800k"),
        tmpfs(
            RUN_HOST,
            Attributes::KERNEL,
            "mode=755,size=4m,nr_inodes=1k",
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
        directory(INACCESSIBLE_DIRECTORY, 0),
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
    steps.push(restrict(RUN_HOST, Attributes::READ_ONLY));
    steps.extend(spec.run_files.iter().flat_map(run_file));
    steps
}

fn run_file(RunFile { path, contents }: &RunFile) -> Vec<Step> {
    let above = path.parent().map(|above| directory(above, 0o755));
    above
        .into_iter()
        .chain([file(path.clone(), contents)])
        .collect()
}

/// The directory of init's credentials (Container Interface, "Credentials").
pub(super) const CREDENTIALS: &str = "/run/host/credentials";

/// Credentials are in a ramfs, which is never swapped out to a disk.
fn credentials(spec: &Spec) -> Vec<Step> {
    if spec.credentials.is_empty() {
        return Vec::new();
    }
    let mut steps = vec![mount("ramfs", CREDENTIALS, Attributes::KERNEL, "")];
    steps.extend(spec.credentials.iter().map(|credential| {
        Step::File(FileStep::Credential {
            path: Path::new(CREDENTIALS).join(&credential.id),
            contents: credential.contents.clone(),
        })
    }));
    steps.extend([
        directory(CREDENTIALS, 0o500),
        restrict(CREDENTIALS, Attributes::READ_ONLY),
    ]);
    steps
}

/// `/proc`, with the container's own processes. Of the kernel's settings, only those
/// of its own network can be changed; files about the host are hidden.
pub(super) fn proc(spec: &Spec) -> Vec<Step> {
    let mount_point = |path| bind(Origin::Container, path, path, Attributes::NONE);
    let mut steps = vec![
        mount("proc", "/proc", Attributes::KERNEL, ""),
        mount_point("/proc/sys"),
    ];
    if spec.network != Network::Host {
        steps.push(mount_point("/proc/sys/net"));
    }
    steps.push(restrict("/proc/sys", Attributes::KERNEL_READ_ONLY));
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
        let (path, attributes) = (Path::new("/proc").join(name), Attributes::KERNEL_READ_ONLY);
        steps.push(bind_if_present(Origin::Container, &path, &path, attributes));
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
            mount("proc", "/run/host/proc", Attributes::KERNEL, ""),
            mount("sysfs", "/run/host/sys", Attributes::KERNEL, ""),
        ],
        _ => Vec::new(),
    }
}

/// `/sys`, read-only (Container Interface), with the container's own cgroups and
/// without the directories about the machine's firmware, the kernel's modules and
/// the host's file systems.
pub(super) fn sys() -> Vec<Step> {
    let mut steps = vec![mount("sysfs", "/sys", Attributes::KERNEL_READ_ONLY, "")];
    for name in ["firmware", "hypervisor", "module", "power"] {
        steps.push(hide(Path::new("/sys").join(name)));
    }
    steps.extend([
        tmpfs(
            "/sys/fs",
            Attributes::KERNEL,
            "mode=755,size=4m,nr_inodes=1k",
        ),
        mount("cgroup2", "/sys/fs/cgroup", Attributes::KERNEL, ""),
        restrict("/sys/fs", Attributes::READ_ONLY),
    ]);
    steps
}

/// `/dev`, with a few harmless devices, and terminals, which belong to this group of the
/// host, and shared memory of its own.
pub(super) fn devices(tty_gid: Option<u32>) -> Vec<Step> {
    let dev = Path::new("/dev");
    let parameters = "mode=755,size=4m,nr_inodes=64k";
    let mut steps = vec![tmpfs("/dev", Attributes::NO_SUID, parameters)];
    for name in DEVICES {
        let path = dev.join(name);
        let attributes = Attributes::DEVICE;
        steps.push(bind_if_present(Origin::Host, &path, &path, attributes));
    }
    steps.push(Step::File(FileStep::Device {
        path: TUNNELS.into(),
        major: 10,
        minor: 200,
    }));
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        steps.push(symlink(dev.join(name), target));
    }
    let gid = tty_gid.map_or(String::new(), |gid| format!(",gid={gid}"));
    let attributes = Attributes {
        no_exec: true,
        ..Attributes::NO_SUID
    };
    let parameters = format!("mode=620,ptmxmode=666,max={TERMINALS}{gid}");
    steps.extend([
        mount("devpts", "/dev/pts", attributes, &parameters),
        tmpfs("/dev/shm", Attributes::DATA, SHARED_DIRECTORY),
    ]);
    steps
}

/// [`devices`], a console and message queues.
pub(super) fn dev(spec: &Spec) -> Vec<Step> {
    // It is mounted from outside of the user namespace and takes the host's ids.
    let mut steps = devices(match spec.ids {
        None => Some(spec.tty_gid),
        Some(ids) => ids.to_host(spec.tty_gid),
    });
    steps.push(mount("mqueue", "/dev/mqueue", Attributes::KERNEL, ""));
    if spec.init.streams == Streams::Terminal {
        steps.push(Step::Start(StartStep::Console));
    }
    steps
}
