//! All paths of containers.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::name::ContainerName;

/// The directory of configuration files, unless the package has another one
/// (`nixos/package.nix`).
const CONF: &str = match option_env!("DEFAULT_CONF_DIR") {
    Some(directory) => directory,
    None => "/etc/nixos-containers",
};

/// The directory of root directories, unless the package has another one.
const STATE: &str = match option_env!("DEFAULT_STATE_DIR") {
    Some(directory) => directory,
    None => "/var/lib/nixos-containers",
};

/// The directories of all containers. Each can be moved by an environment variable, so
/// that a second set of containers (of a test, of another tool) can exist beside the
/// host's.
#[derive(Debug, Clone)]
pub struct Places {
    conf: PathBuf,
    state: PathBuf,
    profiles: PathBuf,
    gcroots: PathBuf,
    run: PathBuf,
}

impl Places {
    /// The host's directories, or those in environment variables.
    ///
    /// # Errors
    ///
    /// A variable whose value is not an absolute path: a supervisor has another working
    /// directory.
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

    /// The host's directories, or those in variables; `value` looks up a variable.
    pub fn named_by(mut value: impl FnMut(&str) -> Option<PathBuf>) -> Self {
        let mut place = |variable: &str, default: &str| {
            value(variable)
                .filter(|value| !value.as_os_str().is_empty())
                .unwrap_or_else(|| PathBuf::from(default))
        };
        Self {
            conf: place("NIXOS_CONTAINER_CONF_DIR", CONF),
            state: place("NIXOS_CONTAINER_STATE_DIR", STATE),
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

    /// A container's configuration file. The container exists if and only if this file
    /// exists.
    pub fn conf(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!("{name}.conf"))
    }

    /// The configuration of a container that is being created.
    pub fn reservation(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.creating"))
    }

    /// The container with this file name of [`Places::reservation`].
    pub fn name_of_reservation(file_name: &str) -> Option<ContainerName> {
        name_of_hidden(file_name, ".creating")
    }

    /// The configuration of a container that is being destroyed.
    pub fn tombstone(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.destroying"))
    }

    /// A mark: the container is destroyed when it stops, and has been started.
    pub fn started(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.started"))
    }

    /// The container with this file name of [`Places::started`].
    pub fn name_of_started(file_name: &str) -> Option<ContainerName> {
        name_of_hidden(file_name, ".started")
    }

    /// The configuration of a container that replaces another of the same name.
    pub fn replacement(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.replacing"))
    }

    /// A link to the system that is being built for a container.
    pub fn building(&self, name: &ContainerName) -> PathBuf {
        self.conf.join(format!(".{name}.building"))
    }

    /// The copy of a configuration that Nix reads during a creation.
    pub fn creating(&self, name: &ContainerName) -> PathBuf {
        self.state.join(format!(".{name}.creating"))
    }

    /// The copy of a configuration that Nix reads during an update.
    pub fn updating(&self, name: &ContainerName) -> PathBuf {
        self.state.join(format!(".{name}.updating"))
    }

    /// A container's directories on the disk.
    pub fn trees(&self, name: &ContainerName) -> Trees {
        Trees {
            root: self.root(name),
            profiles: self.profiles(name),
            gcroots: self.gcroots(name),
        }
    }

    /// The directories of a container that will replace another of the same name.
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

    /// A directory for the time that the container runs, on the disk of its root.
    pub fn temporary(&self, name: &ContainerName) -> PathBuf {
        self.state.join(format!(".{name}.temporary"))
    }

    /// The directory of all root directories.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// The directories in which containers have files on the disk.
    pub fn directories_of_files(&self) -> [&Path; 3] {
        [&self.state, &self.profiles, &self.gcroots]
    }

    /// The record of the user ids that were picked for the container.
    pub fn users(&self, name: &ContainerName) -> PathBuf {
        self.state.join(format!(".{name}.users"))
    }

    /// The profiles and garbage collector roots that the container itself has.
    pub fn nix(&self, name: &ContainerName) -> NixDir {
        NixDir(self.state.join(format!(".{name}.nix")))
    }

    /// The container's profiles, for the host's Nix. The container cannot write there.
    pub fn profiles(&self, name: &ContainerName) -> PathBuf {
        self.profiles.join(name.as_str())
    }

    /// The profile of the container's system.
    pub fn system_profile(&self, name: &ContainerName) -> PathBuf {
        self.profiles(name).join("system")
    }

    /// The container's garbage collector roots, for the host's Nix.
    pub fn gcroots(&self, name: &ContainerName) -> PathBuf {
        self.gcroots.join(name.as_str())
    }

    /// The directory of all running containers.
    pub fn run_dir(&self) -> &Path {
        &self.run
    }

    /// The lock of `/etc/hosts`.
    pub fn hosts_lock(&self) -> PathBuf {
        self.run.join(".hosts.lock")
    }

    /// The directory of sockets that all users of the host can reach. No other directory
    /// of containers is open to them.
    pub fn public_dir(&self) -> PathBuf {
        let mut directory = self.run.clone().into_os_string();
        directory.push("-public");
        directory.into()
    }

    /// The supervisor's socket for all users of the host.
    pub fn public(&self, name: &ContainerName) -> PathBuf {
        self.public_dir().join(name.as_str())
    }

    /// The directory of one running container.
    pub fn run(&self, name: &ContainerName) -> RunDir {
        RunDir(self.run.join(name.as_str()))
    }
}

fn name_of_hidden(file_name: &str, suffix: &str) -> Option<ContainerName> {
    let name = file_name.strip_prefix('.')?.strip_suffix(suffix)?;
    name.parse().ok()
}

/// The directories of one container.
#[derive(Debug, Clone)]
pub struct Trees {
    /// Its root directory.
    pub root: PathBuf,
    /// Its profiles, for the host's Nix.
    pub profiles: PathBuf,
    /// Its garbage collector roots, for the host's Nix.
    pub gcroots: PathBuf,
}

impl Trees {
    /// All of them.
    pub fn all(&self) -> [&Path; 3] {
        [&self.root, &self.profiles, &self.gcroots]
    }
}

/// The directory of what a container has in `/nix/var/nix`. No program of the host's
/// Nix reads it.
#[derive(Debug, Clone)]
pub struct NixDir(PathBuf);

impl NixDir {
    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its profiles, at `/nix/var/nix/profiles` inside.
    pub fn profiles(&self) -> PathBuf {
        self.0.join("profiles")
    }

    /// Its garbage collector roots, at `/nix/var/nix/gcroots` inside.
    pub fn gcroots(&self) -> PathBuf {
        self.0.join("gcroots")
    }

    /// The links of the system's profile that host and container had in common last.
    /// The container cannot write there.
    pub fn common(&self) -> PathBuf {
        self.0.join("common")
    }

    /// The paths of the results of builds inside.
    pub fn results(&self) -> PathBuf {
        self.0.join("results")
    }

    /// The lock of the profile's copies.
    pub fn lock(&self) -> PathBuf {
        self.0.join("profile.lock")
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

    /// The names of the store paths that the container sees, if it does not see all.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// The lock of the container's system.
    pub fn update_lock(&self) -> PathBuf {
        self.0.join("update.lock")
    }

    /// The lock that the supervisor holds while it lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The mount point of an empty root, which has no directory on the disk.
    pub fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// The request of a command for a level of the supervisor's log.
    pub fn log_request(&self) -> PathBuf {
        self.0.join("log-request")
    }

    /// The supervisor's log.
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// The supervisor's socket for root.
    pub fn control(&self) -> PathBuf {
        self.0.join("control")
    }

    /// The socket that the container's init reports to.
    pub fn notify(&self) -> PathBuf {
        self.0.join("notify")
    }

    /// The output of the console since the last start.
    pub fn console_log(&self) -> PathBuf {
        self.0.join("console.log")
    }
}
