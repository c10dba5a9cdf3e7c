//! The parts of a start that other processes, or the container's users and
//! terminals, have a share in.

use std::path::PathBuf;

use derive_more::Display;
use serde::Serialize;

use super::Namespace;
use crate::spec::accounts::User;
use crate::spec::idmap::IdMap;
use crate::sys::joined;

/// One part of the start.
#[derive(Debug, Clone, PartialEq, Display, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StartStep {
    /// Clones a second process, which becomes init, into further namespaces and
    /// with these users and groups. It waits for [`StartStep::HandOver`]; files
    /// that are made until then belong to root inside.
    #[display(
        "clone init into new namespaces: {}, with users and groups {ids}, owned by user {owner}{}",
        joined(namespaces, ", "),
        tasks.map_or(String::new(), |tasks| format!(", with at most {tasks} tasks"))
    )]
    CloneInit {
        /// The namespaces, that of users among them.
        namespaces: Vec<Namespace>,
        /// Its users and groups.
        ids: IdMap,
        /// The host's user that owns the user namespace.
        owner: u32,
        /// The most tasks of its users together; unlimited if none.
        tasks: Option<u64>,
    },
    /// Leaves the rest to the second process, as root inside and with a copy of
    /// all mounts that it cannot loosen.
    #[display("hand over to init, with a locked copy of all mounts")]
    HandOver,
    /// Makes a pseudoterminal of the container's own `/dev/console`; its other end
    /// goes to the supervisor.
    #[display("open a terminal as /dev/console")]
    Console,
    /// Makes `/dev/console` standard input, output and error.
    #[display("use /dev/console as stdin, stdout and stderr")]
    StandardStreams,
    /// Makes standard input empty, and standard output and error a pipe to the
    /// supervisor. There is no terminal and no `/dev/console`.
    #[display("use a pipe as stdout and stderr")]
    Pipe,
    /// Changes to the directory that init starts in. The path is resolved in the
    /// container's root, without the magic links of `/proc`: init's descriptors are
    /// still those of its supervisor.
    #[display("change to directory {}", path.display())]
    WorkingDirectory {
        /// Path inside.
        path: PathBuf,
    },
    /// Waits until the supervisor has performed its own steps and set up the
    /// network.
    #[display("wait until the supervisor has set up network and cgroup")]
    AwaitSupervisor,
    /// Becomes a user of the container's, and gives the streams to that user. The
    /// child keeps all capabilities until [`StartStep::Exec`].
    #[display("become user {user}")]
    User {
        /// By name or number.
        user: User,
    },
    /// Leaves a stub as process 1 and continues as process 2.
    #[display("leave a stub as process 1, continue as process 2")]
    StubInit,
    /// Hands a listening socket on to the first program, which finds it behind the
    /// standard streams.
    #[display("pass on descriptor {descriptor}, a listening socket")]
    PassSocket {
        /// Its number in the supervisor.
        descriptor: i32,
    },
    /// Executes the container's first program.
    #[display("execute {}{}", program.display(), arguments.iter().map(|word| format!(" {word}")).collect::<String>())]
    Exec {
        /// Path inside.
        program: PathBuf,
        /// Arguments after the program's name.
        arguments: Vec<String>,
        /// The whole environment.
        environment: Vec<(String, String)>,
    },
}

impl StartStep {
    pub(super) fn manual(&self) -> &'static str {
        match self {
            Self::CloneInit { .. } => "clone(2), user_namespaces(7)",
            Self::HandOver => "unshare(2), mount_namespaces(7)",
            Self::Console => "pty(7)",
            Self::StandardStreams => "setsid(2), dup(2)",
            Self::Pipe => "pipe(2)",
            Self::WorkingDirectory { .. } => "fchdir(2)",
            Self::AwaitSupervisor => "read(2)",
            Self::User { .. } => "setuid(2), setgroups(2)",
            Self::StubInit => "clone(2), wait(2)",
            Self::PassSocket { .. } => "sd_listen_fds(3)",
            Self::Exec { .. } => "execve(2)",
        }
    }
}
