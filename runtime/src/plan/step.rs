//! What the container's child can do: one [`Step`] is one thing.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::spec::Secret;
use crate::spec::accounts::User;
use crate::spec::idmap::IdMap;

mod namespace;
mod process;

use crate::spec::mount_attributes::{Attributes, Layer, Origin, Owners, Propagation, Upper};
pub use namespace::Namespace;
pub use process::ProcessStep;

/// A file and a directory that nobody can read, to bind over others.
pub(crate) const INACCESSIBLE_FILE: &str = "/run/host/inaccessible/reg";
pub(crate) const INACCESSIBLE_DIRECTORY: &str = "/run/host/inaccessible/dir";

/// One thing that the child does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// The kernel kills the child when its supervisor dies.
    DieWithSupervisor,
    /// The network namespace of somebody else. It is joined before `/sys` is
    /// mounted, which shows the links of whoever mounts it.
    JoinNetwork {
        /// The host path that holds it.
        path: PathBuf,
    },
    /// A second process, which is to be init, in further namespaces and with
    /// these users and groups. It waits for [`Step::HandOver`]; what is made of
    /// files until then belongs to root inside.
    CloneInit {
        /// The namespaces, that of users among them.
        namespaces: Vec<Namespace>,
        /// Its users and groups.
        ids: IdMap,
    },
    /// The second process goes on, as root inside and with a copy of all mounts
    /// that it cannot loosen; the first is done.
    HandOver,
    /// A cgroup namespace rooted at the cgroup that the child was born in.
    /// `clone3` would root it at the supervisor's.
    UnshareCgroup,
    /// Mount events of everything mounted so far go as `propagation` says.
    SetPropagation {
        /// Where they go.
        propagation: Propagation,
    },
    /// The root directory becomes a mount of its own, with what the host has
    /// mounted below it, and the child's working directory. Paths inside are
    /// resolved in it from here on.
    BindRoot {
        /// The root directory on the host.
        source: PathBuf,
        /// What is the host's root's there is shown as that of root inside, and
        /// so on.
        map_owners: bool,
        /// What the host has mounted below it becomes read-only.
        read_only_below: bool,
    },
    /// A file system in memory covers the root directory, and takes its part as
    /// in [`Step::BindRoot`].
    EmptyRoot {
        /// The root directory on the host.
        directory: PathBuf,
        /// Parameters of the file system.
        options: Vec<(String, String)>,
    },
    /// An overlay of the root directory and a file system in memory covers it,
    /// and takes its part as in [`Step::BindRoot`].
    OverlayRoot {
        /// The root directory on the host.
        lower: PathBuf,
        /// As with [`Step::BindRoot`].
        map_owners: bool,
        /// Parameters of the file system in memory.
        options: Vec<(String, String)>,
    },
    /// The root directory becomes `/`, with the host's tree mounted over it
    /// until [`Step::DetachHost`].
    PivotRoot,
    /// A directory, made if missing.
    Directory {
        /// Path inside.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// An empty file, if there is nothing at its place.
    EmptyFile {
        /// Path inside.
        path: PathBuf,
    },
    /// A regular file, in the place of whatever was there.
    File {
        /// Path inside.
        path: PathBuf,
        /// What it holds.
        contents: String,
        /// Permission bits.
        mode: u32,
    },
    /// No file or link, whatever was there before.
    RemoveFile {
        /// Path inside.
        path: PathBuf,
    },
    /// A copy of a file of the host, in the place of whatever was there.
    CopyFile {
        /// Path on the host.
        source: PathBuf,
        /// Path inside.
        path: PathBuf,
    },
    /// A file that only root inside can read.
    Credential {
        /// Path inside.
        path: PathBuf,
        /// What it holds.
        contents: Secret,
    },
    /// A symbolic link.
    Symlink {
        /// Path inside.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A file system of the container's own.
    Mount {
        /// Its type, as in `/proc/filesystems`.
        fstype: String,
        /// Path inside; made if missing.
        target: PathBuf,
        /// Attributes of the mount.
        attributes: Attributes,
        /// Parameters of the file system; one without a value has an empty one.
        options: Vec<(String, String)>,
    },
    /// A tree that already exists, seen at a second place.
    Bind {
        /// Whose tree.
        origin: Origin,
        /// Path at its origin.
        source: PathBuf,
        /// Path inside; made if missing.
        target: PathBuf,
        /// With the mounts below it.
        recursive: bool,
        /// Attributes that the mount gets besides those of its origin.
        attributes: Attributes,
        /// Whose its files are in a user namespace.
        owners: Owners,
        /// Nothing at `source`, nothing to do.
        optional: bool,
    },
    /// Directories on top of each other, seen as one.
    Overlay {
        /// What is seen through, the lowest first.
        lower: Vec<Layer>,
        /// Where changes go. Without, there can be none.
        upper: Option<Upper>,
        /// Path inside; made if missing.
        target: PathBuf,
    },
    /// What is there cannot be seen.
    Hide {
        /// Path inside.
        target: PathBuf,
        /// Nothing there, nothing to do.
        optional: bool,
    },
    /// A mount that exists gets further attributes.
    Restrict {
        /// Path inside.
        target: PathBuf,
        /// The attributes.
        attributes: Attributes,
    },
    /// A pseudoterminal of the container's own is `/dev/console`; its other end
    /// goes to the supervisor.
    Console,
    /// `/dev/console` is standard input, output and error.
    StandardStreams,
    /// The host's tree goes.
    DetachHost,
    /// Until the supervisor has confined the devices and furnished the network.
    AwaitSupervisor,
    /// A user of the container's, and the streams given to that user. It keeps
    /// all capabilities until [`Step::Exec`].
    User {
        /// By name or number.
        user: User,
    },
    /// Standard input is empty; what comes out of the others goes to the
    /// supervisor. There is no terminal and no `/dev/console`.
    Pipe,
    /// A stub remains as process 1; process 2 goes on.
    StubInit,
    /// The directory that init starts in.
    WorkingDirectory {
        /// Path inside.
        path: PathBuf,
    },
    /// The container's first program.
    Exec {
        /// Path inside.
        program: PathBuf,
        /// Arguments after the program's name.
        arguments: Vec<String>,
        /// The whole environment.
        environment: Vec<(String, String)>,
    },
    /// What the child does to itself.
    #[serde(untagged)]
    Process(ProcessStep),
}

impl Step {
    /// The page that describes the system call behind the step.
    pub fn manual(&self) -> &'static str {
        match self {
            Self::DieWithSupervisor => "prctl(2), PR_SET_PDEATHSIG",
            Self::JoinNetwork { .. } => "setns(2)",
            Self::CloneInit { .. } => "clone(2), user_namespaces(7)",
            Self::HandOver => "unshare(2), mount_namespaces(7)",
            Self::UnshareCgroup => "cgroup_namespaces(7)",
            Self::SetPropagation { .. } => "mount_namespaces(7)",
            Self::BindRoot { .. } | Self::Bind { .. } => "open_tree(2), move_mount(2)",
            Self::EmptyRoot { .. } | Self::OverlayRoot { .. } => "fsopen(2), move_mount(2)",
            Self::Hide { .. } => "open_tree(2), move_mount(2)",
            Self::PivotRoot => "pivot_root(2)",
            Self::Directory { .. } => "mkdir(2)",
            Self::EmptyFile { .. } => "open(2)",
            Self::File { .. } => "rename(2)",
            Self::RemoveFile { .. } => "unlink(2)",
            Self::Credential { .. } | Self::CopyFile { .. } => "rename(2)",
            Self::Symlink { .. } => "symlink(2)",
            Self::Mount { .. } | Self::Overlay { .. } => "fsopen(2), move_mount(2)",
            Self::Restrict { .. } => "mount_setattr(2)",
            Self::Console => "pty(7)",
            Self::StandardStreams => "setsid(2), dup(2)",
            Self::DetachHost => "umount2(2), MNT_DETACH",
            Self::AwaitSupervisor => "read(2)",
            Self::User { .. } => "setuid(2), setgroups(2)",
            Self::Pipe => "pipe(2)",
            Self::StubInit => "clone(2), wait(2)",
            Self::WorkingDirectory { .. } => "chdir(2)",
            Self::Exec { .. } => "execve(2)",
            Self::Process(step) => step.manual(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DieWithSupervisor => write!(f, "be killed when the supervisor dies"),
            Self::JoinNetwork { path } => {
                write!(f, "join the network namespace {}", path.display())
            }
            Self::CloneInit { namespaces, ids } => {
                write!(f, "clone init into new namespaces: ")?;
                for namespace in namespaces {
                    write!(f, "{namespace}, ")?;
                }
                write!(f, "with users and groups {ids}")
            }
            Self::HandOver => write!(
                f,
                "leave the rest to init, with a locked copy of all mounts"
            ),
            Self::UnshareCgroup => write!(f, "make the own cgroup the root of all that is seen"),
            Self::SetPropagation { propagation } => match propagation {
                Propagation::Slave => write!(f, "let no mount event out to the host"),
                Propagation::Shared => write!(f, "share mount events among the container's own"),
            },
            Self::BindRoot {
                source,
                map_owners,
                read_only_below,
            } => {
                write!(f, "make {} a mount", source.display())?;
                if *read_only_below {
                    write!(f, ", and those below it read-only")?;
                }
                parenthesised(f, Owners::mapped(*map_owners).words())
            }
            Self::EmptyRoot { directory, options } => {
                write!(f, "cover {} with a tmpfs", directory.display())?;
                parenthesised(f, parameters(options))
            }
            Self::OverlayRoot {
                lower,
                map_owners,
                options,
            } => {
                write!(f, "overlay {} with a tmpfs", lower.display())?;
                let owners = Owners::mapped(*map_owners).words();
                parenthesised(f, owners.chain(parameters(options)))
            }
            Self::PivotRoot => write!(f, "make it /"),
            Self::Directory { path, mode } => {
                write!(f, "make directory {} ({mode:04o})", path.display())
            }
            Self::EmptyFile { path } => write!(f, "make empty file {} if missing", path.display()),
            Self::File { path, mode, .. } => {
                write!(f, "write file {} ({mode:04o})", path.display())
            }
            Self::RemoveFile { path } => write!(f, "remove file {}", path.display()),
            Self::CopyFile { source, path } => {
                let (source, path) = (source.display(), path.display());
                write!(f, "copy the host's {source} to {path}")
            }
            Self::Credential { path, contents } => {
                write!(f, "write {contents} to {}", path.display())
            }
            Self::Symlink { path, target } => {
                write!(
                    f,
                    "make symbolic link {} to {}",
                    path.display(),
                    target.display()
                )
            }
            Self::Mount {
                fstype,
                target,
                attributes,
                options,
            } => {
                write!(f, "mount {fstype} on {}", target.display())?;
                let attributes = attributes.words().map(str::to_owned);
                parenthesised(f, attributes.chain(parameters(options)))
            }
            Self::Bind {
                origin,
                source,
                target,
                attributes,
                owners,
                optional,
                ..
            } => {
                write!(f, "bind {origin}{}", source.display())?;
                if *origin != Origin::Container || source != target {
                    write!(f, " on {}", target.display())?;
                } else {
                    write!(f, " on itself")?;
                }
                let attributes = attributes.words().map(str::to_owned);
                parenthesised(f, attributes.chain(owners.words()))?;
                if *optional {
                    write!(f, " if there is one")?;
                }
                Ok(())
            }
            Self::Overlay {
                lower,
                upper,
                target,
            } => {
                let upper = upper.iter().map(|upper| &upper.layer);
                let all: Vec<_> = lower.iter().chain(upper).map(Layer::to_string).collect();
                write!(f, "overlay {} on {}", all.join(", "), target.display())
            }
            Self::Hide { target, .. } => write!(f, "hide {}", target.display()),
            Self::Restrict { target, attributes } => {
                write!(f, "restrict {}", target.display())?;
                parenthesised(f, attributes.words().map(str::to_owned))
            }
            Self::Console => write!(f, "open a terminal as /dev/console"),
            Self::StandardStreams => write!(f, "take /dev/console for standard streams"),
            Self::DetachHost => write!(f, "detach the host's file systems"),
            Self::AwaitSupervisor => write!(
                f,
                "wait until the supervisor has furnished network and cgroup"
            ),
            Self::User { user } => write!(f, "become user {user}"),
            Self::Pipe => write!(f, "write to a pipe as standard streams"),
            Self::StubInit => write!(f, "leave a stub as process 1, go on as process 2"),
            Self::WorkingDirectory { path } => write!(f, "go to {}", path.display()),
            Self::Exec {
                program, arguments, ..
            } => {
                write!(f, "execute {}", program.display())?;
                arguments.iter().try_for_each(|word| write!(f, " {word}"))
            }
            Self::Process(step) => step.fmt(f),
        }
    }
}

fn parameters(options: &[(String, String)]) -> impl Iterator<Item = String> {
    options.iter().map(|(key, value)| match value.as_str() {
        "" => key.clone(),
        value => format!("{key}={value}"),
    })
}

fn parenthesised(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = String>) -> fmt::Result {
    let words: Vec<_> = words.collect();
    if words.is_empty() {
        return Ok(());
    }
    write!(f, " ({})", words.join(", "))
}
