//! The start of a container: [`prepare`] refuses a start that cannot succeed, and
//! changes nothing; [`start`] does the rest, in order.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use netns::BridgeWatch;
use runtime::Plan;
use runtime::process::launch::{Started, Starting};
use runtime::process::sealed::Sealed;
use runtime::sys::cgroup::Cgroup;
use runtime::sys::notify::NotifySocket;
use runtime::sys::untrusted_socket::Closers;

use super::Misconfigured;
use crate::config::ContainerConfig;
use crate::container::Container;
use crate::control::Listener;
use crate::lifecycle::limits;
use crate::lifecycle::network::WatchedRules;
use crate::nix::shared;
use crate::spec::network::PrivateNetwork;
use crate::spec::users::{self, Claim};
use crate::spec::{self, Start};
use crate::systemd::machined::{self, Machine};

/// Reads the configuration and examines it. A start that is refused here changes
/// nothing; a newly picked range of users is recorded last.
///
/// # Errors
///
/// [`Misconfigured`] for the configuration; other errors for the host.
pub fn prepare(container: &Container) -> Result<(ContainerConfig, Start)> {
    log::debug!("read the configuration");
    let config = container.config().map_err(Misconfigured)?;
    let (start, claim) = examine(container, &config)?;
    if let (Some(claim), Some(users)) = (claim, &start.users) {
        claim.record(users.ids)?;
    }
    Ok((config, start))
}

/// Resolves a configuration and checks the host against it. Changes nothing, and returns
/// the claim of users that have to be picked.
///
/// # Errors
///
/// [`Misconfigured`] for the configuration; other errors for the host.
pub fn examine<'a>(
    container: &'a Container,
    config: &ContainerConfig,
) -> Result<(Start, Option<Claim<'a>>)> {
    let claim = users::claim(container, config)?;
    log::debug!("resolve the configuration");
    let start = spec::resolve(container, config).map_err(Misconfigured)?;
    if let Some(network) = &start.network {
        log::debug!("check the host for the network");
        network.check()?;
    }
    Ok((start, claim))
}

/// Whether a start was refused because the host has no interface of a name.
pub fn lacks_interface(error: &anyhow::Error) -> bool {
    let missing = netns::Unfit::Missing;
    let cause = error.downcast_ref();
    matches!(cause, Some(netns::Error::Unfit { unfit, .. }) if *unfit == missing)
}

/// The sockets of a supervisor.
pub struct Sockets {
    /// Init sends its notifications here.
    pub notify: NotifySocket,
    /// Root's commands connect here.
    pub control: Listener,
    /// Every user of the host may connect here.
    pub public: Listener,
}

/// A container whose init is running, with what its supervisor keeps of the start.
pub struct StartedContainer<'a> {
    /// Init, and the other end of its console.
    pub started: Started,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// The supervisor's sockets.
    pub sockets: Sockets,
    /// The filter of system calls as a file, for commands that enter the container.
    pub system_calls: OwnedFd,
    /// The container's rules in the host's firewall.
    pub rules: Option<WatchedRules<'a>>,
    /// The bridges that the container is in.
    pub bridges: Option<BridgeWatch>,
    /// Sentences about the host for the administrator.
    pub notices: Vec<String>,
}

/// Starts a container that [`prepare`] has not refused. In a unit, the supervisor
/// leaves the container's cgroup to it.
pub fn start<'a>(
    container: &Container,
    start: &'a Start,
    in_unit: bool,
    closers: &Closers,
) -> Result<StartedContainer<'a>> {
    let sockets = make_files(container, start, closers)?;
    let cgroup = cgroup(container, in_unit)?;
    let system_calls = filter_file(start)?;
    // Watched before the rules exist, so that no loss is missed.
    let rules = match &start.network {
        Some(network) => network.watch_rules()?,
        None => None,
    };
    let raised = limits::raise(container);
    let (started, mut notices) = start_container(start, &cgroup)?;
    notices.extend(raised);
    let bridges = match &start.network {
        Some(network) => network.watch_bridges().unwrap_or_else(|error| {
            // It may have ended, and its links with it.
            notices.push(format!("{error:#}"));
            None
        }),
        None => None,
    };
    Ok(StartedContainer {
        started,
        cgroup,
        sockets,
        system_calls,
        rules,
        bridges,
        notices,
    })
}

/// Makes the directories and sockets that the container and its clients need.
fn make_files(container: &Container, start: &Start, closers: &Closers) -> Result<Sockets> {
    log::debug!("make directories and sockets");
    container.create_directories(start.spec.root.directory.clone())?;
    shared::prepare(container, start.own_changes)?;
    container.create_temporary(&start.temporary)?;
    start.journal.make(&start.spec.root)?;
    let run = container.run();
    let notify = NotifySocket::bind(&run.notify(), closers);
    let notify = notify.context("cannot make the notify socket")?;
    if let Some(users) = &start.users {
        for tree in &start.chown_trees {
            users.chown_tree(tree)?;
        }
        if let Some(closure) = &start.closure {
            closure.make(users.ids.root())?;
        }
        for directory in &start.temporary {
            users.chown_to_root(directory)?;
        }
        // The owner of a socket may send to it (man 7 unix).
        users.chown_to_root(&run.notify())?;
    }
    let control = Listener::bind(&run.control(), closers);
    let public = container.places().public(container.name());
    let public = Listener::bind_public(&public, closers);
    Ok(Sockets {
        notify,
        control: control.context("cannot make the control socket")?,
        public: public.context("cannot make the public socket")?,
    })
}

/// The container's cgroup. In a unit, this process enters a cgroup beside it.
fn cgroup(container: &Container, in_unit: bool) -> Result<Cgroup> {
    let cgroup = container.cgroup()?;
    if in_unit {
        cgroup
            .enter_supervisor()
            .with_context(|| format!("cannot set up the cgroup {}", cgroup.path().display()))?;
    }
    Ok(cgroup)
}

/// The filter of system calls in a memfd.
fn filter_file(start: &Start) -> Result<OwnedFd> {
    let program = start.spec.privileges.system_calls.program();
    let file = program.and_then(|program| program.to_file());
    file.context("cannot write the filter of system calls to a memfd")
}

/// Clones the container's first process, and sets up the host's side while that child
/// mounts its file systems. Returns notices about the host for the administrator.
fn start_container(start: &Start, cgroup: &Cgroup) -> Result<(Started, Vec<String>)> {
    let plan = runtime::plan(&start.spec);
    let payload = cgroup
        .create_payload()
        .with_context(|| format!("cannot make the cgroup {}", cgroup.path().display()))?;
    log::debug!("clone the child");
    let sealed = Sealed::ensure().context("cannot seal this program")?;
    // SAFETY: the supervisor has one thread.
    let starting =
        unsafe { runtime::process::launch::spawn(&plan, Some(payload.as_fd()), sealed) }?;
    match set_up_host_side(&starting, start, &plan, &payload) {
        Ok(notices) => {
            let started = starting.finish()?;
            log::info!("init is running, with pid {}", started.init.pid);
            Ok((started, notices))
        }
        Err(_) if starting.is_ending() => Ok((starting.finish()?, Vec::new())),
        Err(error) => Err(starting.abort().map_or(error, anyhow::Error::from)),
    }
}

/// Confines the child, creates its links, lets it go on, and installs the firewall's
/// rules.
fn set_up_host_side(
    starting: &Starting,
    start: &Start,
    plan: &Plan,
    payload: &OwnedFd,
) -> Result<Vec<String>> {
    starting.prepare(plan, payload.as_fd())?;
    if let Some(network) = &start.network {
        let namespace = starting
            .network_namespace()
            .context("cannot open the container's network namespace")?;
        network.create_links(namespace.as_fd())?;
    }
    log::debug!("let the child go on");
    starting.go().context("cannot tell the child to go on")?;
    // Init needs its links at once; the rules are installed while it boots.
    match &start.network {
        Some(network) => {
            let mut notices = network.install_rules()?;
            notices.extend(network.add_host_names());
            Ok(notices)
        }
        None => Ok(Vec::new()),
    }
}

/// Registers the container with machined.
pub fn register(container: &Container, start: &Start, started: &Started) -> Result<()> {
    let links = start.network.as_ref().map(PrivateNetwork::link_indices);
    let machine = Machine {
        id: start.spec.machine_id,
        leader: started.init.pid,
        root: &container.places().root(container.name()),
        links: links.unwrap_or_default(),
    };
    machined::register(container, &machine)
}
