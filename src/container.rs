//! One container: where its things are, what it is configured to be, and
//! whether it runs.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::rootfs::Root;
use runtime::sys::cgroup::{Cgroup, Owner};

use crate::config::ContainerConfig;
use crate::config::flake::FlakeRef;

pub mod console_log;
pub mod files;
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

/// A container by its name; it need not exist.
#[derive(Debug, Clone)]
pub struct Container {
    places: Places,
    name: ContainerName,
}

impl Container {
    /// The container of this name in these places.
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

    /// Where things are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What belongs to it while it runs.
    pub fn run(&self) -> RunDir {
        self.places.run(&self.name)
    }

    /// Whether there is such a container.
    pub fn exists(&self) -> bool {
        // As a link that leads nowhere, too: `destroy` has something to remove.
        fs::symlink_metadata(self.places.conf(&self.name)).is_ok()
    }

    /// Fails if there is no such container.
    pub fn require(&self) -> Result<()> {
        if !self.exists() {
            bail!(
                "container '{0}' does not exist; `nixos-container list` shows those that do, \
                 `nixos-container create {0}` makes it",
                self.name
            );
        }
        Ok(())
    }

    /// Fails if it is declared in the configuration of the host, which is where
    /// it is to be changed then.
    pub fn require_imperative(&self) -> Result<()> {
        let conf = self.places.conf(&self.name);
        match rustix::fs::access(&conf, rustix::fs::Access::WRITE_OK) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::NOENT) => self.require(),
            Err(_) => bail!(
                "container '{}' stays as it is: {} is read-only; if the container is declared in \
                 the host's configuration, change it there and run `nixos-rebuild switch`",
                self.name,
                conf.display()
            ),
        }
    }

    /// Reads its configuration file.
    pub fn config(&self) -> Result<ContainerConfig> {
        self.require()?;
        let path = self.places.conf(&self.name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(ContainerConfig::parse(&path, &text)?)
    }

    /// Its control group.
    pub fn cgroup(&self) -> Result<Cgroup> {
        self.cgroup_below(unit::own_cgroup(&self.name))
    }

    /// The control group of the container as it runs, by the pid of its init.
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

    /// Waits for the turn to change its system; it ends when the lock is
    /// dropped.
    pub fn lock_for_update(&self) -> Result<Lock> {
        self.require()?;
        self.create_run_dir()?;
        Lock::wait(&self.run().update_lock())
            .with_context(|| format!("cannot lock container '{}'", self.name))
    }

    /// Has its configuration file say what its system is made from, and leaves
    /// the rest of the file as it is.
    pub fn record_source(&self, file: Option<&Path>, flake: Option<&FlakeRef>) -> Result<()> {
        let conf = self.places.conf(&self.name);
        let cannot = || format!("cannot write {}", conf.display());
        let old = fs::read_to_string(&conf).with_context(cannot)?;
        let text = ContainerConfig::with_source(&conf, &old, file, flake)?;
        if text == old {
            return Ok(());
        }
        netns::files::replace(&conf, text.as_bytes()).with_context(cannot)
    }

    /// Makes the directory of what belongs to it while it runs. That of all
    /// containers is closed to the host's users: it holds their consoles.
    pub fn create_run_dir(&self) -> Result<()> {
        create_dir(self.places.run_dir(), 0o700)?;
        create_dir(&self.places.public_dir(), 0o755)?;
        create_dir(self.run().path(), 0o755)
    }

    /// Makes what a container has on the host: its root directory, and what it
    /// sees of Nix as its own.
    pub fn create_directories(&self, root: PathBuf) -> Result<()> {
        create_trees(&Trees {
            root,
            ..self.places.trees(&self.name)
        })
    }

    /// Makes directories that it has while it runs, closed to the host's users
    /// as its root directory is.
    pub fn create_temporary(&self, directories: &[PathBuf]) -> Result<()> {
        for directory in directories {
            create_dir(&self.places.temporary(&self.name), 0o700)?;
            create_dir(directory, 0o755)?;
        }
        Ok(())
    }

    /// Its root directory on the host, as it is while it does not run.
    pub fn root(&self) -> Result<Root> {
        let path = self.places.root(&self.name);
        Root::open(&path).with_context(|| format!("cannot open {}", path.display()))
    }
}

/// Makes the directories of a container, unless they exist. Those of all
/// containers are closed to the host's users, who may share numbers with users
/// inside.
pub fn create_trees(trees: &Trees) -> Result<()> {
    for directory in trees.all() {
        if let Some(all) = directory.parent() {
            create_dir(all, 0o700)?;
        }
        create_dir(directory, 0o755)?;
    }
    Ok(())
}

/// A directory with this mode, unless it exists.
pub fn create_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}
