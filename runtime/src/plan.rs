//! From a [`Spec`] to the list of [`Step`]s that the container's child performs.
//!
//! Pure: needs no privileges and touches nothing. The child makes no system
//! call that is not one of these steps, so the list is the whole truth about
//! how a container comes to life.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::capabilities::CapabilitySet;
use crate::spec::{Network, Spec};

/// How a container comes to life.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Namespaces that `clone3` makes for the child.
    pub namespaces: Vec<Namespace>,
    /// What the child does in them, in this order.
    pub steps: Vec<Step>,
}

/// A kind of namespace (`man 7 namespaces`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Namespace {
    Mount,
    Pid,
    Uts,
    Ipc,
    Net,
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mount => "mount",
            Self::Pid => "pid",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Net => "net",
        })
    }
}

/// One thing that the child does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// The kernel kills the child when its supervisor dies.
    DieWithSupervisor,
    /// The network namespace of somebody else. It is joined before `/sys` is
    /// mounted, which shows the links of whoever mounts it.
    JoinNetwork {
        /// The host path that holds it.
        path: PathBuf,
    },
    /// A cgroup namespace rooted at the cgroup that the child was born in.
    /// `clone3` would root it at the supervisor's.
    UnshareCgroup,
    /// Mount events of everything mounted so far go as `propagation` says.
    SetPropagation {
        /// Where they go.
        propagation: Propagation,
    },
    /// The root directory becomes a mount of its own, with what the host has
    /// mounted below it, and the child's working directory. Paths inside are
    /// resolved in it from here on.
    BindRoot {
        /// The root directory on the host.
        source: PathBuf,
    },
    /// The root directory becomes `/`, with the host's tree mounted over it
    /// until [`Step::DetachHost`].
    PivotRoot,
    /// A directory, made if missing.
    Directory {
        /// Path inside.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// An empty file, if there is nothing at its place.
    EmptyFile {
        /// Path inside.
        path: PathBuf,
    },
    /// A regular file, in the place of whatever was there.
    File {
        /// Path inside.
        path: PathBuf,
        /// What it holds.
        contents: String,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Path inside.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A file system of the container's own.
    Mount {
        /// Its type, as in `/proc/filesystems`.
        fstype: String,
        /// Path inside; made if missing.
        target: PathBuf,
        /// Attributes of the mount.
        attributes: Attributes,
        /// Parameters of the file system.
        options: Vec<(String, String)>,
    },
    /// A tree that already exists, seen at a second place.
    Bind {
        /// Whose tree.
        origin: Origin,
        /// Path at its origin.
        source: PathBuf,
        /// Path inside; made if missing.
        target: PathBuf,
        /// With the mounts below it.
        recursive: bool,
        /// Attributes that the mount gets besides those of its origin.
        attributes: Attributes,
        /// Nothing at `source`, nothing to do.
        optional: bool,
    },
    /// What is there, if anything is, cannot be seen.
    Hide {
        /// Path inside.
        target: PathBuf,
    },
    /// A mount that exists gets further attributes.
    Restrict {
        /// Path inside.
        target: PathBuf,
        /// The attributes.
        attributes: Attributes,
    },
    /// A pseudoterminal of the container's own is `/dev/console` and the
    /// child's standard input, output and error; its other end goes to the
    /// supervisor.
    Console,
    /// The host's tree goes.
    DetachHost,
    /// The host name.
    Hostname {
        /// At most 64 bytes.
        name: String,
    },
    /// Limits of a host's first process, instead of those of whoever called.
    ResourceLimits {
        /// Soft limit of open files.
        open_files_soft: u64,
        /// Hard limit of open files, unless the caller's is lower.
        open_files_hard: u64,
    },
    /// Nothing else can ever be gained.
    BoundingSet {
        /// What remains.
        keep: CapabilitySet,
    },
    /// System calls of the whole kernel answer as if it lacked them.
    Seccomp,
    /// Until the supervisor has confined the devices and furnished the network.
    AwaitSupervisor,
    /// Signals as a process at boot has them: none ignored, none blocked.
    ResetSignals,
    /// The container's first program.
    Exec {
        /// Path inside.
        program: PathBuf,
        /// Arguments after the program's name.
        arguments: Vec<String>,
        /// The whole environment.
        environment: Vec<(String, String)>,
    },
}

/// Where a bound tree comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The host.
    Host,
    /// The container itself.
    Container,
}

/// Where mount events go (`man 7 mount_namespaces`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// In from the host, never out.
    Slave,
    /// Between the container and what it makes of itself.
    Shared,
}

/// Restrictions of a mount (`man 2 mount_setattr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Attributes {
    /// No writing.
    pub read_only: bool,
    /// Set-user-ID bits and file capabilities have no effect.
    pub no_suid: bool,
    /// Device nodes have no effect.
    pub no_devices: bool,
    /// Nothing there can be executed.
    pub no_exec: bool,
}

impl Attributes {
    /// The names that `mount(8)` has for what is set.
    fn words(self) -> impl Iterator<Item = &'static str> {
        [
            (self.read_only, "ro"),
            (self.no_suid, "nosuid"),
            (self.no_devices, "nodev"),
            (self.no_exec, "noexec"),
        ]
        .into_iter()
        .filter_map(|(set, word)| set.then_some(word))
    }

    const NONE: Self = Self {
        read_only: false,
        no_suid: false,
        no_devices: false,
        no_exec: false,
    };
    const READ_ONLY: Self = Self {
        read_only: true,
        ..Self::NONE
    };
    const NO_SUID: Self = Self {
        no_suid: true,
        ..Self::NONE
    };
    const DATA: Self = Self {
        no_devices: true,
        ..Self::NO_SUID
    };
    const KERNEL: Self = Self {
        no_exec: true,
        ..Self::DATA
    };
    const KERNEL_READ_ONLY: Self = Self {
        read_only: true,
        ..Self::KERNEL
    };
    const DEVICE: Self = Self {
        no_devices: false,
        ..Self::KERNEL_READ_ONLY
    };
}

impl Step {
    /// The page that describes the system call behind the step.
    pub fn manual(&self) -> &'static str {
        match self {
            Self::DieWithSupervisor => "prctl(2), PR_SET_PDEATHSIG",
            Self::JoinNetwork { .. } => "setns(2)",
            Self::UnshareCgroup => "cgroup_namespaces(7)",
            Self::SetPropagation { .. } => "mount_namespaces(7)",
            Self::BindRoot { .. } | Self::Bind { .. } => "open_tree(2), move_mount(2)",
            Self::Hide { .. } => "open_tree(2), move_mount(2)",
            Self::PivotRoot => "pivot_root(2)",
            Self::Directory { .. } => "mkdir(2)",
            Self::EmptyFile { .. } => "open(2)",
            Self::File { .. } => "rename(2)",
            Self::Symlink { .. } => "symlink(2)",
            Self::Mount { .. } => "fsopen(2), move_mount(2)",
            Self::Restrict { .. } => "mount_setattr(2)",
            Self::Console => "pty(7)",
            Self::DetachHost => "umount2(2), MNT_DETACH",
            Self::Hostname { .. } => "sethostname(2)",
            Self::ResourceLimits { .. } => "setrlimit(2)",
            Self::BoundingSet { .. } => "capabilities(7)",
            Self::Seccomp => "seccomp(2)",
            Self::AwaitSupervisor => "read(2)",
            Self::ResetSignals => "sigaction(2), sigprocmask(2)",
            Self::Exec { .. } => "execve(2)",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DieWithSupervisor => write!(f, "be killed when the supervisor dies"),
            Self::JoinNetwork { path } => {
                write!(f, "join the network namespace {}", path.display())
            }
            Self::UnshareCgroup => write!(f, "make the own cgroup the root of all that is seen"),
            Self::SetPropagation { propagation } => match propagation {
                Propagation::Slave => write!(f, "let no mount event out to the host"),
                Propagation::Shared => write!(f, "share mount events among the container's own"),
            },
            Self::BindRoot { source } => write!(f, "make {} a mount", source.display()),
            Self::PivotRoot => write!(f, "make it /"),
            Self::Directory { path, mode } => {
                write!(f, "make directory {} ({mode:04o})", path.display())
            }
            Self::EmptyFile { path } => write!(f, "make empty file {} if missing", path.display()),
            Self::File { path, mode, .. } => {
                write!(f, "write file {} ({mode:04o})", path.display())
            }
            Self::Symlink { path, target } => {
                write!(
                    f,
                    "make symbolic link {} to {}",
                    path.display(),
                    target.display()
                )
            }
            Self::Mount {
                fstype,
                target,
                attributes,
                options,
            } => {
                write!(f, "mount {fstype} on {}", target.display())?;
                let options = options.iter().map(|(key, value)| format!("{key}={value}"));
                parenthesised(f, attributes.words().map(str::to_owned).chain(options))
            }
            Self::Bind {
                origin,
                source,
                target,
                attributes,
                optional,
                ..
            } => {
                match origin {
                    Origin::Host => write!(f, "bind the host's {}", source.display())?,
                    Origin::Container => write!(f, "bind {}", source.display())?,
                }
                if *origin == Origin::Host || source != target {
                    write!(f, " on {}", target.display())?;
                } else {
                    write!(f, " on itself")?;
                }
                parenthesised(f, attributes.words().map(str::to_owned))?;
                if *optional {
                    write!(f, " if there is one")?;
                }
                Ok(())
            }
            Self::Hide { target } => write!(f, "hide {}", target.display()),
            Self::Restrict { target, attributes } => {
                write!(f, "restrict {}", target.display())?;
                parenthesised(f, attributes.words().map(str::to_owned))
            }
            Self::Console => write!(f, "open a terminal as /dev/console and standard streams"),
            Self::DetachHost => write!(f, "detach the host's file systems"),
            Self::Hostname { name } => write!(f, "set host name {name}"),
            Self::ResourceLimits {
                open_files_soft,
                open_files_hard,
            } => write!(
                f,
                "limit open files to {open_files_soft}, at most {open_files_hard}"
            ),
            Self::BoundingSet { keep } => write!(f, "drop all capabilities but {keep}"),
            Self::Seccomp => {
                write!(f, "refuse ")?;
                for denied in crate::seccomp::DENIED {
                    write!(f, "{} ", denied.name)?;
                }
                write!(f, "and audit sockets")
            }
            Self::AwaitSupervisor => write!(
                f,
                "wait until the supervisor has furnished network and cgroup"
            ),
            Self::ResetSignals => write!(f, "ignore and block no signal"),
            Self::Exec {
                program, arguments, ..
            } => {
                write!(f, "execute {}", program.display())?;
                arguments.iter().try_for_each(|word| write!(f, " {word}"))
            }
        }
    }
}

fn parenthesised(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = String>) -> fmt::Result {
    let words: Vec<_> = words.collect();
    if words.is_empty() {
        return Ok(());
    }
    write!(f, " ({})", words.join(", "))
}

/// Where the Container Interface of systemd puts what the host has to say.
const RUN_HOST: &str = "/run/host";
/// A file and a directory that nobody can read, to bind over others.
pub(crate) const INACCESSIBLE_FILE: &str = "/run/host/inaccessible/reg";
pub(crate) const INACCESSIBLE_DIRECTORY: &str = "/run/host/inaccessible/dir";

/// The value of `$container`, and of `/run/host/container-manager`.
pub const CONTAINER_MANAGER: &str = "nixos-container";

/// Device nodes that any process may use and that carry nothing of the host
/// (Container Interface, "What You Shouldn't Do" and `man 1 systemd-nspawn`).
/// They are bound, not made: in a user namespace nobody can make one. And they
/// are bound read-only, which is of no matter to what they carry, so that what
/// is done to owner and permissions inside does not reach the host's nodes.
const DEVICES: [&str; 7] = [
    "null", "zero", "full", "random", "urandom", "tty", "net/tun",
];

/// The plan of one start.
pub fn plan(spec: &Spec) -> Plan {
    let mut namespaces = vec![
        Namespace::Mount,
        Namespace::Pid,
        Namespace::Uts,
        Namespace::Ipc,
    ];
    if spec.network == Network::Private {
        namespaces.push(Namespace::Net);
    }
    let steps = [
        enter_root(spec),
        run(spec),
        proc(spec),
        sys(),
        dev(spec),
        vec![mount(
            "tmpfs",
            "/tmp",
            Attributes::DATA,
            &[("mode", "1777"), ("size", "10%"), ("nr_inodes", "400k")],
        )],
        root_files(spec),
        spec.binds.iter().map(bind_from_host).collect(),
        // Last, and both at once: as long as the host's tree is mounted over the
        // new root, `..` of that root leads into it, `RESOLVE_IN_ROOT` or not.
        vec![Step::PivotRoot, Step::DetachHost],
        restrict(spec),
        start_init(spec),
    ]
    .concat();
    Plan { namespaces, steps }
}

fn enter_root(spec: &Spec) -> Vec<Step> {
    let mut steps = vec![Step::DieWithSupervisor];
    if let Network::Namespace(path) = &spec.network {
        steps.push(Step::JoinNetwork { path: path.clone() });
    }
    steps.extend([
        Step::UnshareCgroup,
        Step::SetPropagation {
            propagation: Propagation::Slave,
        },
        Step::BindRoot {
            source: spec.root.clone(),
        },
    ]);
    steps
}

/// `/run`, and `/run/host` as the Container Interface describes it.
fn run(spec: &Spec) -> Vec<Step> {
    let host = |name: &str| Path::new(RUN_HOST).join(name);
    vec![
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
        Step::File {
            path: INACCESSIBLE_FILE.into(),
            contents: String::new(),
            mode: 0,
        },
        Step::Directory {
            path: INACCESSIBLE_DIRECTORY.into(),
            mode: 0,
        },
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
        Step::Restrict {
            target: RUN_HOST.into(),
            attributes: Attributes::READ_ONLY,
        },
    ]
}

/// `/proc`: the container's own processes; of the kernel's settings only those
/// of its own network can be changed, and what tells of the host is hidden.
fn proc(spec: &Spec) -> Vec<Step> {
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
    steps.push(Step::Restrict {
        target: "/proc/sys".into(),
        attributes: Attributes::KERNEL_READ_ONLY,
    });
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

/// `/sys`, read-only (Container Interface), without what describes the
/// machine's firmware, the kernel's modules and the host's file systems; the
/// container's own cgroups.
fn sys() -> Vec<Step> {
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
        Step::Restrict {
            target: "/sys/fs".into(),
            attributes: Attributes::READ_ONLY,
        },
    ]);
    steps
}

/// `/dev`: a few harmless devices, terminals and shared memory of its own.
fn dev(spec: &Spec) -> Vec<Step> {
    let dev = Path::new("/dev");
    let tty_gid = spec.tty_gid.to_string();
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
        steps.push(Step::Symlink {
            path: dev.join(name),
            target: target.into(),
        });
    }
    steps.push(mount(
        "devpts",
        "/dev/pts",
        Attributes {
            no_exec: true,
            ..Attributes::NO_SUID
        },
        &[("mode", "620"), ("ptmxmode", "666"), ("gid", &tty_gid)],
    ));
    steps.push(mount(
        "tmpfs",
        "/dev/shm",
        Attributes::DATA,
        &[("mode", "1777"), ("size", "10%"), ("nr_inodes", "400k")],
    ));
    steps.push(mount("mqueue", "/dev/mqueue", Attributes::KERNEL, &[]));
    steps.push(Step::Console);
    steps
}

/// What init expects to find in the root directory itself.
fn root_files(spec: &Spec) -> Vec<Step> {
    let directories = spec.directories.iter().map(|directory| Step::Directory {
        path: directory.path.clone(),
        mode: directory.mode,
    });
    let empty_files = spec
        .empty_files
        .iter()
        .map(|path| Step::EmptyFile { path: path.clone() });
    let resolv_conf = spec.resolv_conf.iter().map(|contents| Step::File {
        path: "/etc/resolv.conf".into(),
        contents: contents.clone(),
        mode: 0o644,
    });
    directories.chain(empty_files).chain(resolv_conf).collect()
}

fn restrict(spec: &Spec) -> Vec<Step> {
    vec![
        Step::SetPropagation {
            propagation: Propagation::Shared,
        },
        Step::Hostname {
            name: spec.hostname.clone(),
        },
        // What systemd gives its services, and the kernel its first process
        // (`man 5 systemd-system.conf`, DefaultLimitNOFILE=).
        Step::ResourceLimits {
            open_files_soft: 1024,
            open_files_hard: 524_288,
        },
        Step::BoundingSet {
            keep: spec.capabilities,
        },
        Step::Seccomp,
    ]
}

fn start_init(spec: &Spec) -> Vec<Step> {
    let interface = [
        ("container", CONTAINER_MANAGER.to_owned()),
        ("container_uuid", spec.machine_id.hyphenated()),
        ("NOTIFY_SOCKET", format!("{RUN_HOST}/notify")),
        ("TERM", "linux".to_owned()),
        ("HOME", "/root".to_owned()),
        ("USER", "root".to_owned()),
        ("LOGNAME", "root".to_owned()),
    ];
    let interface = interface.map(|(key, value)| (key.to_owned(), value));
    let environment = interface
        .into_iter()
        .chain(spec.init.environment.iter().cloned())
        .collect();
    vec![
        Step::AwaitSupervisor,
        Step::ResetSignals,
        Step::Exec {
            program: spec.init.program.clone(),
            arguments: spec.init.arguments.clone(),
            environment,
        },
    ]
}

fn mount(fstype: &str, target: &str, attributes: Attributes, options: &[(&str, &str)]) -> Step {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Step::Mount {
        fstype: fstype.to_owned(),
        target: target.into(),
        attributes,
        options: options.iter().map(owned).collect(),
    }
}

fn bind(
    origin: Origin,
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    attributes: Attributes,
) -> Step {
    Step::Bind {
        origin,
        source: source.as_ref().into(),
        target: target.as_ref().into(),
        recursive: false,
        attributes,
        optional: false,
    }
}

fn bind_if_present(
    origin: Origin,
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    attributes: Attributes,
) -> Step {
    Step::Bind {
        origin,
        source: source.as_ref().into(),
        target: target.as_ref().into(),
        recursive: false,
        attributes,
        optional: true,
    }
}

fn hide(target: PathBuf) -> Step {
    Step::Hide { target }
}

fn bind_from_host(bind: &crate::spec::Bind) -> Step {
    Step::Bind {
        origin: Origin::Host,
        source: bind.source.clone(),
        target: bind.target.clone(),
        recursive: true,
        attributes: Attributes {
            read_only: bind.read_only,
            ..Attributes::NONE
        },
        optional: false,
    }
}

fn file(path: PathBuf, contents: &str) -> Step {
    Step::File {
        path,
        contents: contents.to_owned(),
        mode: 0o444,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Bind, Id128, Init};

    fn spec(network: Network) -> Spec {
        Spec {
            root: "/var/lib/nixos-containers/foo".into(),
            directories: Vec::new(),
            empty_files: Vec::new(),
            binds: vec![Bind {
                source: "/nix/store".into(),
                target: "/nix/store".into(),
                read_only: true,
            }],
            init: Init {
                program: "/init".into(),
                arguments: Vec::new(),
                environment: Vec::new(),
            },
            hostname: "foo".to_owned(),
            machine_id: Id128::from_random_bytes([1; 16]),
            boot_id: Id128::from_random_bytes([2; 16]),
            capabilities: CapabilitySet::default_for(&network),
            network,
            tty_gid: 3,
            resolv_conf: None,
            notify_socket: "/run/foo/notify".into(),
        }
    }

    fn position(steps: &[Step], found: impl Fn(&Step) -> bool) -> usize {
        steps.iter().position(found).expect("a step of this kind")
    }

    #[test]
    fn nothing_of_the_host_is_used_after_it_is_detached() {
        let steps = plan(&spec(Network::Private)).steps;
        let detached = position(&steps, |step| *step == Step::DetachHost);
        let of_the_host = |step: &&Step| {
            matches!(
                step,
                Step::Bind {
                    origin: Origin::Host,
                    ..
                }
            )
        };
        assert_eq!(steps[detached..].iter().find(of_the_host), None);
        assert!(steps[..detached].iter().any(|step| of_the_host(&step)));
    }

    #[test]
    fn every_path_is_resolved_below_the_containers_own_root() {
        let steps = plan(&spec(Network::Private)).steps;
        let root = position(&steps, |step| matches!(step, Step::BindRoot { .. }));
        assert!(steps[..root].iter().all(|step| matches!(
            step,
            Step::DieWithSupervisor | Step::UnshareCgroup | Step::SetPropagation { .. }
        )));
        let pivot = position(&steps, |step| *step == Step::PivotRoot);
        assert_eq!(steps[pivot + 1], Step::DetachHost);
    }

    #[test]
    fn init_has_no_more_than_the_plan_leaves_it() {
        let steps = plan(&spec(Network::Private)).steps;
        let bounded = position(&steps, |step| matches!(step, Step::BoundingSet { .. }));
        let filtered = position(&steps, |step| *step == Step::Seccomp);
        let last_mount = steps
            .iter()
            .rposition(|step| matches!(step, Step::Mount { .. } | Step::Bind { .. }))
            .expect("mounts");
        assert!(last_mount < bounded && bounded < filtered);
        assert!(matches!(steps.last(), Some(Step::Exec { .. })));
    }

    #[test]
    fn only_a_private_network_can_be_set_up() {
        let sets_up = |network| {
            plan(&spec(network)).steps.iter().any(|step| {
                matches!(step, Step::Bind { target, .. } if target == Path::new("/proc/sys/net"))
            })
        };
        assert!(sets_up(Network::Private));
        assert!(!sets_up(Network::Host));
    }

    #[test]
    fn init_is_executed_only_when_the_supervisor_is_ready() {
        let steps = plan(&spec(Network::Host)).steps;
        let waited = position(&steps, |step| *step == Step::AwaitSupervisor);
        let executed = position(&steps, |step| matches!(step, Step::Exec { .. }));
        assert!(waited < executed);
    }
}
