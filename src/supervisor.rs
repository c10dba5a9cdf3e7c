//! The one process that stays with a container, from before its first process
//! to after its last.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use runtime::Plan;
use runtime::process::launch::{Started, Starting};
use runtime::sys::cgroup::Cgroup;
use runtime::sys::notify::NotifySocket;

use crate::config::ContainerConfig;
use crate::container::Container;
use crate::container::console_log::{self, Console};
use crate::container::lock::Lock;
use crate::container::paths::RunDir;
use crate::container::unit;
use crate::control::{Connection, Event, Listener};
use crate::lifecycle::{ephemeral, reclaim};
use crate::spec::network::PrivateNetwork;
use crate::spec::users;
use crate::spec::{self, Start};
use crate::systemd::machined::{self, Machine};
use crate::systemd::notify;

mod clients;
pub mod daemon;
mod event_loop;
mod notices;

use clients::Clients;
use event_loop::{Ended, Ends, Supervision};

/// How long a boot may take unless `TIMEOUT_START_SEC` says otherwise: the
/// default of nixpkgs' `timeoutStartSec`.
const DEFAULT_TIMEOUT_START: Duration = Duration::from_secs(60);

/// Exit status of init that was restarted by `reboot(2)`, as systemd-nspawn
/// gives it (`RestartForceExitStatus=133` of nixpkgs' unit).
const REBOOTED: u8 = 133;

/// What is configured cannot be run: the next try would fail in the same way.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Misconfigured(anyhow::Error);

/// Supervises a container until it halts. `report` is told all about it from
/// the very beginning; without, the supervisor is in the foreground and copies
/// the console to its standard output.
///
/// A container that reboots is started over if the supervisor is on its own;
/// in the foreground, whoever runs it does that, told by the exit status 133.
pub fn supervise(container: &Container, report: Option<OwnedFd>) -> Result<u8> {
    let report = report.map(Connection::from_descriptor);
    let mut last_words = String::new();
    let ended = supervise_reporting(container, report.as_ref(), &mut last_words);
    match (&report, &ended) {
        (Some(report), ended) => {
            let last = match ended {
                Ok(_) => Event::Gone,
                Err(error) => Event::Failed {
                    why: in_a_line(error),
                    console: last_words,
                },
            };
            // Nothing is held any more that a paused reader could keep.
            let _ = report.send_last_event(&last);
        }
        (None, Err(error)) => notify::tell_failure(&in_a_line(error)),
        (None, Ok(_)) => {}
    }
    ended
}

/// What came in the way, and what to try.
fn in_a_line(error: &anyhow::Error) -> String {
    let hint = crate::report::hint(error).map(|hint| format!("; {hint}"));
    format!("{error:#}{}", hint.unwrap_or_default())
}

/// `last_words` becomes the end of the console of a container that failed.
fn supervise_reporting(
    container: &Container,
    report: Option<&Connection>,
    last_words: &mut String,
) -> Result<u8> {
    let mut supervisor = Supervisor {
        container,
        run: container.run(),
        in_unit: unit::own_cgroup(container.name()).is_some(),
        registered: false,
        report,
        signals: signals()?,
        clients: Clients::default(),
        boot_began: None,
    };
    container.create_run_dir()?;
    let lock = Lock::try_lock(&supervisor.run.lock()).context("cannot lock the container")?;
    let Some(lock) = lock else {
        if let Some(report) = report {
            let _ = report.send_event(&Event::Busy, &[]);
        }
        bail!("container '{}' has a supervisor already", container.name());
    };
    let ended = supervisor.live_until_end();
    let finished = match &ended {
        // It is about to be started over.
        Ok(REBOOTED) => ephemeral::forget_start(container),
        Ok(_) => ephemeral::destroy_stopped(container),
        Err(_) => {
            *last_words = console_log::tail(&supervisor.run.console_log());
            ephemeral::destroy_stopped(container)
        }
    };
    // Before the connections: to whoever waits for the end, theirs means that
    // nothing is left of the container, and that it can be started.
    drop(lock);
    // If both failed, the first is the one to know of.
    let ended = ended?;
    finished?;
    supervisor.clients.announce(&Event::Gone, &[]);
    Ok(ended)
}

/// Signals come as data: no handler runs between any two instructions.
fn signals() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block().context("cannot block signals")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&set, flags).context("cannot make a signal descriptor")
}

/// What all lives of a container have in common.
struct Supervisor<'a> {
    container: &'a Container,
    run: RunDir,
    /// A process of the container's unit, and not on its own.
    in_unit: bool,
    /// On machined's list, which may have another machine of its name.
    registered: bool,
    report: Option<&'a Connection>,
    signals: SignalFd,
    clients: Clients,
    /// When the boot under way began: lives that end in a reboot before they are
    /// up share the time for one boot.
    boot_began: Option<Instant>,
}

impl Supervisor<'_> {
    /// One life after the other, until one ends without a reboot.
    fn live_until_end(&mut self) -> Result<u8> {
        loop {
            // Empty at once: what fails before there is a console must not be
            // shown with the end of an earlier one.
            let mut log = Console::create_log(&self.run)?;
            notices::tell(reclaim::leftovers(self.container)?, self.report, &mut log);
            let console_log = log.try_clone().context("cannot write the console's log")?;
            let ended = self.live(console_log);
            if std::mem::take(&mut self.registered)
                && let Err(error) = machined::unregister(self.container)
            {
                notices::tell(vec![format!("{error:#}")], self.report, &mut log);
            }
            let cleaned = reclaim::after_end(self.container);
            // If both failed, the first is the one to know of.
            let ended = ended?;
            notices::tell_of_the_end(cleaned?, self.report, &mut self.clients, &mut log);
            match ended {
                Ended::Halted => return Ok(0),
                Ended::Rebooted if self.report.is_none() => return Ok(REBOOTED),
                Ended::Rebooted => {}
            }
        }
    }

    /// One life of the container, from its network to its last process.
    fn live(&mut self, log: File) -> Result<Ended> {
        let config = self.container.config().map_err(Misconfigured)?;
        let ended = self.live_as(&config, log);
        // The file may say something else by now.
        let removed = reclaim::work_directories(self.container, &config);
        let ended = ended?;
        removed?;
        Ok(ended)
    }

    fn live_as(&mut self, config: &ContainerConfig, mut log: File) -> Result<Ended> {
        let container = self.container;
        users::keep(container, config)?;
        let start = spec::resolve(container, config).map_err(Misconfigured)?;
        ephemeral::remember_start(container, config)?;
        let notify = self.make_files(&start)?;
        let control =
            Listener::bind(&self.run.control()).context("cannot make the control socket")?;
        let public = Listener::bind_for_all(&container.places().public(container.name()))
            .context("cannot make the public socket")?;
        let cgroup = container.cgroup()?;
        if self.in_unit {
            cgroup
                .enter_supervisor()
                .with_context(|| format!("cannot set up the cgroup {}", cgroup.path().display()))?;
        }
        let system_calls = start.container.privileges.system_calls.program();
        let system_calls = system_calls.and_then(|program| program.to_file());
        let system_calls = system_calls.context("cannot keep the filter of system calls")?;
        // Before there are any, lest they go unnoticed.
        let network = start.network.as_ref();
        let rules = network
            .map(PrivateNetwork::watch_rules)
            .transpose()?
            .flatten();
        let (started, mut notices) = launch(&start, &cgroup)?;
        if self.in_unit {
            match register(container, &start, &started) {
                Ok(()) => self.registered = true,
                // A container goes on without being listed.
                Err(error) => notices.push(format!("{error:#}")),
            }
        }
        notices::tell(notices, self.report, &mut log);
        let execution = &config.execution;
        let foreground = self.report.is_none();
        let console = Console::new(execution.console, started.console, log, foreground)?;
        let ends = Ends {
            init: &started.init,
            system_calls,
            console,
            notify,
            control,
            public,
            rules,
            signals: &self.signals,
            clients: &mut self.clients,
            report: self.report,
        };
        let timeout_start = config.timeout_start.unwrap_or(DEFAULT_TIMEOUT_START);
        let boot_began = *self.boot_began.get_or_insert_with(Instant::now);
        let left = timeout_start.saturating_sub(boot_began.elapsed());
        // A unit's own TimeoutStartSec= has the same effect.
        let boot_timeout = (!self.in_unit).then_some(left);
        let mut supervision = Supervision::new(container.name(), execution, ends, boot_timeout);
        let exit = supervision.until_end()?;
        if supervision.was_up() {
            self.boot_began = None;
        }
        if supervision.boot_timed_out() {
            return Err(too_slow(container, timeout_start));
        }
        supervision.judge(exit)
    }

    /// What has to be on the host before the container is.
    fn make_files(&self, start: &Start) -> Result<NotifySocket> {
        let container = self.container;
        container.create_directories(start.container.root.directory.clone())?;
        container.create_temporary(&start.temporary)?;
        start.journal.make(&start.container.root)?;
        let path = self.run.notify();
        let notify = NotifySocket::bind(&path).context("cannot make the notify socket")?;
        if let Some(users) = &start.users {
            users.give_files()?;
            for directory in &start.temporary {
                users.own(directory)?;
            }
            // Who may write to a socket may send to it (man 7 unix).
            users.own(&path)?;
        }
        Ok(notify)
    }
}

fn too_slow(container: &Container, timeout: Duration) -> anyhow::Error {
    let conf = container.places().conf(container.name());
    let conf = conf.display();
    let remedy = if ephemeral::remembers_start(container) {
        // It is about to be destroyed, and that file with it.
        format!("create the container again, and set TIMEOUT_START_SEC in {conf} before its start")
    } else {
        format!("set TIMEOUT_START_SEC in {conf}")
    };
    anyhow!(
        "the system had not booted after {} s and was killed; if it needs longer, {remedy}",
        timeout.as_secs()
    )
}

/// Clones the container, and does the host's part while it mounts its file
/// systems. Returns what the user has to know of the host.
fn launch(start: &Start, cgroup: &Cgroup) -> Result<(Started, Vec<String>)> {
    if let Some(network) = &start.network {
        network.check()?;
    }
    let plan = runtime::plan(&start.container);
    let payload = cgroup
        .create_payload()
        .with_context(|| format!("cannot make the cgroup {}", cgroup.path().display()))?;
    // SAFETY: the supervisor starts no threads.
    let starting = unsafe { runtime::process::launch::launch(&plan, payload.as_fd()) }?;
    match furnish(&starting, start, &plan, &payload) {
        Ok(notices) => Ok((starting.finish()?, notices)),
        Err(_) if starting.is_ending() => Ok((starting.finish()?, Vec::new())),
        Err(error) => Err(starting.abort().map_or(error, anyhow::Error::from)),
    }
}

fn furnish(
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
    starting
        .go()
        .context("cannot tell the container to go on")?;
    // Init needs its links, and takes longer to need the world than it takes to
    // let it out.
    match &start.network {
        Some(network) => {
            let mut notices = network.install_rules()?;
            notices.extend(network.add_host_names());
            Ok(notices)
        }
        None => Ok(Vec::new()),
    }
}

fn register(container: &Container, start: &Start, started: &Started) -> Result<()> {
    let machine = Machine {
        id: start.container.machine_id,
        leader: started.init.pid,
        root: &container.places().root(container.name()),
        links: start
            .network
            .as_ref()
            .map(PrivateNetwork::link_indices)
            .unwrap_or_default(),
    };
    machined::register(container, &machine)
}
