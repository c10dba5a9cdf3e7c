//! A container's unit, through the host's systemd (`man 5
//! org.freedesktop.systemd1`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::runtime::Runtime;
use zbus::Connection;
use zbus::export::ordered_stream::OrderedStreamExt;
use zbus::zvariant::OwnedObjectPath;

use super::unit;
use crate::console_log;
use crate::container::Container;
use crate::control::Request;
use crate::paths::Places;
use crate::progress::Progress;

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
    fn status_text(&self) -> zbus::Result<String>;

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

/// A job that systemd has taken on.
struct Running {
    job: OwnedObjectPath,
    removed: JobRemovedStream,
}

impl Running {
    /// Waits for its result.
    async fn result(&mut self) -> zbus::Result<String> {
        while let Some(signal) = self.removed.next().await {
            let signal = signal.args()?;
            if signal.job == self.job {
                return Ok(signal.result);
            }
        }
        Err(zbus::Error::Failure("the connection was closed".to_owned()))
    }
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
        let result = self.runtime.block_on(self.perform(Job::Start));
        self.judge(container, "start", result)
    }

    /// Has the container reload its system.
    pub fn reload(&self, container: &Container) -> Result<()> {
        let _progress = Progress::new(format!("reloading {}", container.name()));
        let result = self.runtime.block_on(self.perform(Job::Reload));
        self.judge(container, "reload", result)
    }

    /// Halts the container and waits until it is gone; kills what is left after
    /// `timeout`.
    pub fn stop(&self, container: &Container, timeout: Duration) -> Result<()> {
        let _progress = Progress::new(format!("stopping {}", container.name()));
        let stopping = async {
            let job = self.begin(Job::Stop).await?;
            self.end_within(job, timeout).await
        };
        let result = self.runtime.block_on(stopping);
        self.judge(container, "stop", result)
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
        let result = self.runtime.block_on(killing);
        self.judge(container, "kill", result)
    }

    async fn end_within(&self, mut job: Running, timeout: Duration) -> zbus::Result<String> {
        match tokio::time::timeout(timeout, job.result()).await {
            Ok(result) => result,
            Err(_) => {
                self.kill_all().await?;
                job.result().await
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

    /// Has systemd do something, and waits for the job's result.
    async fn perform(&self, job: Job) -> zbus::Result<String> {
        self.begin(job).await?.result().await
    }

    async fn begin(&self, job: Job) -> zbus::Result<Running> {
        let manager = ManagerProxy::new(&self.bus).await?;
        manager.subscribe().await?;
        // Listening from before the job is made, nobody misses its end.
        let removed = manager.receive_job_removed().await?;
        let job = match job {
            Job::Start => manager.start_unit(&self.name, REPLACE).await?,
            Job::Stop => manager.stop_unit(&self.name, REPLACE).await?,
            Job::Reload => manager.reload_unit(&self.name, REPLACE).await?,
        };
        Ok(Running { job, removed })
    }

    fn judge(&self, container: &Container, what: &str, result: zbus::Result<String>) -> Result<()> {
        let name = container.name();
        let result = result.with_context(|| format!("cannot {what} container '{name}'"))?;
        if result == "done" {
            return Ok(());
        }
        let tail = console_log::tail(&container.run().console_log());
        let tail = if tail.is_empty() {
            tail
        } else {
            format!("\nThe end of its console (all of it: `nixos-container logs {name}`):\n{tail}")
        };
        bail!(
            "cannot {what} container '{name}': {}; see `systemctl status {}`{tail}",
            self.explain(&result),
            self.name
        )
    }

    /// The result of a job (`man 5 org.freedesktop.systemd1`, JobRemoved), by
    /// the supervisor's own words where it had any.
    fn explain(&self, result: &str) -> String {
        let reason = match result {
            "canceled" => "somebody else stopped or started it at the same time",
            "timeout" => "it took longer than the unit's TimeoutStartSec= or TimeoutStopSec=",
            "dependency" => "a unit that it needs has failed",
            "skipped" => "systemd has skipped it",
            _ => "its unit has failed",
        };
        match self.status_text() {
            Ok(text) if result == "failed" && !text.is_empty() => text,
            _ => reason.to_owned(),
        }
    }

    fn status_text(&self) -> zbus::Result<String> {
        self.runtime.block_on(async {
            let path = ManagerProxy::new(&self.bus)
                .await?
                .load_unit(&self.name)
                .await?;
            ServiceObjectProxy::new(&self.bus, path)
                .await?
                .status_text()
                .await
        })
    }
}
