//! Every path, in one place.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::name::ContainerName;

/// Where containers are kept. Each place can be moved by a variable of the
/// environment, so that a second set of containers (a test's, another tool's)
/// can live beside the host's own.
#[derive(Debug, Clone)]
pub struct Places {
    conf: PathBuf,
    state: PathBuf,
    profiles: PathBuf,
    gcroots: PathBuf,
    run: PathBuf,
}

impl Places {
    /// The host's places, or those that the environment names.
    ///
    /// # Errors
    ///
    /// A variable that names no absolute path: a supervisor has a working directory
    /// of its own.
    pub fn from_environment() -> Result<Self> {
        let mut relative = None;
        let places = Self::named_by(|variable| {
            let place = PathBuf::from(std::env::var_os(variable)?);
            if !place.is_absolute() && !place.as_os_str().is_empty() {
                relative = Some(format!("{variable} is {place:?}"));
            }
            Some(place)
        });
        match relative {
            Some(relative) => bail!("{relative}, but must be an absolute path"),
            None => Ok(places),
        }
    }

    /// The host's places, or those that variables name.
    pub fn named_by(mut value: impl FnMut(&str) -> Option<PathBuf>) -> Self {
        let mut place = |variable: &str, default: &str| {
            value(variable)
                .filter(|value| !value.as_os_str().is_empty())
                .unwrap_or_else(|| PathBuf::from(default))
        };
        Self {
            conf: place("NIXOS_CONTAINER_CONF_DIR", "/etc/nixos-containers"),
            state: place("NIXOS_CONTAINER_STATE_DIR", "/var/lib/nixos-containers"),
            profiles: place(
                "NIXOS_CONTAINER_PROFILE_DIR",
                "/nix/var/nix/profiles/per-container",
            ),
            gcroots: place(
                "NIXOS_CONTAINER_GCROOT_DIR",
                "/nix/var/nix/gcroots/per-container",
            ),
            run: place("NIXOS_CONTAINER_RUN_DIR", "/run/nixos-containers"),
        }
    }

    /// The directory of all configuration files.
    pub fn conf_dir(&self) -> &Path {
        &self.conf
    }

    /// What a container is configured to be. A container exists if and only if
    /// this file does.
    pub fn conf(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!("{name}.conf"))
    }

    /// The configuration of a container that is being created.
    pub fn reservation(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.creating"))
    }

    /// The configuration of a container that is being destroyed.
    pub fn tombstone(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.destroying"))
    }

    /// Says that a container that is destroyed when it stops has been started.
    pub fn started(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.started"))
    }

    /// The container of a file of [`Places::started`].
    pub fn name_of_started(file_name: &str) -> Option<ContainerName> {
        let name = file_name.strip_prefix('.')?.strip_suffix(".started")?;
        name.parse().ok()
    }

    /// The configuration of a container that takes another's place.
    pub fn replacement(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.replacing"))
    }

    /// A link to a system that is being built.
    pub fn building(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.building"))
    }

    /// What Nix reads of the configuration of a container that is being created.
    pub fn creating(&self, name: &ContainerName) -> PathBuf {
        self.state.join(format!(".{name}.creating"))
    }

    /// What Nix reads of the configuration of a container that is being updated.
    pub fn updating(&self, name: &ContainerName) -> PathBuf {
        self.state.join(format!(".{name}.updating"))
    }

    /// What a container has on the host's disk.
    pub fn trees(&self, name: &ContainerName) -> Trees {
        Trees {
            root: self.root(name),
            profiles: self.profiles(name),
            gcroots: self.gcroots(name),
        }
    }

    /// The same of a container that is to take another's place.
    pub fn staged_trees(&self, name: &ContainerName) -> Trees {
        let staged = format!(".{name}.replacing");
        Trees {
            root: self.state.join(&staged),
            profiles: self.profiles.join(&staged),
            gcroots: self.gcroots.join(&staged),
        }
    }

    /// The container's root directory.
    pub fn root(&self, name: &ContainerName) -> PathBuf {
        self.state.join(name.as_str())
    }

    /// Directories that the container has while it runs, on the disk of its root.
    pub fn temporary(&self, name: &ContainerName) -> PathBuf {
        self.state.join(format!(".{name}.temporary"))
    }

    /// The directory of all root directories.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Which of the host's users have been picked for the container.
    pub fn users(&self, name: &ContainerName) -> PathBuf {
        self.state.join(format!(".{name}.users"))
    }

    /// The directory of the container's profiles, which it sees as
    /// `/nix/var/nix/profiles`.
    pub fn profiles(&self, name: &ContainerName) -> PathBuf {
        self.profiles.join(name.as_str())
    }

    /// The profile of the container's system.
    pub fn system_profile(&self, name: &ContainerName) -> PathBuf {
        self.profiles(name).join("system")
    }

    /// The container's own garbage collector roots.
    pub fn gcroots(&self, name: &ContainerName) -> PathBuf {
        self.gcroots.join(name.as_str())
    }

    /// The directory of all running containers.
    pub fn run_dir(&self) -> &Path {
        &self.run
    }

    /// Locked by whoever changes the host's names for containers.
    pub fn hosts_lock(&self) -> PathBuf {
        self.run.join(".hosts.lock")
    }

    /// The directory of what everybody on the host can reach of running
    /// containers; nothing else of theirs is open to the host's users.
    pub fn public_dir(&self) -> PathBuf {
        let mut directory = self.run.clone().into_os_string();
        directory.push("-public");
        directory.into()
    }

    /// Where the supervisor answers everybody.
    pub fn public(&self, name: &ContainerName) -> PathBuf {
        self.public_dir().join(name.as_str())
    }

    /// What belongs to one running container.
    pub fn run(&self, name: &ContainerName) -> RunDir {
        RunDir(self.run.join(name.as_str()))
    }
}

/// The directories of one container.
#[derive(Debug, Clone)]
pub struct Trees {
    /// Its root directory.
    pub root: PathBuf,
    /// What it sees as `/nix/var/nix/profiles`.
    pub profiles: PathBuf,
    /// What it sees as `/nix/var/nix/gcroots`.
    pub gcroots: PathBuf,
}

impl Trees {
    /// Each of them.
    pub fn all(&self) -> [&Path; 3] {
        [&self.root, &self.profiles, &self.gcroots]
    }
}

/// The directory of one running container.
#[derive(Debug, Clone)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Locked by whoever changes the container's system.
    pub fn update_lock(&self) -> PathBuf {
        self.0.join("update.lock")
    }

    /// Locked by the supervisor for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What an empty root is mounted on: that has no directory on the disk.
    pub fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// Says how a command wants its supervisor to log.
    pub fn log_request(&self) -> PathBuf {
        self.0.join("log-request")
    }

    /// The supervisor's log.
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// Where the supervisor answers root.
    pub fn control(&self) -> PathBuf {
        self.0.join("control")
    }

    /// Where the container's init reports.
    pub fn notify(&self) -> PathBuf {
        self.0.join("notify")
    }

    /// What the container wrote to its console since its last start.
    pub fn console_log(&self) -> PathBuf {
        self.0.join("console.log")
    }
}
