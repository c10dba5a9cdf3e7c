//! Resolves a container's configuration into the specifications of the runtime and
//! the network: absolute paths, numbers, no defaults left.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use runtime::rootfs::Root;
use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::cgroup_v1;
use runtime::{Directory, Id128, Init, Network, Privileges, ResolvConf, RootTree, Streams};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::config::{Console, ContainerConfig};
use crate::container::Container;
use crate::container::name::ContainerName;
use crate::container::paths::Places;
use crate::nix::shared::OwnChanges;
use crate::nix::system::require_init;
use network::PrivateNetwork;
use network::resolv_conf;
use users::{RootOwners, Users, bound_users};

pub mod closure;
mod credentials;
mod devices;
pub mod journal;
mod local_time;
mod mounts;
pub mod network;
mod process;
mod properties;
pub mod users;

pub use mounts::work_directories;

/// The profile of a container's system as the container itself sees it.
const SYSTEM_PROFILE_INSIDE: &str = "/nix/var/nix/profiles/system";

/// Group `tty` of NixOS (`ids.nix` of nixpkgs).
const TTY_GID: u32 = 3;

/// The resolved configuration of one start.
#[derive(Debug)]
pub struct Start {
    /// The specification for the runtime.
    pub spec: runtime::Spec,
    /// The link between the journals of host and container.
    pub journal: journal::Link,
    /// The store paths that the container sees; `None` if it sees the whole store.
    pub closure: Option<closure::Closure>,
    /// Whether the container's changes of its profile count on the host.
    pub own_changes: OwnChanges,
    /// Directories of the host that exist while the container runs.
    pub temporary: Vec<PathBuf>,
    /// The container's users; `None` if they are the host's.
    pub users: Option<Users>,
    /// Trees of the host whose owners are changed to `users` first.
    pub chown_trees: Vec<PathBuf>,
    /// The container's private network, if it has one.
    pub network: Option<PrivateNetwork>,
    /// Sentences about the configuration that the administrator should read.
    pub notices: Vec<String>,
}

/// Resolves a configuration. Reads files and asks the kernel; changes and prints
/// nothing.
pub fn resolve(container: &Container, config: &ContainerConfig) -> Result<Start> {
    let (places, name) = (container.places(), container.name());
    let mut notices: Vec<_> = [
        unknown_keys(&places.conf(name), config),
        files_of_another(container, config),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut root = config.root.to_root(match config.root.ephemeral {
        true => places.run(name).root(),
        false => places.root(name),
    });
    let kind = network::kind(config)?;
    let network = match kind {
        Network::Private => Some(network::resolve(container, config)?),
        Network::Host | Network::Namespace(_) => None,
    };
    let users = users::resolve(container, config)?;
    let root_owners = users.as_ref().map(|users| users.root_owners);
    root.map_owners = root_owners == Some(RootOwners::Mapped);
    let mut mounts = mounts::resolve(container, config, users.as_ref())?;
    let machine_id = machine_id(&root, config.execution.machine_id)?;
    let journal = journal::resolve(config.link_journal, machine_id, &root)?;
    mounts.mounts.extend(journal.mount());
    let chown_trees = match &users {
        Some(users) => {
            let root = (users.root_owners == RootOwners::Chowned).then(|| root.directory.clone());
            let journal = journal.host_directory().map(Path::to_owned);
            users.trees_to_chown(root.into_iter().chain(mounts.owned).chain(journal))?
        }
        None => Vec::new(),
    };
    let privileges = process::privileges(&config.security, &kind)?;
    // In a user namespace, they do not hold for the host's network.
    if users.is_none() {
        notices.extend(administers_host(&kind, &privileges));
    }
    // 0 is the host's root, whose tasks are not the container's alone.
    let owner = users.as_ref().map_or(Ok(0), users::namespace_owner)?;
    let spec = runtime::Spec {
        ids: users.as_ref().map(|users| users.ids),
        legacy_cgroups: cgroup_v1::of_this_process().context("cannot read /proc/self/cgroup")?,
        owner,
        init: init(places, name, config)?,
        directories: root_directories()
            .into_iter()
            .chain(journal.directory())
            .collect(),
        // Systemd fills an empty file from `$container_uuid`; without the file, it
        // would assume a first boot (`man 5 machine-id`).
        empty_files: vec!["/etc/machine-id".into()],
        run_files: journal::limits(config.resources.journal_max_use),
        mounts: mounts.mounts,
        hostname: config
            .execution
            .hostname
            .clone()
            .unwrap_or_else(|| name.as_str().to_owned()),
        machine_id,
        boot_id: random_id()?,
        privileges,
        resources: process::resources(
            &config.resources,
            &system_on_host(places, name, config),
            container,
            owner != 0,
            &mut notices,
        )?,
        credentials: credentials::resolve(&config.credentials)?,
        bound_users: bound_users::resolve(
            &config.bound_users,
            users.as_ref(),
            visible_root(&root).as_ref(),
        )?,
        devices: devices::resolve(&config.security.devices, &mut notices)?,
        resolv_conf: resolv_conf(&root, config, &kind, &mut notices)?,
        network: kind,
        local_time: local_time::resolve(config.time_zone, root.read_only)?,
        tty_gid: TTY_GID,
        notify_socket: places.run(name).notify(),
        root,
    };
    Ok(Start {
        spec,
        closure: closure::resolve(places, name, config)?,
        own_changes: OwnChanges::of(config),
        temporary: mounts.temporary,
        journal,
        users,
        chown_trees,
        network,
        notices,
    })
}

/// A notice about keys in a configuration file that are not known.
fn unknown_keys(conf: &Path, config: &ContainerConfig) -> Option<String> {
    let keys = config.unknown_keys.join(", ");
    let conf = conf.display();
    (!keys.is_empty()).then(|| format!("{conf} has unknown keys: {keys}"))
}

/// A notice about a container that may administer the host's network: `enableTun` of
/// nixpkgs' module has that effect without `privateNetwork`.
fn administers_host(network: &Network, privileges: &Privileges) -> Option<String> {
    let may = privileges.bounding.contains(CapabilitySet::NET_ADMIN);
    (*network == Network::Host && may).then(|| {
        "the container is in the host's network and has CAP_NET_ADMIN, which enableTun adds: its \
         root can change the host's links, routes and firewall; PRIVATE_NETWORK=1 gives it a \
         network of its own"
            .to_owned()
    })
}

/// A notice about a declared container in the root directory of one that was created:
/// only that one has a profile beside `SYSTEM_PATH`.
fn files_of_another(container: &Container, config: &ContainerConfig) -> Option<String> {
    let (places, name) = (container.places(), container.name());
    let has_profile = fs::symlink_metadata(places.system_profile(name)).is_ok();
    let takes_over = has_profile && config.system_path.is_some() && !config.root.ephemeral;
    (takes_over && container.is_declared()).then(|| {
        format!(
            "{container} is declared in the host's configuration, but its root directory {} was \
             that of a container that was created with this name; move the directory away if it \
             is another one's, or remove {} if it is meant to be the same",
            places.root(name).display(),
            places.profiles(name).display()
        )
    })
}

/// Path of the container's system inside.
pub fn system_inside(config: &ContainerConfig) -> PathBuf {
    match &config.system_path {
        Some(system) => system.clone(),
        None => SYSTEM_PROFILE_INSIDE.into(),
    }
}

/// Path of the container's system on the host.
fn system_on_host(places: &Places, name: &ContainerName, config: &ContainerConfig) -> PathBuf {
    match &config.system_path {
        Some(system) => system.clone(),
        None => places.system_profile(name),
    }
}

/// The container's init: program, arguments and environment.
fn init(places: &Places, name: &ContainerName, config: &ContainerConfig) -> Result<Init> {
    match &config.system_path {
        Some(system) => {
            let conf = places.conf(name);
            require_init(system)
                .with_context(|| format!("cannot use SYSTEM_PATH of {}", conf.display()))?;
        }
        None => require_init(&places.system_profile(name))
            .context("cannot use the container's profile")?,
    }
    let system = system_on_host(places, name, config);
    let (program, arguments) = process::program(&system, system_inside(config).join("init"));
    Ok(Init {
        program,
        arguments,
        environment: process::environment(config),
        working_directory: config
            .execution
            .working_directory
            .clone()
            .unwrap_or_else(|| "/".into()),
        user: config.execution.user.clone(),
        streams: match config.execution.console {
            Console::Logged | Console::Ignored => Streams::Terminal,
            Console::Pipe => Streams::Pipe,
        },
        below_stub: config.execution.as_pid2,
    })
}

/// The directories that nixpkgs' unit makes before each start, with its modes.
fn root_directories() -> Vec<Directory> {
    [
        ("/etc", 0o755),
        ("/var/lib", 0o755),
        ("/var/lib/private", 0o700),
        ("/root", 0o700),
    ]
    .map(|(path, mode)| Directory {
        path: path.into(),
        mode,
    })
    .into()
}

/// The container's machine id: the one in its `/etc`, else the configured one, else a
/// random one.
fn machine_id(root: &runtime::Root, configured: Option<Id128>) -> Result<Id128> {
    let file = Path::new("/etc/machine-id");
    let existing = visible_root(root).and_then(|root| root.read_file(file, 64).ok());
    let existing = existing.and_then(|text| String::from_utf8(text).ok());
    match existing.as_deref().and_then(Id128::parse) {
        Some(id) => Ok(id),
        None => configured.map_or_else(random_id, Ok),
    }
}

/// The root directory, if its `/etc` is the container's `/etc`.
fn visible_root(root: &runtime::Root) -> Option<Root> {
    match root.tree {
        RootTree::Directory | RootTree::Snapshot => Root::open(&root.directory).ok(),
        RootTree::Empty | RootTree::Usr => None,
    }
}

fn random_id() -> Result<Id128> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("cannot get random bytes")?;
    Ok(Id128::from_random_bytes(bytes))
}

/// The change of the container's `/etc/resolv.conf`.
fn resolv_conf(
    root: &runtime::Root,
    config: &ContainerConfig,
    kind: &Network,
    notices: &mut Vec<String>,
) -> Result<ResolvConf> {
    let mode = config.resolv_conf_mode(*kind == Network::Private);
    let replaceable = is_regular_or_missing(root, "/etc", "resolv.conf");
    let decision = resolv_conf::decide(mode, kind, replaceable, |path| {
        std::fs::read_to_string(path)
    })?;
    notices.extend(decision.warning);
    Ok(decision.change)
}

/// Whether a file in the container's root directory is a regular file or missing.
fn is_regular_or_missing(root: &runtime::Root, directory: &str, name: &str) -> bool {
    let directory = visible_root(root).and_then(|root| root.resolve(Path::new(directory)).ok());
    let Some(directory) = directory else {
        return true;
    };
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode).is_file(),
        Err(errno) => errno == Errno::NOENT,
    }
}
