//! A container's unit, through the host's systemd (`man 5
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
}

/// There while systemd is the host's first process (`man 3 sd_booted`).
const BOOTED: &str = "/run/systemd/system";

/// A second job for the unit takes the place of the first.
const REPLACE: &str = "replace";

/// How long a supervisor may take to clear away a container that was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// The unit of a container, known to systemd.
pub struct Unit {
    runtime: Runtime,
    bus: Connection,
    name: String,
}

/// What systemd is asked to do.
#[derive(Clone, Copy)]
enum Job {
    Start,
    Stop,
    Reload,
}

/// What systemd tells while it has a job.
enum News {
    Changed(PropertiesChanged),
    Removed(JobRemoved),
}

/// A job that systemd has taken on.
struct Running {
    job: OwnedObjectPath,
    news: Pin<Box<dyn OrderedStream<Data = News, Ordering = Sequence>>>,
    said: String,
}

/// How a job has ended.
struct Ended {
    /// In systemd's words (`man 5 org.freedesktop.systemd1`, JobRemoved).
    result: String,
    /// In the supervisor's, the last that it had; empty if it had none. They
    /// are gone from the unit as soon as systemd restarts it.
    said: String,
}

impl Running {
    /// Waits for its end.
    async fn end(&mut self) -> zbus::Result<Ended> {
        while let Some(news) = self.news.next().await {
            match news {
                News::Changed(changed) => {
                    if let Some(text) = status_text(&changed)? {
                        self.said = text;
                    }
                }
                News::Removed(removed) => {
                    let removed = removed.args()?;
                    if removed.job == self.job {
                        return Ok(Ended {
                            result: removed.result,
                            said: std::mem::take(&mut self.said),
                        });
                    }
                }
            }
        }
        Err(zbus::Error::Failure("the connection was closed".to_owned()))
    }
}

/// What a service now says of itself, if it says something and this is what has
/// changed.
fn status_text(changed: &PropertiesChanged) -> zbus::Result<Option<String>> {
    let changed = changed.args()?;
    let text = changed.changed_properties().get("StatusText");
    let text: Option<&str> = text.and_then(|text| text.try_into().ok());
    Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

impl Unit {
    /// The container's unit; none on a host without systemd, or whose systemd
    /// has no unit for containers in these places.
    pub fn find(container: &Container) -> Result<Option<Self>> {
        if !Path::new(BOOTED).exists() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot prepare to talk with systemd")?;
        let bus = runtime
            .block_on(Connection::system())
            .context("cannot reach systemd through D-Bus; is dbus.service running?")?;
        let unit = Self {
            runtime,
            bus,
            name: unit::name(container.name()),
        };
        let is_ours = unit
            .runtime
            .block_on(unit.has(container.places()))
            .with_context(|| format!("cannot ask systemd for {}", unit.name))?;
        Ok(is_ours.then_some(unit))
    }

    /// Whether systemd knows the unit, and its supervisor would look for the
    /// container where we do.
    async fn has(&self, places: &Places) -> zbus::Result<bool> {
        let path = ManagerProxy::new(&self.bus)
            .await?
            .load_unit(&self.name)
            .await?;
        let unit = UnitObjectProxy::new(&self.bus, path.clone()).await?;
        if unit.load_state().await? == "not-found" {
            return Ok(false);
        }
        let service = ServiceObjectProxy::new(&self.bus, path).await?;
        let environment = service.environment().await?;
        let theirs = Places::named_by(|variable| {
            environment
                .iter()
                .find_map(|word| word.strip_prefix(variable)?.strip_prefix('='))
                .map(PathBuf::from)
        });
        Ok(theirs.conf_dir() == places.conf_dir() && theirs.run_dir() == places.run_dir())
    }

    /// Starts the container, and returns when it has booted.
    pub fn start(&self, container: &Container) -> Result<()> {
        let _progress = Progress::new(format!("starting {}", container.name()));
        let earlier_console = console_log::modified(&container.run().console_log());
        let starting = async {
            if !generator::has_run_since(container) {
                ManagerProxy::new(&self.bus).await?.reload().await?;
            }
            self.perform(Job::Start).await
        };
        let ended = self.runtime.block_on(starting);
        if log::log_enabled!(log::Level::Debug) {
            // Its lines have their times, so they may come late.
            let log = std::fs::read_to_string(container.run().supervisor_log());
            say!("{}", log.unwrap_or_default().trim_end());
        }
        // A start that was refused has left the log of the one before.
        self.require_done(container, "start", ended, earlier_console)
    }

    /// Has the container reload its system.
    pub fn reload(&self, container: &Container) -> Result<()> {
        let _progress = Progress::new(format!("reloading {}", container.name()));
        let ended = self.runtime.block_on(self.perform(Job::Reload));
        self.require_done(container, "reload", ended, None)
    }

    /// Halts the container and waits until it is gone; kills what is left after
    /// `timeout`.
    pub fn stop(&self, container: &Container, timeout: Duration) -> Result<()> {
        let _progress = Progress::new(format!("stopping {}", container.name()));
        let stopping = async {
            let job = self.begin(Job::Stop).await?;
            self.end_within(job, timeout).await
        };
        let ended = self.runtime.block_on(stopping);
        self.require_done(container, "stop", ended, None)
    }

    /// Kills the container and waits until it is gone.
    pub fn kill(&self, container: &Container) -> Result<()> {
        let running = container.running()?;
        let killing = async {
            // What is stopping is not restarted when it is killed.
            let job = self.begin(Job::Stop).await?;
            if let Some(running) = &running {
                // The supervisor, which is spared, clears away what is left.
                let _ = running
                    .connection
                    .send_request(&Request::Signal(libc::SIGKILL));
            }
            self.end_within(job, KILL_PATIENCE).await
        };
        let ended = self.runtime.block_on(killing);
        self.require_done(container, "kill", ended, None)
    }

    async fn end_within(&self, mut job: Running, timeout: Duration) -> zbus::Result<Ended> {
        match tokio::time::timeout(timeout, job.end()).await {
            Ok(ended) => ended,
            Err(_) => {
                self.kill_all().await?;
                job.end().await
            }
        }
    }

    async fn kill_all(&self) -> zbus::Result<()> {
        let manager = ManagerProxy::new(&self.bus).await?;
        match manager.kill_unit(&self.name, "all", libc::SIGKILL).await {
            // Nothing is left to be killed.
            Err(zbus::Error::MethodError(..)) => Ok(()),
            answer => answer,
        }
    }

    /// Has systemd do something, and waits for the job's end.
    async fn perform(&self, job: Job) -> zbus::Result<Ended> {
        self.begin(job).await?.end().await
    }

    async fn begin(&self, job: Job) -> zbus::Result<Running> {
        let manager = ManagerProxy::new(&self.bus).await?;
        manager.subscribe().await?;
        let unit = PropertiesProxy::new(
            &self.bus,
            manager.inner().destination().to_owned(),
            manager.load_unit(&self.name).await?,
        )
        .await?;
        // Listening from before the job is made, nobody misses its end.
        let removed = manager.receive_job_removed().await?.map(News::Removed);
        let changed = unit.receive_properties_changed().await?.map(News::Changed);
        let job = match job {
            Job::Start => manager.start_unit(&self.name, REPLACE).await?,
            Job::Stop => manager.stop_unit(&self.name, REPLACE).await?,
            Job::Reload => manager.reload_unit(&self.name, REPLACE).await?,
        };
        Ok(Running {
            job,
            news: Box::pin(join(changed, removed)),
            said: String::new(),
        })
    }

    /// Fails unless the job was done, with the end of the console if that has been
    /// written to since `earlier_console`.
    fn require_done(
        &self,
        container: &Container,
        what: &str,
        ended: zbus::Result<Ended>,
        earlier_console: Option<SystemTime>,
    ) -> Result<()> {
        let name = container.name();
        let ended = ended.with_context(|| format!("cannot {what} container '{name}'"))?;
        if ended.result == "done" {
            return Ok(());
        }
        let log = container.run().console_log();
        let tail = if console_log::modified(&log) == earlier_console {
            String::new()
        } else {
            console_log::tail(&log)
        };
        let tail = if tail.is_empty() {
            tail
        } else {
            format!("\nThe end of its console (all of it: `nixos-container logs {name}`):\n{tail}")
        };
        bail!(
            "cannot {what} container '{name}': {}; see `systemctl status {}`{tail}",
            ended.reason(),
            self.name
        )
    }
}

impl Ended {
    /// Why the job was not done, by the supervisor's own words where it had any.
    fn reason(&self) -> &str {
        match self.result.as_str() {
            "canceled" => "somebody else stopped or started it at the same time",
            "timeout" => "it took longer than the unit's TimeoutStartSec= or TimeoutStopSec=",
            "dependency" => "a unit that it needs has failed",
            "skipped" => "systemd has skipped it",
            "failed" if !self.said.is_empty() => &self.said,
            _ => "its unit has failed",
        }
    }
}
