//! One container: where its things are, what it is configured to be, and
//! whether it runs.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use netns::firewall::Firewall;
use runtime::cgroup::{Cgroup, Owner};
use runtime::enter::Confinement;
use runtime::rooted::Root;
use runtime::seccomp::FilterProgram;
use rustix::fs::{Gid, Uid};

use crate::config::ContainerConfig;
use crate::control::{Connection, Event, State};
use crate::flake::FlakeRef;
use crate::lock::Lock;
use crate::manager::unit;
use crate::name::ContainerName;
use crate::paths::{Places, RunDir, Trees};

/// A container by its name; it need not exist.
#[derive(Debug, Clone)]
pub struct Container {
    places: Places,
    name: ContainerName,
    firewall: Rc<OnceCell<Firewall>>,
}

/// What everybody may know of a container that runs.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Where it is in its life.
    pub state: State,
    /// Pid of its init.
    pub leader: i32,
}

/// A container that runs.
#[derive(Debug)]
pub struct Running {
    /// The talk with its supervisor.
    pub connection: Connection,
    /// Where it is in its life.
    pub state: State,
    /// Pid of its init.
    pub leader: i32,
    /// Pidfd of its init.
    pub leader_fd: OwnedFd,
    /// The filter of system calls that init was started with, as a file.
    system_calls: OwnedFd,
}

/// How long a supervisor may take to answer. In the middle of a start, it has
/// other things to do.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

impl Running {
    /// Its root directory, with all that is mounted there, as its processes
    /// see it.
    pub fn root(&self) -> Result<Root> {
        let path = format!("/proc/{}/root", self.leader);
        let opened = Root::open(Path::new(&path)).with_context(|| format!("cannot open {path}"))?;
        // Alive now, init cannot have left its pid to somebody else before.
        runtime::process::send_signal(self.leader_fd.as_fd(), 0)
            .context("the container has just stopped")?;
        Ok(opened)
    }

    /// What init is confined to, and who enters is to be.
    pub fn confinement(&self) -> Result<Confinement> {
        let cannot = "cannot read what the container is confined to";
        let system_calls = FilterProgram::from_file(self.system_calls.as_fd()).context(cannot)?;
        Confinement::of(self.leader, system_calls).context(cannot)
    }

    /// Makes a file of the host's one of the container's root.
    pub fn give_to_root(&self, file: BorrowedFd<'_>) -> Result<()> {
        let path = format!("/proc/{}/status", self.leader);
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // Real, effective, saved and file system's (man 5 proc_pid_status).
        let id = |name| {
            let ids = status.lines().find_map(|line| line.strip_prefix(name))?;
            ids.split_whitespace().nth(1)?.parse().ok()
        };
        let (Some(uid), Some(gid)) = (id("Uid:"), id("Gid:")) else {
            bail!("{path} does not say who init runs as");
        };
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .context("cannot change its owner")
    }
}

impl Container {
    /// The container of this name in these places.
    pub fn new(places: &Places, name: ContainerName) -> Self {
        Self {
            places: places.clone(),
            name,
            firewall: Rc::default(),
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

    /// What it is configured to be. Keys that nobody knows are warned of.
    pub fn config(&self) -> Result<ContainerConfig> {
        self.require()?;
        let path = self.places.conf(&self.name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config = ContainerConfig::parse(&path, &text)?;
        if !config.unknown_keys.is_empty() {
            say!(
                "warning: {} has keys that are not known: {}",
                path.display(),
                config.unknown_keys.join(", ")
            );
        }
        Ok(config)
    }

    /// The way to the host's firewall. Opened once and closed with the last
    /// clone of this, when nobody waits any more.
    pub fn firewall(&self) -> Result<&Firewall> {
        if let Some(open) = self.firewall.get() {
            return Ok(open);
        }
        let opened = Firewall::open()?;
        Ok(self.firewall.get_or_init(|| opened))
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
        let changed = self.places.changed_conf(&self.name);
        let mut written = File::create(&changed).with_context(cannot)?;
        written
            .write_all(text.as_bytes())
            .and_then(|()| written.sync_all())
            .and_then(|()| fs::rename(&changed, &conf))
            .with_context(cannot)
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

    /// A talk with its supervisor, as everybody on the host may have it.
    pub fn visit(&self) -> Result<Connection> {
        self.require()?;
        match self.connect(&self.places.public(&self.name))? {
            Some(connection) => Ok(connection),
            None => Err(self.is_not_running()),
        }
    }

    /// What everybody may know of it while it runs; `None` if it does not.
    pub fn life(&self) -> Result<Option<Life>> {
        let Some(connection) = self.connect(&self.places.public(&self.name))? else {
            return Ok(None);
        };
        match self.hear(&connection)? {
            Some((Event::State { state, leader, .. }, _)) => Ok(Some(Life { state, leader })),
            Some((Event::Failed { why, .. }, _)) => Err(anyhow!(why)).context(self.cannot_talk()),
            // It went while we asked.
            _ => Ok(None),
        }
    }

    fn connect(&self, path: &Path) -> Result<Option<Connection>> {
        Connection::open(path).with_context(|| self.cannot_talk())
    }

    /// What a supervisor says to whoever has just connected.
    fn hear(&self, connection: &Connection) -> Result<Option<(Event, Vec<OwnedFd>)>> {
        if !connection
            .await_event(ANSWER_TIMEOUT)
            .with_context(|| self.cannot_talk())?
        {
            let pid = connection.peer_pid().with_context(|| self.cannot_talk())?;
            bail!(
                "{}: it has not answered for {} s; if it was stopped, `kill -CONT {pid}` lets it go \
                 on, and `kill -KILL {pid}` ends it and the container",
                self.cannot_talk(),
                ANSWER_TIMEOUT.as_secs(),
            );
        }
        connection.next_event().with_context(|| self.cannot_talk())
    }

    fn cannot_talk(&self) -> String {
        format!(
            "cannot talk with the supervisor of container '{}'",
            self.name
        )
    }

    fn is_not_running(&self) -> anyhow::Error {
        anyhow!(
            "container '{0}' is not running; start it with `nixos-container start {0}`",
            self.name
        )
    }

    /// The running container; `None` if it does not run. Only root can reach it.
    pub fn running(&self) -> Result<Option<Running>> {
        let Some(connection) = self.connect(&self.run().control())? else {
            return Ok(None);
        };
        match self.hear(&connection)? {
            Some((Event::State { state, leader, .. }, descriptors)) => {
                // None are there before its init is.
                let handles = <[OwnedFd; 2]>::try_from(descriptors).ok();
                Ok(handles.map(|[leader_fd, system_calls]| Running {
                    connection,
                    state,
                    leader,
                    leader_fd,
                    system_calls,
                }))
            }
            // It went while we asked.
            _ => Ok(None),
        }
    }

    /// The running container, or an error that says it does not run.
    pub fn require_running(&self) -> Result<Running> {
        self.require()?;
        match self.running()? {
            Some(running) => Ok(running),
            None => Err(self.is_not_running()),
        }
    }
}

/// All containers there are, sorted by name.
pub fn all(places: &Places) -> Result<Vec<Container>> {
    let directory = places.conf_dir();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        answer => answer.with_context(|| format!("cannot read {}", directory.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", directory.display()))?;
        names.extend(name_of_conf(&entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names
        .into_iter()
        .map(|name| Container::new(places, name))
        .collect())
}

/// The turn to change which containers there are, until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held")] Lock);

/// Waits for the turn.
pub fn take_turn(places: &Places) -> Result<Turn> {
    create_dir(places.run_dir(), 0o700)?;
    let lock = Lock::wait(&places.run_dir().join(".lock"));
    lock.map(Turn).context("cannot lock the containers")
}

/// Files of other tools in `/etc/containers`, where nixpkgs kept containers
/// before NixOS 22.05 (`man 5 containers.conf` and its neighbours).
const FOREIGN: [&str; 4] = ["containers", "libpod", "registries", "storage"];

/// The container whose configuration file has this name.
pub fn name_of_conf(file_name: &str) -> Option<ContainerName> {
    let name = file_name.strip_suffix(".conf")?;
    if FOREIGN.contains(&name) {
        return None;
    }
    name.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tools_files_are_no_containers() {
        for file in [
            "containers.conf",
            "storage.conf",
            ".foo.creating",
            "a b.conf",
            "foo.conf~",
        ] {
            assert_eq!(name_of_conf(file), None, "{file}");
        }
        assert_eq!(
            name_of_conf("foo.conf").as_ref().map(ContainerName::as_str),
            Some("foo")
        );
    }
}
