//! Starts and stops a container's unit through the host's systemd (`man 5
//! org.freedesktop.systemd1`).

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use tokio::runtime::Runtime;
use zbus::Connection;
use zbus::export::ordered_stream::{OrderedStream, OrderedStreamExt, join};
use zbus::fdo::{PropertiesChanged, PropertiesProxy};
use zbus::message::Sequence;
use zbus::zvariant::OwnedObjectPath;

use super::generator;
use crate::container::Container;
use crate::container::console_log;
use crate::container::paths::Places;
use crate::container::running::Running;
use crate::container::unit;
use crate::control::Request;
use crate::report::progress::Progress;

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1",
    gen_blocking = false
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload(&self) -> zbus::Result<()>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn system_state(&self) -> zbus::Result<String>;
    fn kill_unit(&self, name: &str, whom: &str, signal: i32) -> zbus::Result<()>;

    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String);
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1",
    gen_blocking = false
)]
trait UnitObject {
    #[zbus(property(emits_changed_signal = "false"))]
    fn load_state(&self) -> zbus::Result<String>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Service",
    default_service = "org.freedesktop.systemd1",
    gen_blocking = false
)]
trait ServiceObject {
    #[zbus(property(emits_changed_signal = "false"))]
    fn environment(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property(emits_changed_signal = "false"), name = "TimeoutStartUSec")]
    fn timeout_start(&self) -> zbus::Result<u64>;
}

/// Exists while systemd is the host's process 1 (`man 3 sd_booted`).
const BOOTED: &str = "/run/systemd/system";

/// The job mode with which a second job of the unit replaces the first.
const REPLACE: &str = "replace";

/// Whether the host's systemd is starting the units of its boot (`man 1 systemctl`,
/// is-system-running). `false` if it does not answer.
pub fn is_booting() -> bool {
    let asking = async {
        let bus = Connection::system().await?;
        ManagerProxy::new(&bus).await?.system_state().await
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let state = runtime.map(|runtime| runtime.block_on(asking));
    matches!(state, Ok(Ok(state)) if ["initializing", "starting"].contains(&&*state))
}

/// How long a supervisor may take to clean up after a container that was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// The unit of a container, and a connection to systemd.
pub struct Unit {
    runtime: Runtime,
    bus: Connection,
    name: String,
}

/// A kind of job.
#[derive(Clone, Copy)]
enum JobType {
    Start,
    Stop,
    Reload,
}

/// A D-Bus signal of systemd during a job.
enum Event {
    Changed(PropertiesChanged),
    Removed(JobRemoved),
}

/// A job in systemd's queue.
struct Job {
    path: OwnedObjectPath,
    events: Pin<Box<dyn OrderedStream<Data = Event, Ordering = Sequence>>>,
    status: String,
    unit_result: String,
}

/// The end of a job.
struct JobEnd {
    /// The result of JobRemoved (`man 5 org.freedesktop.systemd1`).
    result: String,
    /// The last status text of the supervisor; empty if it had none. Kept here because
    /// systemd drops it when it restarts the unit.
    status: String,
    /// The unit's last `Result` (`man 5 org.freedesktop.systemd1`), kept here for the
    /// same reason.
    unit_result: String,
}

impl Job {
    /// Waits for the end of the job.
    async fn wait(&mut self) -> zbus::Result<JobEnd> {
        while let Some(event) = self.events.next().await {
            match event {
                Event::Changed(changed) => {
                    if let Some(text) = text(&changed, "StatusText")? {
                        self.status = text;
                    }
                    if let Some(text) = text(&changed, "Result")? {
                        self.unit_result = text;
                    }
                }
                Event::Removed(removed) => {
                    let removed = removed.args()?;
                    if removed.job == self.path {
                        return Ok(JobEnd {
                            result: removed.result,
                            status: std::mem::take(&mut self.status),
                            unit_result: std::mem::take(&mut self.unit_result),
                        });
                    }
                }
            }
        }
        Err(zbus::Error::Failure("the connection was closed".to_owned()))
    }
}

/// The changed text of a service's property; `None` if others changed, or the text is
/// empty.
fn text(changed: &PropertiesChanged, property: &str) -> zbus::Result<Option<String>> {
    let changed = changed.args()?;
    let text = changed.changed_properties().get(property);
    let text: Option<&str> = text.and_then(|text| text.try_into().ok());
    Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

impl Unit {
    /// Finds the container's unit; `None` on a host without systemd, or if the unit is
    /// for containers in other directories.
    pub fn find(container: &Container) -> Result<Option<Self>> {
        if !Path::new(BOOTED).exists() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot prepare a connection to systemd")?;
        let bus = runtime
            .block_on(Connection::system())
            .context("cannot connect to systemd through D-Bus; is dbus.service running?")?;
        let unit = Self {
            runtime,
            bus,
            name: unit::name(container.name()),
        };
        let is_ours = unit
            .runtime
            .block_on(unit.is_for(container.places()))
            .with_context(|| format!("cannot load the unit {}", unit.name))?;
        Ok(is_ours.then_some(unit))
    }

    /// Whether the unit exists, and its supervisor uses the same directories as this
    /// process.
    async fn is_for(&self, places: &Places) -> zbus::Result<bool> {
        let manager = ManagerProxy::new(&self.bus).await?;
        let path = manager.load_unit(&self.name).await?;
        let unit = UnitObjectProxy::new(&self.bus, path.clone()).await?;
        if unit.load_state().await? == "not-found" {
            return Ok(false);
        }
        let service = ServiceObjectProxy::new(&self.bus, path).await?;
        let environment = service.environment().await?;
        let used = Places::named_by(|variable| {
            environment
                .iter()
                .find_map(|word| word.strip_prefix(variable)?.strip_prefix('='))
                .map(PathBuf::from)
        });
        Ok(used.conf_dir() == places.conf_dir() && used.run_dir() == places.run_dir())
    }

    /// Starts the container, and returns when it has booted.
    pub fn start(&self, container: &Container) -> Result<()> {
        let _progress = Progress::new(format!("starting {}", container.name()));
        // A refused start keeps the console's log of the start before.
        let earlier_console = console_log::modified(&container.run().console_log());
        let supervisor_log = container.run().supervisor_log();
        let earlier_log = console_log::modified(&supervisor_log);
        log::debug!("ask systemd to start {}", self.name);
        let starting = async {
            if !generator::is_up_to_date(container) {
                ManagerProxy::new(&self.bus).await?.reload().await?;
            }
            let mut end = self.run_job(JobType::Start).await?;
            if end.unit_result == "timeout" {
                let timeout = Duration::from_micros(self.timeout_start().await?);
                end.status = container.boot_timeout_error(timeout).to_string();
            }
            Ok(end)
        };
        let started = self.finish(container, "start", starting, earlier_console);
        let is_logged = console_log::modified(&supervisor_log) != earlier_log;
        if log::log_enabled!(log::Level::Debug) && is_logged {
            // After the fact, but each line has its time.
            let log = std::fs::read_to_string(supervisor_log);
            say!("{}", log.unwrap_or_default().trim_end());
        }
        started
    }

    /// The unit's `TimeoutStartSec=` in microseconds.
    async fn timeout_start(&self) -> zbus::Result<u64> {
        let manager = ManagerProxy::new(&self.bus).await?;
        let path = manager.load_unit(&self.name).await?;
        let service = ServiceObjectProxy::new(&self.bus, path).await?;
        service.timeout_start().await
    }

    /// Reloads the container's system.
    pub fn reload(&self, container: &Container) -> Result<()> {
        let _progress = Progress::new(format!("reloading {}", container.name()));
        self.finish(container, "reload", self.run_job(JobType::Reload), None)
    }

    /// Halts the container, and waits until it is gone. Processes that run after
    /// `timeout` are killed.
    pub fn stop(&self, container: &Container, timeout: Duration) -> Result<()> {
        let _progress = Progress::new(format!("stopping {}", container.name()));
        // Without an answer, systemd's signals end it.
        let running = container.running().unwrap_or(None);
        let stopping = async {
            let mut job = self.enqueue(JobType::Stop).await?;
            if let Ok(end) = tokio::time::timeout(timeout, job.wait()).await {
                return end;
            }
            kill_init(running.as_ref());
            self.wait_or_kill(job, KILL_TIMEOUT).await
        };
        self.finish(container, "stop", stopping, None)
    }

    /// Kills the container and waits until it is gone.
    pub fn kill(&self, container: &Container) -> Result<()> {
        let running = container.running().unwrap_or(None);
        let killing = async {
            // Systemd does not restart a unit that is stopping.
            let job = self.enqueue(JobType::Stop).await?;
            kill_init(running.as_ref());
            self.wait_or_kill(job, KILL_TIMEOUT).await
        };
        self.finish(container, "kill", killing, None)
    }

    /// Waits for the end of a job; kills all processes of the unit after `timeout`.
    async fn wait_or_kill(&self, mut job: Job, timeout: Duration) -> zbus::Result<JobEnd> {
        if let Ok(end) = tokio::time::timeout(timeout, job.wait()).await {
            return end;
        }
        self.kill_all().await?;
        job.wait().await
    }

    async fn kill_all(&self) -> zbus::Result<()> {
        let manager = ManagerProxy::new(&self.bus).await?;
        match manager.kill_unit(&self.name, "all", libc::SIGKILL).await {
            // The unit has no process any more.
            Err(zbus::Error::MethodError(..)) => Ok(()),
            answer => answer,
        }
    }

    /// Enqueues a job, and waits for its end.
    async fn run_job(&self, job: JobType) -> zbus::Result<JobEnd> {
        self.enqueue(job).await?.wait().await
    }

    /// Enqueues a job.
    async fn enqueue(&self, job: JobType) -> zbus::Result<Job> {
        let manager = ManagerProxy::new(&self.bus).await?;
        manager.subscribe().await?;
        let unit = PropertiesProxy::new(
            &self.bus,
            manager.inner().destination().to_owned(),
            manager.load_unit(&self.name).await?,
        )
        .await?;
        // Received from before the job exists, so that its end is not missed.
        let removed = manager.receive_job_removed().await?.map(Event::Removed);
        let changed = unit.receive_properties_changed().await?.map(Event::Changed);
        let path = match job {
            JobType::Start => manager.start_unit(&self.name, REPLACE).await?,
            JobType::Stop => manager.stop_unit(&self.name, REPLACE).await?,
            JobType::Reload => manager.reload_unit(&self.name, REPLACE).await?,
        };
        Ok(Job {
            path,
            events: Box::pin(join(changed, removed)),
            status: String::new(),
            unit_result: String::new(),
        })
    }

    /// Waits for the end of a job, and fails unless the job was done. The error has the
    /// end of the console's log, unless the log was last written at `earlier_console`.
    fn finish(
        &self,
        container: &Container,
        verb: &str,
        job: impl Future<Output = zbus::Result<JobEnd>>,
        earlier_console: Option<SystemTime>,
    ) -> Result<()> {
        let name = container.name();
        let end = self.runtime.block_on(job);
        let end = end.with_context(|| format!("cannot {verb} {container}"))?;
        if end.result == "done" {
            return Ok(());
        }
        let log = container.run().console_log();
        let mut console = String::new();
        if console_log::modified(&log) != earlier_console {
            console = console_log::tail(&log);
        }
        if !console.is_empty() {
            console = format!(
                "\nThe end of its console (all of it: `nixos-container logs {name}`):\n{console}"
            );
        }
        bail!(
            "cannot {verb} {container}: {}; see `systemctl status {}`{console}",
            end.reason(),
            self.name
        )
    }
}

/// Kills only init: the supervisor cleans up.
fn kill_init(running: Option<&Running>) {
    if let Some(running) = running {
        let request = Request::Signal(libc::SIGKILL);
        let _ = running.connection.send_request(&request);
    }
}

impl JobEnd {
    /// Why the job was not done: the supervisor's status if it failed with one.
    fn reason(&self) -> &str {
        match self.result.as_str() {
            "canceled" => "another command stopped or started it at the same time",
            "timeout" => "it took longer than the unit's TimeoutStartSec= or TimeoutStopSec=",
            "dependency" => "a unit that it needs has failed",
            "skipped" => "systemd has skipped it",
            // Its status is of an earlier start.
            "failed" if self.unit_result == "start-limit-hit" => {
                "it was started too often in a short time (StartLimitIntervalSec=), which \
                 `systemctl reset-failed` forgives"
            }
            "failed" if !self.status.is_empty() => &self.status,
            _ => "its unit has failed",
        }
    }
}
