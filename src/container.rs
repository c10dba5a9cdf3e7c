//! One container: its name, its directories and its configuration.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use runtime::Origin;
use runtime::rootfs::Root;
use runtime::sys::cgroup::{Cgroup, Owner};

use crate::config::{ContainerConfig, CustomContent, RecordedSource, Source};
use crate::control::Connection;
use crate::report::exit_codes::{self, CodedError};

pub mod console_log;
pub mod files;
pub mod left_over;
pub mod lock;
pub mod mountinfo;
pub mod name;
pub mod paths;
pub mod registry;
pub mod running;
pub mod unit;

use lock::Lock;
use name::ContainerName;
use paths::{Places, RunDir, Trees};

/// A container by its name; it need not exist. Messages show it as `container 'foo'`.
#[derive(Debug, Clone)]
pub struct Container {
    places: Places,
    name: ContainerName,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container '{}'", self.name)
    }
}

impl Container {
    /// The container of this name in these directories.
    pub fn new(places: &Places, name: ContainerName) -> Self {
        Self {
            places: places.clone(),
            name,
        }
    }

    /// Its name.
    pub fn name(&self) -> &ContainerName {
        &self.name
    }

    /// The directories of all containers.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The directory that it has while it runs.
    pub fn run(&self) -> RunDir {
        self.places.run(&self.name)
    }

    /// Whether the container exists: it has a configuration file.
    pub fn exists(&self) -> bool {
        // A dangling link counts, so that `destroy` removes it.
        fs::symlink_metadata(self.places.conf(&self.name)).is_ok()
    }

    /// Fails if the container neither exists nor runs.
    pub fn require(&self) -> Result<()> {
        match self.is_supervised() {
            true => Ok(()),
            false => self.require_configured(),
        }
    }

    /// Whether it has a supervisor, which it also has when its configuration file was
    /// removed or renamed since its start.
    pub fn is_supervised(&self) -> bool {
        match rustix::process::geteuid().is_root() {
            true => Lock::is_held(&self.run().lock()).unwrap_or(false),
            // Only root can reach the lock.
            false => {
                let public = self.places.public(&self.name);
                Connection::open(&public).is_ok_and(|connection| connection.is_some())
            }
        }
    }

    /// Fails if the container has no configuration file.
    pub fn require_configured(&self) -> Result<()> {
        if self.exists() {
            return Ok(());
        }
        if self.is_supervised() {
            bail!(
                "{self} runs, but has no configuration: {} was removed or renamed since its \
                 start; put it back, or end the container with `nixos-container stop {}`",
                self.places.conf(&self.name).display(),
                self.name
            );
        }
        let message = format!(
            "{self} does not exist; `nixos-container list` shows those that do, \
             `nixos-container create {}` makes it",
            self.name
        );
        Err(CodedError::new(exit_codes::NO_SUCH_CONTAINER, message).into())
    }

    /// Whether the container is declared in the host's configuration: its file is
    /// read-only, as in the Nix store.
    pub fn is_declared(&self) -> bool {
        let conf = self.places.conf(&self.name);
        self.exists() && rustix::fs::access(&conf, rustix::fs::Access::WRITE_OK).is_err()
    }

    /// Fails if the container is declared in the host's configuration, and has to be
    /// changed there.
    pub fn require_imperative(&self) -> Result<()> {
        let conf = self.places.conf(&self.name);
        match rustix::fs::access(&conf, rustix::fs::Access::WRITE_OK) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::NOENT) => self.require(),
            Err(_) => bail!(
                "{self} stays as it is: {} is read-only; if the container is declared in \
                 the host's configuration, change it there and run `nixos-rebuild switch`",
                conf.display()
            ),
        }
    }

    /// Reads its configuration file.
    ///
    /// # Errors
    ///
    /// The container does not exist, or its file cannot be read or has an error.
    pub fn config(&self) -> Result<ContainerConfig> {
        self.require_configured()?;
        let path = self.places.conf(&self.name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(ContainerConfig::parse(&path, &text)?)
    }

    /// The error for a system that has not booted in time.
    pub fn boot_timeout_error(&self, timeout: Duration) -> anyhow::Error {
        let conf = self.places.conf(&self.name);
        let conf = conf.display();
        let remedy = if self.places.started(&self.name).exists() {
            // The container is about to be destroyed with its configuration.
            format!(
                "create the container again, and set TIMEOUT_START_SEC in {conf} before its start"
            )
        } else {
            format!("set TIMEOUT_START_SEC in {conf}")
        };
        anyhow!(
            "the system had not booted after {} s and was killed; if it needs longer, {remedy}",
            timeout.as_secs()
        )
    }

    /// Its control group.
    pub fn cgroup(&self) -> Result<Cgroup> {
        self.cgroup_below(unit::own_cgroup(&self.name))
    }

    /// Its control group while it runs, found by the pid of its init.
    pub fn cgroup_of(&self, leader: i32) -> Result<Cgroup> {
        self.cgroup_below(unit::cgroup_of(&self.name, leader))
    }

    fn cgroup_below(&self, unit: Option<PathBuf>) -> Result<Cgroup> {
        let (group, owner) = match unit {
            Some(unit) => (unit, Owner::Manager),
            None => (
                format!("nixos-container-{}", self.name).into(),
                Owner::Container,
            ),
        };
        Cgroup::locate(&group, owner).context("cannot find the host's cgroups")
    }

    /// Takes the lock that its supervisor holds; `None` if another process has it.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        loop {
            self.create_run_dir()?;
            match Lock::try_lock(&self.run().lock()) {
                // A command that has stopped the container has just removed the directory.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                answer => return answer.with_context(|| format!("cannot lock {self}")),
            }
        }
    }

    /// Waits for the lock that is held during a change of its system.
    pub fn lock_for_update(&self) -> Result<Lock> {
        self.require_configured()?;
        self.create_run_dir()?;
        Lock::wait(&self.run().update_lock()).with_context(|| format!("cannot lock {self}"))
    }

    /// Writes the source of its system, if there is another, and the hash of its
    /// trusted configuration to its configuration file, and keeps the rest of the file.
    pub fn record_source(
        &self,
        source: Option<&RecordedSource>,
        trusted: Option<&str>,
    ) -> Result<()> {
        let conf = self.places.conf(&self.name);
        let cannot = || format!("cannot write {}", conf.display());
        let old = fs::read_to_string(&conf).with_context(cannot)?;
        let text = ContainerConfig::with_source(&conf, &old, source, trusted)?;
        if text == old {
            return Ok(());
        }
        netns::files::replace(&conf, text.as_bytes()).with_context(cannot)
    }

    /// Whether a container can change the file at this path of the host: one below the
    /// containers' root directories, or in a directory that this container may write
    /// to.
    pub fn can_write(&self, config: &ContainerConfig, path: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let path = real(path);
        let shared = config
            .mounts
            .iter()
            .filter_map(|mount| match &mount.content {
                CustomContent::Bind {
                    source: Source::At(Origin::Host, source),
                    attributes,
                    ..
                } if !attributes.read_only => Some(real(source)),
                _ => None,
            });
        let roots = [self.places.state_dir(), &self.places.root(&self.name)].map(real);
        shared.chain(roots).any(|place| path.starts_with(place))
    }

    /// Creates the directory that it has while it runs. The parent directory is closed
    /// to the host's users: consoles are below it.
    pub fn create_run_dir(&self) -> Result<()> {
        create_dir(self.places.run_dir(), 0o700)?;
        create_dir(&self.places.public_dir(), 0o755)?;
        create_dir(self.run().path(), 0o755)
    }

    /// Creates its directories on the disk: its root directory, and its profiles and
    /// garbage collector roots.
    pub fn create_directories(&self, root: PathBuf) -> Result<()> {
        create_trees(&Trees {
            root,
            ..self.places.trees(&self.name)
        })
    }

    /// Creates directories that exist while it runs. They are closed to the host's
    /// users, like its root directory.
    pub fn create_temporary(&self, directories: &[PathBuf]) -> Result<()> {
        for directory in directories {
            create_dir(&self.places.temporary(&self.name), 0o700)?;
            create_dir(directory, 0o755)?;
        }
        Ok(())
    }

    /// Its root directory on the disk, for use while it does not run.
    pub fn root(&self) -> Result<Root> {
        let path = self.places.root(&self.name);
        Root::open(&path).with_context(|| format!("cannot open {}", path.display()))
    }
}

/// Creates the directories of a container, unless they exist. Their parent directories
/// are closed to the host's users, who may have the same ids as users inside.
pub fn create_trees(trees: &Trees) -> Result<()> {
    for directory in trees.all() {
        if let Some(all) = directory.parent() {
            create_dir(all, 0o700)?;
        }
        create_dir(directory, 0o755)?;
    }
    Ok(())
}

/// Creates a directory with this mode and its parents, unless they exist.
pub fn create_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}
