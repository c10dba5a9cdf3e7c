//! The supervisor: the process that starts a container and stays until all that it
//! had on the host is removed.
//!
//! [`supervise`] runs a container until it halts, boot after boot. Each boot is
//! prepared and started in `start.rs`, and watched in `event_loop.rs`.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use runtime::process::launch::Started;
use runtime::sys::untrusted_socket::Closers;

use crate::config::ContainerConfig;
use crate::container::console_log::{self, Console};
use crate::container::files::remove_tree;
use crate::container::paths::RunDir;
use crate::container::unit;
use crate::container::{Container, create_dir};
use crate::control::{Connection, Event};
use crate::lifecycle::{self, ephemeral, reclaim};
use crate::nix::install;
use crate::nix::shared::{self, OwnChanges};
use crate::report::exit_codes::REBOOTED;
use crate::report::log::{self as log_file, LogRequest};
use crate::report::printable::plain;
use crate::spec::Start;
use crate::spec::network::PrivateNetwork;
use crate::systemd::{machined, manager, notify};

mod clients;
pub mod daemon;
mod ending;
mod entered;
mod event_loop;
mod nix_changes;
mod notices;
mod signals;
mod start;

use clients::Clients;
use event_loop::{Ended, EventLoop, EventSources};
use nix_changes::NixChanges;
use signals::{DirectorySignal, HaltSignals};
use start::StartedContainer;

/// How long a boot may take without `TIMEOUT_START_SEC`: the default of nixpkgs'
/// `timeoutStartSec`.
const DEFAULT_TIMEOUT_START: Duration = Duration::from_secs(60);

/// How long a start waits for interfaces of a host that boots: as long as systemd waits
/// for a device (`DefaultDeviceTimeoutSec=` of `man 5 systemd-system.conf`).
const HOST_TIMEOUT: Duration = Duration::from_secs(90);

/// How often it looks for them.
const HOST_CHECK: Duration = Duration::from_millis(100);

/// How long init may take to halt after a signal to the supervisor.
const HALT_TIMEOUT: Duration = Duration::from_secs(lifecycle::DEFAULT_TIMEOUT_STOP);

/// An error of the configuration: another start would fail in the same way.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Misconfigured(anyhow::Error);

/// Supervises a container until it halts, and returns the exit status of this
/// process. A detached supervisor sends its events to `report`. Without it, the
/// supervisor is in the foreground and copies the console to its standard output.
///
/// When a container reboots, a detached supervisor starts it again. In the
/// foreground, the service manager does so because of the exit status 133.
///
/// # Errors
///
/// [`Misconfigured`]; a failed start; an init that failed or was killed. The same
/// text is sent to `report` or to the service manager.
pub fn supervise(container: &Container, report: Option<OwnedFd>) -> Result<u8> {
    let report = report.map(Connection::from_descriptor);
    let mut console_tail = String::new();
    let ended = supervise_reporting(container, report.as_ref(), &mut console_tail);
    match (&report, &ended) {
        (Some(report), ended) => {
            let last = match ended {
                Ok(_) => Event::Gone,
                Err(error) => Event::Failed {
                    why: one_line(error),
                    console: console_tail,
                },
            };
            // The lock is released, so a paused reader delays nothing else.
            let _ = report.send_last_event(&last);
        }
        (None, Err(error)) => notify::send_failure(&one_line(error)),
        (None, Ok(_)) => {}
    }
    ended
}

/// Checks what a start checks first. Changes nothing. Returns sentences about the
/// configuration for the administrator.
///
/// # Errors
///
/// [`Misconfigured`] for the configuration; other errors for the host.
pub fn check(container: &Container) -> Result<Vec<String>> {
    let config = container.config().map_err(Misconfigured)?;
    check_with(container, &config)
}

/// Like [`check`], with this configuration.
pub fn check_with(container: &Container, config: &ContainerConfig) -> Result<Vec<String>> {
    create_dir(container.places().run_dir(), 0o700)?;
    container.cgroup()?;
    let (start, _) = start::examine(container, config)?;
    Ok(start.notices)
}

/// The error and its hint, in one line, which the service manager shows as it is.
fn one_line(error: &anyhow::Error) -> String {
    let hint = crate::report::hint(error).map(|hint| format!("; {hint}"));
    let text = format!("{error:#}{}", hint.unwrap_or_default());
    plain(&text.replace('\n', " "))
}

/// Supervises under the container's lock. If the container fails, `console_tail`
/// becomes the end of its console.
fn supervise_reporting(
    container: &Container,
    report: Option<&Connection>,
    console_tail: &mut String,
) -> Result<u8> {
    // Before signals are caught: one that ends this process also ends the build.
    build_unbuilt_system(container)?;
    let mut supervisor = Supervisor {
        container,
        run: container.run(),
        in_unit: unit::own_cgroup(container.name()).is_some(),
        registered: false,
        report,
        signals: HaltSignals::catch()?,
        directory_signal: DirectorySignal::catch()?,
        clients: Clients::default(),
        closers: Closers::default(),
        console_log: None,
        is_ephemeral: false,
        boot_began: None,
    };
    let is_first_start = !supervisor.run.lock().exists();
    let Some(lock) = container.try_lock()? else {
        if let Some(report) = report {
            let _ = report.send_event(&Event::Busy, &[]);
        }
        bail!("container '{}' has a supervisor already", container.name());
    };
    serve_log_request(container, report);
    let ended = supervisor.run_until_halt();
    let finished = match &ended {
        // The service manager is about to start it again.
        Ok(REBOOTED) => ephemeral::forget_start(container),
        Ok(_) => supervisor
            .remove_ephemeral_run_dir()
            .and_then(|()| ephemeral::destroy_stopped(container)),
        Err(_) => {
            if supervisor.console_log.is_some() {
                *console_tail = console_log::tail(&supervisor.run.console_log());
            } else if is_first_start {
                supervisor.remove_run_dir();
            }
            ephemeral::destroy_stopped(container)
        }
    };
    // Before the connections close: that tells the commands that the container is
    // gone and can be started.
    drop(lock);
    if let Err(error) = &ended {
        supervisor.clients.announce_to_root(&Event::Failed {
            why: one_line(error),
            console: console_tail.clone(),
        });
    }
    // If both failed, the first error is the cause.
    let ended = ended?;
    finished?;
    supervisor.clients.announce(&Event::Gone, &[]);
    Ok(ended)
}

/// Builds the system of a container that is declared with a flake, before its first start.
fn build_unbuilt_system(container: &Container) -> Result<()> {
    let config = container.config().map_err(Misconfigured)?;
    let Some(flake) = install::unbuilt(container, &config) else {
        return Ok(());
    };
    let status = format!("building its system from the flake {flake}");
    notify::during_long_work(&status, || install::build_unbuilt(container))
}

/// Logs as the command that starts the container has requested.
fn serve_log_request(container: &Container, report: Option<&Connection>) {
    let path = container.run().log_request();
    let Ok(request) = std::fs::read_to_string(&path) else {
        return;
    };
    let _ = std::fs::remove_file(&path);
    let Some(request) = LogRequest::parse(&request) else {
        return;
    };
    let forward =
        report
            .and_then(|report| report.try_clone().ok())
            .map(|report| -> log_file::Forward {
                Box::new(move |line| {
                    let _ = report.send_event(&Event::Log(line.to_owned()), &[]);
                })
            });
    log_file::serve(&request, forward);
}

/// The state that outlives a boot.
struct Supervisor<'a> {
    container: &'a Container,
    run: RunDir,
    /// Whether this process is in the container's unit.
    in_unit: bool,
    /// Whether this process registered the container: machined may have another
    /// machine of this name.
    registered: bool,
    report: Option<&'a Connection>,
    signals: HaltSignals,
    directory_signal: DirectorySignal,
    clients: Clients,
    closers: Closers,
    /// The console's log; `None` before the start passes its checks, because a
    /// refused start keeps the log of the start before.
    console_log: Option<File>,
    /// Whether the container's root is in memory.
    is_ephemeral: bool,
    /// When the present boot began. A reboot before the system was up does not begin
    /// another: all of them share the time for one boot.
    boot_began: Option<Instant>,
}

impl Supervisor<'_> {
    /// Runs boot after boot, until one ends without a reboot.
    fn run_until_halt(&mut self) -> Result<u8> {
        loop {
            match self.run_once()? {
                Ended::Halted => return Ok(0),
                Ended::Rebooted if self.report.is_none() => return Ok(REBOOTED),
                Ended::Rebooted => {}
            }
        }
    }

    /// Runs one boot, from the removal of a killed supervisor's leftovers to the
    /// removal of its own resources. A start that is refused ends with
    /// [`start::prepare`]; all that a start changes comes after it.
    fn run_once(&mut self) -> Result<Ended> {
        self.console_log = None;
        log_file::await_file();
        log::debug!("remove the leftovers of a killed supervisor");
        let notices = reclaim::remove_leftovers(self.container)?;
        self.send_notices(notices);
        let (config, start) = self.prepare()?;
        ephemeral::remember_start(self.container, &config)?;
        self.console_log = Some(Console::create_log(&self.run)?);
        log_file::open_file(&self.run.supervisor_log());
        let ended = self.start_and_watch(&config, &start);
        if std::mem::take(&mut self.registered)
            && let Err(error) = machined::unregister(self.container)
        {
            self.send_notices(vec![format!("{error:#}")]);
        }
        if start.own_changes == OwnChanges::Count {
            self.take_over_last_changes();
        }
        // With the configuration of the start: its file may have changed.
        let work_directories = reclaim::remove_work_directories(self.container, &config);
        let cleaned_up = reclaim::clean_up(self.container);
        // If several failed, the first error is the cause.
        match &ended {
            Ok(_) => log::info!("the container has ended"),
            Err(error) => log::error!("{error:#}"),
        }
        let ended = ended?;
        work_directories?;
        let notices = cleaned_up?;
        let log = self.console_log.as_mut();
        notices::send_to_all(notices, self.report, &mut self.clients, log);
        Ok(ended)
    }

    /// Prepares the start. In a unit, while the host boots, it waits for interfaces that
    /// the host does not have yet: its own units may still make them.
    fn prepare(&self) -> Result<(ContainerConfig, Start)> {
        let began = Instant::now();
        let mut is_told = false;
        loop {
            let error = match start::prepare(self.container) {
                Err(error) if self.in_unit && start::lacks_interface(&error) => error,
                answer => return answer,
            };
            if !is_told {
                if !manager::is_booting() {
                    return Err(error);
                }
                log::info!("wait for the host, which boots: {error:#}");
                let config = self.container.config()?;
                let timeout_start = config.timeout_start.unwrap_or(DEFAULT_TIMEOUT_START);
                let status = format!("waiting for the host: {}", one_line(&error));
                notify::send_waiting(&status, HOST_TIMEOUT + timeout_start);
                is_told = true;
            }
            if began.elapsed() > HOST_TIMEOUT {
                let waited = HOST_TIMEOUT.as_secs();
                return Err(error.context(format!("waited {waited} s for the host in vain")));
            }
            if self.signals.take()? {
                return Err(error.context("stopped while it waited for the host"));
            }
            std::thread::sleep(HOST_CHECK);
        }
    }

    /// Removes the directory that a refused start has made, unless another command
    /// uses it.
    fn remove_run_dir(&self) {
        let _ = std::fs::remove_file(self.run.lock());
        let _ = std::fs::remove_dir(self.run.path());
    }

    /// Removes the directory of an ephemeral container: in nixpkgs' unit it is the
    /// container's root (`RuntimeDirectory=` of `man 5 systemd.exec`), and scripts see by
    /// it that nothing is left. The unit's journal has what was on the console.
    fn remove_ephemeral_run_dir(&self) -> Result<()> {
        if !self.in_unit || !self.is_ephemeral {
            return Ok(());
        }
        remove_tree(self.run.path())
    }

    fn send_notices(&mut self, notices: Vec<String>) {
        notices::send(notices, self.report, self.console_log.as_mut());
    }

    /// Starts the container, and watches it until its init has ended.
    fn start_and_watch(&mut self, config: &ContainerConfig, start: &Start) -> Result<Ended> {
        let container = self.container;
        self.is_ephemeral = config.root.ephemeral;
        self.send_notices(start.notices.clone());
        let StartedContainer {
            started,
            cgroup,
            sockets,
            system_calls,
            rules,
            bridges,
            notices,
        } = start::start(container, start, self.in_unit, &self.closers)?;
        self.send_notices(notices);
        self.register(start, &started);
        let console = self.console(config, started.console)?;
        let timeout_start = config.timeout_start.unwrap_or(DEFAULT_TIMEOUT_START);
        let boot_timeout = self.boot_timeout(timeout_start);
        let sources = EventSources {
            init: &started.init,
            cgroup,
            system_calls,
            console,
            sockets,
            rules,
            own_addresses: start
                .network
                .as_ref()
                .map(PrivateNetwork::addresses)
                .unwrap_or_default(),
            bridges,
            signals: &self.signals,
            nix_changes: NixChanges::new(container, start.own_changes, &self.directory_signal),
            clients: &mut self.clients,
            closers: &self.closers,
            report: self.report,
        };
        let execution = &config.execution;
        // In a unit, its TimeoutStopSec= has this effect.
        let halt_timeout = (!self.in_unit).then_some(HALT_TIMEOUT);
        let name = container.name();
        let mut event_loop = EventLoop::new(name, execution, sources, boot_timeout, halt_timeout);
        let exit = event_loop.run_until_exit()?;
        if self.in_unit {
            say!("{}", ending::sentence(name, exit));
        }
        if event_loop.was_up() {
            self.boot_began = None;
        }
        if event_loop.boot_timed_out() {
            return Err(container.boot_timeout_error(timeout_start));
        }
        event_loop.classify_exit(exit)
    }

    /// Takes over what the container has changed at last. A start that failed early has
    /// made no directories for it.
    fn take_over_last_changes(&self) {
        match shared::take_over(self.container, None, |_| {}) {
            Ok(taken) => {
                for problem in taken.into_iter().flat_map(|taken| taken.problems) {
                    log::warn!("{problem:#}");
                }
            }
            Err(error) => log::warn!("{error:#}"),
        }
    }

    /// Registers the container of a unit with machined. It runs on if that fails.
    fn register(&mut self, start: &Start, started: &Started) {
        if !self.in_unit {
            return;
        }
        match start::register(self.container, start, started) {
            Ok(()) => self.registered = true,
            Err(error) => self.send_notices(vec![format!("{error:#}")]),
        }
    }

    /// The console, with its log; in the foreground, also with standard output.
    fn console(&self, config: &ContainerConfig, output: OwnedFd) -> Result<Console> {
        let log = self
            .console_log
            .as_ref()
            .and_then(|log| log.try_clone().ok());
        let log = log.context("cannot write the console's log")?;
        let log_max = config.resources.console_log_max;
        let echo = self.report.is_none();
        Console::new(config.execution.console, output, log, log_max, echo)
    }

    /// The time that is left for the boot; `None` in a unit, whose TimeoutStartSec= has
    /// this effect.
    fn boot_timeout(&mut self, timeout_start: Duration) -> Option<Duration> {
        let boot_began = *self.boot_began.get_or_insert_with(Instant::now);
        (!self.in_unit).then(|| timeout_start.saturating_sub(boot_began.elapsed()))
    }
}
