//! From a [`Spec`] to the list of [`Step`]s that the container's child performs.
//!
//! Planning is pure: it needs no privileges and touches nothing. The child makes no
//! system call beside these steps, so the list shows a start completely.

use serde::Serialize;

use crate::spec::mount_attributes::{Attributes, Propagation};
use crate::spec::{DEFAULT_DEVICES, Network, Spec, Streams};
use host_step::HostStep;
use step::{MountStep, Namespace, ProcessStep, StartStep, Step};

mod api_file_systems;
mod bound_users;
pub mod host_step;
mod mounts;
mod process;
mod program;
mod root;
mod root_files;
pub mod step;
mod steps;

pub use api_file_systems::has_device_node;
pub use bound_users::{USER_RECORDS, home_of_bound_user};
pub use program::plan_program;

use api_file_systems::{SHARED_DIRECTORY, dev, proc, run, sys};
use mounts::mounted;
use process::{confine, start_init};
use root::root;
use root_files::root_files;
use steps::{restrict, tmpfs};

/// The start of a container.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Namespaces that `clone3` makes for the child.
    pub namespaces: Vec<Namespace>,
    /// The steps that the supervisor performs meanwhile for the child, or for the
    /// init that the child clones.
    pub host_steps: Vec<HostStep>,
    /// The steps that the child performs in its namespaces, in this order. From
    /// [`StartStep::HandOver`] on, the init that the child has cloned performs them.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether the child clones init instead of becoming it.
    pub(crate) fn clones_init(&self) -> bool {
        let clones = |step: &Step| matches!(step, Step::Start(StartStep::CloneInit { .. }));
        self.steps.iter().any(clones)
    }
}

/// The directory for the host's messages to the container (Container Interface).
const RUN_HOST: &str = "/run/host";
/// The value of `$container` and of `/run/host/container-manager`, as systemd-nspawn has
/// it: configurations name it in `ConditionVirtualization=` (`man 5 systemd.unit`), as
/// NixOS does for acpid and ALSA, and nixos-generate-config looks for it.
pub const CONTAINER_MANAGER: &str = "systemd-nspawn";

/// The plan of one start.
pub fn plan(spec: &Spec) -> Plan {
    let mut own = vec![Namespace::Pid, Namespace::Uts, Namespace::Ipc];
    if spec.network == Network::Private {
        own.push(Namespace::Net);
    }
    let mut namespaces = vec![Namespace::Mount];
    let begin = match spec.ids {
        None => {
            namespaces.extend(own);
            vec![Step::Process(ProcessStep::UnshareCgroup)]
        }
        // A namespace belongs to the user namespace that it is made in (man 7
        // user_namespaces), so all are made with init.
        Some(ids) => {
            own.splice(0..0, [Namespace::User]);
            own.push(Namespace::Cgroup);
            vec![Step::Start(StartStep::CloneInit {
                namespaces: own,
                ids,
                owner: spec.owner,
                tasks: spec.resources.tasks,
            })]
        }
    };
    let read_only = spec
        .root
        .read_only
        .then(|| restrict("/", Attributes::READ_ONLY));
    let optional = |step: Option<Step>| step.into_iter().collect::<Vec<_>>();
    let mut steps = [
        inherited(spec),
        begin,
        root(&spec.root),
        run(spec),
        proc(spec),
        sys(),
        dev(spec),
        vec![tmpfs("/tmp", Attributes::DATA, SHARED_DIRECTORY)],
        root_files(spec),
        spec.mounts
            .iter()
            .map(|mount| mounted(mount, spec.ids))
            .collect(),
        // After all files are made in the root.
        optional(read_only),
        // Last, and both together: while the host's tree is mounted over the new
        // root, `..` of that root leads into it, even with `RESOLVE_IN_ROOT`.
        vec![
            Step::Mount(MountStep::PivotRoot),
            Step::Mount(MountStep::DetachHost),
        ],
        optional(spec.ids.map(|_| Step::Start(StartStep::HandOver))),
        vec![
            match spec.init.streams {
                Streams::Terminal => Step::Start(StartStep::StandardStreams),
                Streams::Pipe => Step::Start(StartStep::Pipe),
            },
            Step::Mount(MountStep::SetPropagation {
                propagation: Propagation::Shared,
            }),
        ],
        confine(spec),
        start_init(spec),
    ]
    .concat();
    if let Some(memory) = spec.resources.memory {
        share_memory(&mut steps, memory);
    }
    Plan {
        namespaces,
        host_steps: host_steps(spec),
        steps,
    }
}

/// Makes the sizes of file systems in memory shares of the container's memory instead of
/// the machine's. If a full one left nothing to the processes, the kernel would kill
/// them all: that frees no file.
fn share_memory(steps: &mut [Step], memory: u64) {
    for step in steps {
        let (Step::Mount(MountStep::Mount { options, .. })
        | Step::Mount(MountStep::EmptyRoot { options, .. })
        | Step::Mount(MountStep::OverlayRoot { options, .. })) = step
        else {
            continue;
        };
        for (_, size) in options.iter_mut().filter(|(key, _)| key == "size") {
            let percent = size.strip_suffix('%').and_then(|text| text.parse().ok());
            let bytes = percent.map(|percent: u64| memory / 100 * percent);
            *size = bytes.map_or_else(|| size.clone(), |bytes| bytes.to_string());
        }
    }
}

fn host_steps(spec: &Spec) -> Vec<HostStep> {
    let devices = DEFAULT_DEVICES.into_iter();
    let mut steps = vec![
        HostStep::DeviceFilter {
            devices: devices.chain(spec.devices.iter().copied()).collect(),
        },
        HostStep::Limits {
            limits: spec.resources.limits.clone(),
            owner: spec.owner,
        },
    ];
    if let Some(ids) = spec.ids {
        steps.push(HostStep::Delegate { root: ids.root() });
    }
    let settings = spec.resources.cgroup.iter().cloned();
    steps.extend(settings.map(HostStep::Cgroup));
    if let Some(adjust) = spec.resources.oom_score_adjust {
        steps.push(HostStep::OomScore { adjust });
    }
    steps
}

/// Steps of the child that init inherits: they come before its user namespace. From the
/// second on, no mount reaches the host.
fn inherited(spec: &Spec) -> Vec<Step> {
    let mut steps = vec![
        Step::Process(ProcessStep::DieWithSupervisor),
        Step::Mount(MountStep::SetPropagation {
            propagation: Propagation::Slave,
        }),
    ];
    if !spec.legacy_cgroups.is_empty() {
        steps.push(Step::Process(ProcessStep::LeaveLegacyCgroups {
            groups: spec.legacy_cgroups.clone(),
        }));
    }
    if let Network::Namespace(path) = &spec.network {
        steps.push(Step::Process(ProcessStep::JoinNetwork {
            path: path.clone(),
        }));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::step::ProcessStep;
    use crate::spec::idmap::IdMap;
    use crate::spec::mount_attributes::{Origin, Owners};
    use crate::spec::{
        Bind, Content, Id128, Init, LocalTime, Mount, Privileges, ResolvConf, Resources, Root,
        RootTree, Streams,
    };
    use crate::sys::capabilities::CapabilitySet;
    use crate::sys::seccomp::SystemCallFilter;
    use std::path::Path;

    pub(super) fn spec(network: Network) -> Spec {
        Spec {
            root: Root {
                directory: "/var/lib/nixos-containers/foo".into(),
                tree: RootTree::Directory,
                map_owners: true,
                read_only: false,
                empty_var: false,
            },
            ids: None,
            owner: 0,
            legacy_cgroups: Vec::new(),
            directories: Vec::new(),
            empty_files: Vec::new(),
            run_files: Vec::new(),
            mounts: vec![Mount {
                target: "/nix/store".into(),
                content: Content::Bind(Bind {
                    origin: Origin::Host,
                    source: "/nix/store".into(),
                    recursive: true,
                    attributes: Attributes::READ_ONLY,
                    owners: Owners::Mapped,
                }),
            }],
            init: Init {
                program: "/init".into(),
                arguments: Vec::new(),
                environment: Vec::new(),
                working_directory: "/".into(),
                user: None,
                streams: Streams::Terminal,
                below_stub: false,
            },
            hostname: "foo".to_owned(),
            machine_id: Id128::from_random_bytes([1; 16]),
            boot_id: Id128::from_random_bytes([2; 16]),
            privileges: Privileges {
                bounding: CapabilitySet::SYSTEM,
                ambient: CapabilitySet::NONE,
                no_new_privileges: false,
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
            network,
            tty_gid: 3,
            resolv_conf: ResolvConf::Leave,
            local_time: LocalTime::Leave,
            notify_socket: "/run/foo/notify".into(),
        }
    }

    pub(super) fn position(steps: &[Step], found: impl Fn(&Step) -> bool) -> usize {
        steps.iter().position(found).expect("a step of this kind")
    }

    #[test]
    fn the_host_is_not_used_after_it_is_detached() {
        let steps = plan(&spec(Network::Private)).steps;
        let detached = position(&steps, |step| *step == Step::Mount(MountStep::DetachHost));
        let of_the_host = |step: &&Step| {
            matches!(
                step,
                Step::Mount(MountStep::Bind {
                    origin: Origin::Host,
                    ..
                })
            )
        };
        assert_eq!(steps[detached..].iter().find(of_the_host), None);
        assert!(steps[..detached].iter().any(|step| of_the_host(&step)));
    }

    #[test]
    fn privileges_are_dropped_after_the_mounts_and_before_init() {
        let steps = plan(&spec(Network::Private)).steps;
        let bounded = position(&steps, |step| {
            matches!(step, Step::Process(ProcessStep::BoundingSet { .. }))
        });
        let filtered = position(&steps, |step| {
            matches!(step, Step::Process(ProcessStep::Seccomp { .. }))
        });
        let last_mount = steps
            .iter()
            .rposition(|step| {
                matches!(
                    step,
                    Step::Mount(MountStep::Mount { .. } | MountStep::Bind { .. })
                )
            })
            .expect("mounts");
        assert!(last_mount < bounded && bounded < filtered);
        assert!(matches!(
            steps.last(),
            Some(Step::Start(StartStep::Exec { .. }))
        ));
    }

    #[test]
    fn only_a_private_network_can_be_set_up() {
        let sets_up = |network| {
            plan(&spec(network)).steps.iter().any(|step| {
                matches!(step, Step::Mount(MountStep::Bind { target, .. }) if target == Path::new("/proc/sys/net"))
            })
        };
        assert!(sets_up(Network::Private));
        assert!(!sets_up(Network::Host));
    }

    #[test]
    fn init_is_executed_only_when_the_supervisor_is_ready() {
        let steps = plan(&spec(Network::Host)).steps;
        let waited = position(&steps, |step| {
            *step == Step::Start(StartStep::AwaitSupervisor)
        });
        let executed = position(&steps, |step| {
            matches!(step, Step::Start(StartStep::Exec { .. }))
        });
        assert!(waited < executed);
    }

    #[test]
    fn in_a_user_namespace_nothing_is_mounted_after_the_mounts_are_locked() {
        let mut spec = spec(Network::Private);
        spec.ids = IdMap::new(524_288, 65536);
        let Plan {
            namespaces, steps, ..
        } = plan(&spec);
        assert_eq!(namespaces, [Namespace::Mount]);
        let cloned = position(&steps, |step| {
            matches!(step, Step::Start(StartStep::CloneInit { .. }))
        });
        let bound = position(&steps, |step| {
            matches!(step, Step::Mount(MountStep::BindRoot { .. }))
        });
        let detached = position(&steps, |step| *step == Step::Mount(MountStep::DetachHost));
        let handed_over = position(&steps, |step| *step == Step::Start(StartStep::HandOver));
        assert!(cloned < bound && detached < handed_over);
        assert!(steps[handed_over..].iter().all(|step| match step {
            Step::File(_) => false,
            Step::Mount(step) => matches!(step, MountStep::SetPropagation { .. }),
            Step::Process(_) | Step::Start(_) => true,
        }));
    }

    #[test]
    fn proc_is_uncovered_only_if_the_hosts_root_is_not_mapped() {
        let uncovered = |ids| {
            let mut spec = spec(Network::Private);
            spec.ids = ids;
            plan(&spec).steps.iter().any(|step| {
                matches!(step, Step::Mount(MountStep::Mount { target, .. }) if target == Path::new("/run/host/proc"))
            })
        };
        assert!(uncovered(IdMap::new(524_288, 65536)));
        assert!(!uncovered(Some(IdMap::IDENTITY)));
        assert!(!uncovered(None));
    }

    #[test]
    fn file_systems_in_memory_share_the_limited_memory() {
        let mut spec = spec(Network::Private);
        spec.root.tree = RootTree::Empty;
        spec.resources.memory = Some(1000);
        let steps = plan(&spec).steps;
        let size_of = |place: &str| {
            let options = steps.iter().find_map(|step| match step {
                Step::Mount(MountStep::Mount {
                    target, options, ..
                }) if target == Path::new(place) => Some(options),
                Step::Mount(MountStep::EmptyRoot { options, .. }) if place == "/" => Some(options),
                _ => None,
            });
            let mut options = options.expect("it is mounted").iter();
            options
                .find(|(key, _)| key == "size")
                .map(|(_, size)| size.as_str())
        };
        for (place, size) in [
            ("/", "250"),
            ("/run", "200"),
            ("/tmp", "100"),
            ("/dev/shm", "100"),
            ("/dev", "4m"),
        ] {
            assert_eq!(size_of(place), Some(size), "{place}");
        }
    }

    #[test]
    fn ids_of_file_systems_in_memory_are_those_inside() {
        let mut spec = spec(Network::Private);
        spec.ids = IdMap::new(524_288, 65536);
        spec.mounts.push(Mount {
            target: "/data".into(),
            content: Content::Tmpfs {
                attributes: Attributes::NONE,
                options: [("uid", "1000"), ("gid", "70000"), ("size", "1000")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            },
        });
        let steps = plan(&spec).steps;
        let options = steps.iter().find_map(|step| match step {
            Step::Mount(MountStep::Mount {
                target, options, ..
            }) if target == Path::new("/data") => Some(options),
            _ => None,
        });
        let values: Vec<_> = options
            .expect("it is mounted")
            .iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values, ["525288", "70000", "1000"]);
    }
}
