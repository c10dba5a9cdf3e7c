//! A container's control group (`man 7 cgroups`): cgroup2 only, whether it is the
//! host's whole tree or stands beside version 1.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::{Errno, retry_on_intr};

use super::directory::entries;
use super::proc;

/// Mount points of the host's cgroup2 tree: unified or hybrid.
const MOUNT_POINTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// The group of one container, with the container's own processes in the
/// group `payload` below it.
#[derive(Debug, Clone)]
pub struct Cgroup {
    path: PathBuf,
    owner: Owner,
}

/// The owner of a container's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The container: the group is made and removed with it.
    Container,
    /// A manager, which has delegated the groups below it (systemd's `Delegate=`).
    /// The supervisor is in the group, too.
    Manager,
}

impl Cgroup {
    /// The group `path` of the host's cgroup2 tree, which need not exist.
    pub fn locate(path: &Path, owner: Owner) -> io::Result<Self> {
        let is_cgroup2 = |mount_point: &&str| {
            rustix::fs::statfs(*mount_point).is_ok_and(|fs| fs.f_type == CGROUP2_MAGIC)
        };
        match MOUNT_POINTS.into_iter().find(is_cgroup2) {
            Some(mount_point) => Ok(Self {
                path: Path::new(mount_point).join(path),
                owner,
            }),
            None => Err(io::Error::other(format!(
                "no cgroup2 at {} or {}; mount it with `mount -t cgroup2 none /sys/fs/cgroup`",
                MOUNT_POINTS[0], MOUNT_POINTS[1]
            ))),
        }
    }

    /// The group's path in the file system.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn payload(&self) -> PathBuf {
        self.path.join("payload")
    }

    /// Moves the calling process into a group beside the payload's, unless its
    /// manager has put it there (`DelegateSubgroup=` of systemd 254): a group with
    /// processes of its own cannot hand down controllers.
    pub fn enter_supervisor(&self) -> io::Result<()> {
        let here = std::fs::read_to_string(self.path.join("cgroup.procs"))?;
        if here.is_empty() {
            return Ok(());
        }
        let supervisor = self.path.join("supervisor");
        std::fs::create_dir_all(&supervisor)?;
        std::fs::write(supervisor.join("cgroup.procs"), "0")
    }

    /// The owner.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The controllers that the group has, or will have when it is made.
    pub fn available_controllers(&self) -> io::Result<Vec<String>> {
        let above = self.path.parent().unwrap_or(Path::new("/"));
        let file = match hands_down_more(above)? {
            true => "cgroup.controllers",
            false => "cgroup.subtree_control",
        };
        let controllers = std::fs::read_to_string(above.join(file))?;
        Ok(controllers.split_whitespace().map(str::to_owned).collect())
    }

    /// Makes the payload's group, to be born into. The container's systemd makes
    /// the groups below it.
    pub fn create_payload(&self) -> io::Result<OwnedFd> {
        let payload = self.payload();
        std::fs::create_dir_all(&payload)?;
        // Not every host has controllers, or hands them down. A container runs
        // without them, too.
        if let (Owner::Container, Some(parent)) = (self.owner, self.path.parent()) {
            let _ = delegate_controllers(parent);
        }
        let _ = delegate_controllers(&self.path);
        open_directory(&payload)
    }

    /// The group for processes that enter the running container from outside. It is
    /// below the payload's, so that the container's limits hold for them, and a
    /// leaf, because groups with groups below cannot have processes.
    pub fn create_entered(&self) -> io::Result<OwnedFd> {
        let payload = self.payload();
        let entered = payload.join("entered");
        let made = std::fs::create_dir(&entered);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let group = open_directory(&entered)?;
        // It gets the owner of the payload's group.
        let owner = std::fs::metadata(&payload)?.uid();
        if made.is_ok() && owner != 0 {
            delegate(group.as_fd(), owner)?;
        }
        Ok(group)
    }

    /// Whether processes in this group stand still, because it or a group above is
    /// frozen.
    pub fn is_frozen(group: BorrowedFd<'_>) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events = rustix::fs::openat(group, "cgroup.events", flags, Mode::empty())?;
        let events = io::read_to_string(File::from(events))?;
        Ok(events.lines().any(|line| line == "frozen 1"))
    }

    /// Thaws the groups of a process of the container, from its own to the payload's, so
    /// that it takes signals. The container may have frozen them, and may again.
    pub fn thaw(&self, pid: i32) -> io::Result<()> {
        let payload = self.payload();
        let own = Self::locate(&proc::cgroup(pid)?, self.owner)?.path;
        for group in own
            .ancestors()
            .take_while(|group| group.starts_with(&payload))
        {
            std::fs::write(group.join("cgroup.freeze"), "0")?;
        }
        Ok(())
    }

    /// The memory of the container's processes in bytes; `None` if it has no
    /// process. With a memory controller, the kernel's own account; otherwise the
    /// sum of the processes' shares (`Pss` of `man 5 proc_pid_smaps`).
    pub fn memory(&self) -> io::Result<Option<u64>> {
        let payload = self.payload();
        match std::fs::read_to_string(payload.join("memory.current")) {
            Ok(bytes) => Ok(bytes.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => memory_shares(&payload),
            Err(error) => Err(error),
        }
    }

    /// Watches for the moment when no process of the container is left.
    pub fn population(&self) -> io::Result<Population> {
        Population::of(&self.payload())
    }

    /// Removes the group and all groups below it, and kills the processes in them.
    /// A group that does not exist counts as removed.
    pub fn remove(&self) -> io::Result<()> {
        let group = match self.owner {
            Owner::Container => self.path.clone(),
            Owner::Manager => self.payload(),
        };
        match remove_groups(&group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            answer => return answer,
        }
        std::fs::write(group.join("cgroup.kill"), "1")?;
        await_empty(&group)?;
        remove_groups(&group)
    }
}

/// Whether a group and the groups below it have processes. `cgroup.events` signals a
/// change as an exceptional condition, until it is read.
#[derive(Debug)]
pub struct Population(File);

impl Population {
    fn of(group: &Path) -> io::Result<Self> {
        File::open(group.join("cgroup.events")).map(Self)
    }

    /// Whether there is no process.
    pub fn is_empty(&mut self) -> io::Result<bool> {
        self.0.rewind()?;
        let text = io::read_to_string(&self.0)?;
        Ok(!text.lines().any(|line| line == "populated 1"))
    }

    /// What [`Population::is_empty`] has to be called for.
    pub const CHANGE: PollFlags = PollFlags::PRI;
}

impl AsFd for Population {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How long the processes of a group may take to go after they were killed. A program
/// with much memory takes seconds.
const KILL_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until the last process of the group is gone.
fn await_empty(group: &Path) -> io::Result<()> {
    let mut population = Population::of(group)?;
    let end = Instant::now() + KILL_TIMEOUT;
    while !population.is_empty()? {
        let left = end.saturating_duration_since(Instant::now());
        let mut change = [PollFd::new(&population, Population::CHANGE)];
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        if retry_on_intr(|| poll(&mut change, Some(&left)))? == 0 {
            return Err(io::Error::other("processes in it do not end"));
        }
    }
    Ok(())
}

/// Names the files of a group that belong to the owner of the group (kernel
/// documentation, admin-guide/cgroup-v2, "Model of Delegation").
const DELEGATED: &str = "/sys/kernel/cgroup/delegate";

/// Gives a group to the root of a user namespace, by its user and group number on
/// the host.
pub(crate) fn delegate(group: BorrowedFd<'_>, root: u32) -> io::Result<()> {
    let (user, gid) = (Some(Uid::from_raw(root)), Some(Gid::from_raw(root)));
    rustix::fs::chownat(group, "", user, gid, AtFlags::EMPTY_PATH)?;
    for file in std::fs::read_to_string(DELEGATED)?.split_whitespace() {
        match rustix::fs::chownat(group, file, user, gid, AtFlags::SYMLINK_NOFOLLOW) {
            // It belongs to a controller that the group does not have.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Whether a group can hand down more controllers than it does: the root of all
/// groups, and groups without processes of their own (kernel documentation,
/// admin-guide/cgroup-v2, "No Internal Process Constraint").
fn hands_down_more(group: &Path) -> io::Result<bool> {
    // The root of all groups has no type.
    if !group.join("cgroup.type").try_exists()? {
        return Ok(true);
    }
    Ok(std::fs::read_to_string(group.join("cgroup.procs"))?.is_empty())
}

/// Hands all controllers of a group down to the groups below. In a group with
/// processes, controllers that the kernel would hand down would make the groups below
/// invalid (same, "Threads").
fn delegate_controllers(group: &Path) -> io::Result<()> {
    if !hands_down_more(group)? {
        return Ok(());
    }
    let controllers = std::fs::read_to_string(group.join("cgroup.controllers"))?;
    let enable: Vec<_> = controllers
        .split_whitespace()
        .map(|name| format!("+{name}"))
        .collect();
    if enable.is_empty() {
        return Ok(());
    }
    std::fs::write(group.join("cgroup.subtree_control"), enable.join(" "))
}

fn memory_shares(group: &Path) -> io::Result<Option<u64>> {
    let mut sum = None;
    visit_groups(group, |parent, name| {
        for pid in processes(parent, name)?.lines() {
            // The process may end at any moment.
            let share = pid.parse().ok().map(proc::memory_share);
            if let Some(Ok(share)) = share {
                *sum.get_or_insert(0) += share;
            }
        }
        Ok(())
    })?;
    Ok(sum)
}

/// The pids of a group's own processes, one a line.
fn processes(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let path = Path::new(name).join("cgroup.procs");
    let read = rustix::fs::openat(parent, path, flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|file| io::read_to_string(File::from(file)));
    match read {
        Err(error) => match Errno::from_io_error(&error) {
            // The group is gone, or has only threads, of processes in a group above
            // (kernel documentation, admin-guide/cgroup-v2, "Threads").
            Some(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(String::new()),
            _ => Err(error),
        },
        answer => answer,
    }
}

/// Removes a group and all groups below it. The files in these directories cannot
/// be removed, and need not be.
fn remove_groups(group: &Path) -> io::Result<()> {
    visit_groups(group, |parent, name| {
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // Another process that removes them was faster.
            Err(Errno::NOENT) => Ok(()),
            answer => Ok(answer?),
        }
    })
}

/// Visits a group and all groups below it, each after those below it, as the open
/// group above it and its name there. The container has chosen their depth and
/// names: one is open at a time, and none is reached by a path. Groups that
/// disappear meanwhile are passed over.
fn visit_groups(
    group: &Path,
    mut visit: impl FnMut(BorrowedFd<'_>, &OsStr) -> io::Result<()>,
) -> io::Result<()> {
    let (Some(parent), Some(name)) = (group.parent(), group.file_name()) else {
        return Err(Errno::INVAL.into());
    };
    let mut current = match open_directory(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        answer => answer?,
    };
    let mut to_come = vec![name.to_owned()];
    // The groups that lead to the current one, each with the groups beside it that
    // are still to come.
    let mut way = Vec::new();
    loop {
        if let Some(name) = to_come.pop() {
            match enter_group(&current, &name) {
                Err(Errno::NOENT) => {}
                entered => {
                    let (group, below) = entered?;
                    current = group;
                    way.push((name, std::mem::replace(&mut to_come, below)));
                }
            }
        } else if let Some((name, beside)) = way.pop() {
            // Groups of cgroup2 cannot be moved.
            current = open_from(&current, OsStr::new(".."))?;
            visit(current.as_fd(), &name)?;
            to_come = beside;
        } else {
            return Ok(());
        }
    }
}

/// Opens a group; returns it with the names of the groups in it.
fn enter_group(parent: &OwnedFd, name: &OsStr) -> Result<(OwnedFd, Vec<OsString>), Errno> {
    let group = open_from(parent, name)?;
    let mut below = Vec::new();
    for entry in entries(&group)? {
        let (name, kind) = entry?;
        if kind == FileType::Directory {
            below.push(name);
        }
    }
    Ok((group, below))
}

fn open_from(group: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(group, name, flags, Mode::empty())
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
