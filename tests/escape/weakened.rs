//! The runtime without some of its parts. It performs exactly a plan, so that a part
//! is taken away by taking it out of the specification or the plan.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use runtime::process::launch;
use runtime::process::sealed::Sealed;
use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::cgroup::{Cgroup, Owner};
use runtime::sys::notify::NotifySocket;
use runtime::sys::seccomp::SystemCallFilter;
use runtime::sys::untrusted_socket::Closers;
use runtime::{
    Attributes, Bind, Content, FileStep, HostStep, Id128, IdMap, Init, LocalTime, Mount, MountStep,
    Namespace, Network, Origin, Owners, Plan, Privileges, ProcessStep, Propagation, ResolvConf,
    Resources, Root, RootTree, Spec, StartStep, Step, Streams,
};

use crate::attack::{Attack, attacks};
use crate::canary::{DROP, DROP_INSIDE, SHARED, SHARED_INSIDE, SHARED_TWICE};
use crate::stage::ATTACKER;

/// A part of the runtime that stops attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Users of the container's own.
    Users,
    /// The filter of system calls.
    SystemCallFilter,
    /// The bounding set of capabilities.
    BoundingSet,
    /// The filter of devices.
    DeviceFilter,
    /// What is mounted over parts of `/proc`.
    ProcCovers,
    /// What is mounted over parts of `/sys`, and its being read-only.
    SysCovers,
    /// A namespace of the container's own.
    Own(Namespace),
    /// The host's tree is detached.
    Detached,
    /// Standard streams of the container's own.
    Streams,
    /// Binds are read-only.
    ReadOnlyBinds,
    /// Mounts of the container do not reach the host.
    Slave,
    /// `/run` and `/dev` are file systems in memory, without files of the container's.
    Fresh,
    /// Device nodes of the host are bound read-only.
    ReadOnlyDevices,
}

/// Tries these attacks, or all, in containers of this root directory: each in one of
/// the runtime as it is, and in one of the runtime without the parts that stop it.
/// Prints a line with `whole` or `weakened` before that of the attacker.
pub fn start(root: &Path, names: &[&str]) -> i32 {
    let sealed = match Sealed::ensure() {
        Ok(sealed) => sealed,
        Err(cause) => {
            eprintln!("cannot seal the tests' program: {cause}");
            return 1;
        }
    };
    let chosen = attacks().filter(|attack| names.is_empty() || names.contains(&attack.name));
    for (number, attack) in chosen.enumerate() {
        let runtimes = [("whole", &[][..]), ("weakened", attack.stopped_by)];
        for (runtime, parts) in runtimes {
            let group = format!("escape-{runtime}-{number}");
            let output = run(root, attack, parts, Path::new(&group), sealed);
            let output = output.unwrap_or_else(|cause| format!("{}\terror\t{cause}", attack.name));
            println!("{runtime} {}", output.trim_end());
        }
    }
    0
}

/// Runs one attack in a container of its own; what the attacker printed.
fn run(
    root: &Path,
    attack: &Attack,
    without: &[Part],
    group: &Path,
    sealed: Sealed,
) -> io::Result<String> {
    let notify = PathBuf::from("/run/throwaway/canary/notify");
    let _ = std::fs::remove_file(&notify);
    let _socket = NotifySocket::bind(&notify, &Closers::default())?;
    let spec = spec(root, attack.name, notify, without);
    let mut plan = runtime::plan(&spec);
    for part in without {
        take_away(*part, &mut plan);
    }
    let cgroup = Cgroup::locate(group, Owner::Container)?;
    let payload = cgroup.create_payload()?;
    let streams = without.contains(&Part::Streams);
    let inherited = if streams { Some(leak()?) } else { None };
    // SAFETY: this process has one thread.
    let starting =
        unsafe { launch::spawn(&plan, Some(payload.as_fd()), sealed) }.map_err(io::Error::other)?;
    starting
        .prepare(&plan, payload.as_fd())
        .map_err(io::Error::other)?;
    starting.go()?;
    let started = starting.finish().map_err(io::Error::other)?;
    let mut output = String::new();
    match inherited {
        None => {
            File::from(started.console).read_to_string(&mut output)?;
            started.init.wait()?;
        }
        Some(mut inherited) => {
            started.init.wait()?;
            inherited.take_output(&mut output)?;
        }
    }
    Ok(output)
}

/// What the child inherits where it has no streams of its own: the host's `/` as its
/// standard input, and a file for its output.
struct Inherited {
    own: [std::os::fd::OwnedFd; 2],
    output: File,
}

fn leak() -> io::Result<Inherited> {
    use rustix::io::dup;
    io::stdout().flush()?;
    let own = [dup(rustix::stdio::stdin())?, dup(rustix::stdio::stdout())?];
    rustix::stdio::dup2_stdin(&File::open("/")?)?;
    let output = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::stdio::dup2_stdout(&output)?;
    let output = File::from(output);
    Ok(Inherited { own, output })
}

impl Inherited {
    fn take_output(&mut self, output: &mut String) -> io::Result<()> {
        use std::io::Seek;
        rustix::stdio::dup2_stdin(&self.own[0])?;
        rustix::stdio::dup2_stdout(&self.own[1])?;
        self.output.rewind()?;
        self.output.read_to_string(output)?;
        Ok(())
    }
}

/// A container as the command makes them, with next to nothing in it.
fn spec(root: &Path, attack: &str, notify_socket: PathBuf, without: &[Part]) -> Spec {
    let has = |part| !without.contains(&part);
    let ids = IdMap::new(0x2000_0000, runtime::DEFAULT_COUNT).filter(|_| has(Part::Users));
    let capabilities = if has(Part::BoundingSet) {
        CapabilitySet::SYSTEM.with(CapabilitySet::NET_ADMIN)
    } else {
        CapabilitySet::ALL
    };
    let [interpreter, words @ ..] = ATTACKER;
    Spec {
        root: Root {
            directory: root.to_owned(),
            tree: RootTree::Directory,
            map_owners: true,
            read_only: false,
            empty_var: false,
        },
        ids,
        legacy_cgroups: Vec::new(),
        owner: ids.map_or(0, IdMap::root),
        directories: Vec::new(),
        empty_files: Vec::new(),
        run_files: Vec::new(),
        mounts: vec![
            bind(SHARED, SHARED_INSIDE, has(Part::ReadOnlyBinds)),
            bind(SHARED, SHARED_TWICE, true),
            bind(DROP, DROP_INSIDE, false),
        ],
        init: Init {
            program: interpreter.into(),
            arguments: words
                .iter()
                .chain(&["attacker", attack])
                .map(|word| (*word).to_owned())
                .collect(),
            environment: Vec::new(),
            working_directory: "/".into(),
            user: None,
            streams: Streams::Pipe,
            below_stub: false,
        },
        hostname: "weakened".to_owned(),
        machine_id: Id128::from_random_bytes([1; 16]),
        boot_id: Id128::from_random_bytes([2; 16]),
        privileges: Privileges {
            bounding: capabilities,
            ambient: CapabilitySet::NONE,
            no_new_privileges: false,
            // That of the usual set: a part is taken away by itself.
            system_calls: SystemCallFilter::for_bounding_set(CapabilitySet::SYSTEM),
        },
        resources: Resources {
            limits: Vec::new(),
            oom_score_adjust: None,
            tasks: None,
            memory: None,
            cpus: None,
            cgroup: Vec::new(),
            personality: None,
        },
        devices: Vec::new(),
        bound_users: Vec::new(),
        credentials: Vec::new(),
        network: Network::Private,
        tty_gid: 3,
        resolv_conf: ResolvConf::Leave,
        local_time: LocalTime::Leave,
        notify_socket,
    }
}

fn bind(source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        target: target.into(),
        content: Content::Bind(Bind {
            origin: Origin::Host,
            source: source.into(),
            recursive: true,
            attributes: Attributes {
                read_only,
                ..Attributes::NONE
            },
            owners: Owners::OnDisk,
        }),
    }
}

/// Takes a part out of a plan.
fn take_away(part: Part, plan: &mut Plan) {
    match part {
        // They are taken out of the specification.
        Part::Users | Part::BoundingSet | Part::ReadOnlyBinds => {}
        Part::DeviceFilter => plan
            .host_steps
            .retain(|step| !matches!(step, HostStep::DeviceFilter { .. })),
        Part::Own(namespace) => take_namespace(namespace, plan),
        Part::Streams => inherit_streams(plan),
        Part::ReadOnlyDevices => make_writable("/dev", plan),
        Part::SysCovers => {
            plan.steps.retain(|step| !belongs(step, part));
            make_writable("/sys", plan);
        }
        _ => plan.steps.retain(|step| !belongs(step, part)),
    }
}

/// Whether a step is there for this part alone.
fn belongs(step: &Step, part: Part) -> bool {
    match (part, step) {
        (Part::Fresh, Step::File(FileStep::File { path, .. })) => {
            return path.starts_with("/run/host/inaccessible");
        }
        // They would be there already.
        (Part::Fresh, Step::File(FileStep::Symlink { path, .. })) => {
            return path.starts_with("/dev");
        }
        _ => {}
    }
    let Step::Mount(mount) = step else {
        let filters = matches!(step, Step::Process(ProcessStep::Seccomp { .. }));
        return filters && part == Part::SystemCallFilter;
    };
    match (part, mount) {
        (Part::Detached, MountStep::DetachHost) => true,
        (Part::Slave, MountStep::SetPropagation { propagation }) => {
            *propagation == Propagation::Slave
        }
        (Part::Fresh, MountStep::Mount { target, fstype, .. }) => {
            fstype == "tmpfs"
                && ["/run", "/run/host", "/dev"]
                    .map(Path::new)
                    .contains(&target.as_path())
        }
        (Part::Fresh, MountStep::Restrict { target, .. }) => target == Path::new("/run/host"),
        (Part::ProcCovers, MountStep::Bind { target, .. }) => target.starts_with("/proc"),
        (
            Part::ProcCovers | Part::SysCovers,
            MountStep::Hide { target, .. } | MountStep::Restrict { target, .. },
        ) => {
            let of_proc = part == Part::ProcCovers;
            target.starts_with(if of_proc { "/proc" } else { "/sys" })
        }
        _ => false,
    }
}

/// The supervisor gets its end of a terminal all the same.
fn inherit_streams(plan: &mut Plan) {
    let is = |wanted: Step| move |step: &Step| *step == wanted;
    let pipe = is(Step::Start(StartStep::Pipe));
    plan.steps.retain(|step| !pipe(step));
    let pivot = plan
        .steps
        .iter()
        .position(is(Step::Mount(MountStep::PivotRoot)));
    let console = Step::Start(StartStep::Console);
    plan.steps.insert(pivot.unwrap_or_default(), console);
}

fn take_namespace(namespace: Namespace, plan: &mut Plan) {
    plan.namespaces.retain(|own| *own != namespace);
    for step in &mut plan.steps {
        if let Step::Start(StartStep::CloneInit { namespaces, .. }) = step {
            namespaces.retain(|own| *own != namespace);
        }
    }
    if namespace == Namespace::Cgroup {
        let unshares = |step: &Step| *step == Step::Process(ProcessStep::UnshareCgroup);
        plan.steps.retain(|step| !unshares(step));
    }
    if namespace == Namespace::Uts {
        // It would name the host.
        let names = |step: &Step| matches!(step, Step::Process(ProcessStep::Hostname { .. }));
        plan.steps.retain(|step| !names(step));
    }
}

/// Makes the mounts below a directory writable.
fn make_writable(directory: &str, plan: &mut Plan) {
    for step in &mut plan.steps {
        if let Step::Mount(
            MountStep::Bind {
                target, attributes, ..
            }
            | MountStep::Mount {
                target, attributes, ..
            },
        ) = step
            && target.starts_with(directory)
        {
            attributes.read_only = false;
        }
    }
}
