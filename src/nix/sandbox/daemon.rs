//! The Nix daemon that the sandbox is a client of.
//!
//! Where the host has none, one runs for the time of a build. It sees the store and
//! Nix' database, and no other file of the host that is not a program. It accepts the
//! evaluator as it accepts any user, and builds as users of the group `nixbld`, which
//! cannot write to the store but for the results of their builds.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use runtime::process::launch::Started;
use runtime::sys::capabilities::CapabilitySet;
use runtime::{Init, Program, Streams};
use rustix::fs::{Mode, OFlags};

use super::view::View;
use super::{create_shared_dir, privileges, read_if_present, root, settings, start};
use crate::container::create_dir;
use crate::nix::build::Flags;

/// Where a client looks for the daemon (`man 8 nix-daemon`).
pub(super) const SOCKET: &str = "/nix/var/nix/daemon-socket/socket";

/// The socket of the host's daemon, if it runs.
pub(super) fn hosts_socket() -> Option<PathBuf> {
    let named = std::env::var("NIX_REMOTE").ok();
    let named = named.and_then(|remote| Some(PathBuf::from(remote.strip_prefix("unix://")?)));
    let variable = || std::env::var_os("NIX_DAEMON_SOCKET_PATH").map(PathBuf::from);
    let socket = named.or_else(variable).unwrap_or_else(|| SOCKET.into());
    UnixStream::connect(&socket).ok()?;
    fs::canonicalize(socket).ok()
}

/// A daemon for one build. It is killed when this is dropped, or when this process
/// ends.
pub(super) struct Daemon {
    started: Started,
    socket: PathBuf,
}

/// What a daemon needs to build as other users: their files, and the signals to them
/// (`man 7 capabilities`).
const CAPABILITIES: [&str; 6] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
];

impl Daemon {
    /// Starts a daemon with files in `directory`, which only root can enter.
    pub(super) fn start(directory: &Path, flags: &Flags) -> Result<Self> {
        let (place, temporary) = (directory.join("daemon"), directory.join("build"));
        create_dir(&place, 0o700)?;
        create_shared_dir(&temporary)?;
        let socket = place.join("socket");
        let listener = listen(&place).context("cannot make a socket for a Nix daemon")?;
        let mut view = View::new("nix-daemon")?;
        view.write_at(Path::new("/nix/store"), Path::new("/nix/store"));
        view.write_at(Path::new("/nix/var"), Path::new("/nix/var"));
        view.write_at(&temporary, Path::new("/tmp"));
        let capabilities = CAPABILITIES.into_iter().filter_map(CapabilitySet::named);
        let (passwd, group) = accounts()?;
        let mut environment = view.environment();
        environment.push(("HOME".to_owned(), "/tmp".to_owned()));
        let program = Program {
            mount_point: root(directory),
            mounts: view.mounts(),
            files: vec![
                ("/etc/passwd".into(), passwd),
                ("/etc/group".into(), group),
                (settings::PLACE.into(), settings::for_daemon()?),
            ],
            links: view.links(),
            init: Init {
                program: view.program().to_owned(),
                arguments: flags.for_daemon(),
                environment,
                working_directory: "/".into(),
                user: None,
                streams: Streams::Pipe,
                below_stub: true,
            },
            privileges: privileges(capabilities.fold(CapabilitySet::NONE, CapabilitySet::with)),
            socket: Some(listener.as_raw_fd()),
        };
        let started = start(&program).context("cannot start a Nix daemon")?;
        Ok(Self { started, socket })
    }

    /// Its socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its output.
    pub(super) fn output(&self) -> &OwnedFd {
        &self.started.console
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.started.init.signal(libc::SIGKILL);
        let _ = self.started.init.wait();
    }
}

/// Listens on `socket` in this directory, for all users that see it.
fn listen(directory: &Path) -> io::Result<UnixListener> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())?;
    // The address of a socket is shorter than paths may be (man 7 unix).
    let address = format!("/proc/self/fd/{}/socket", opened.as_raw_fd());
    let listener = UnixListener::bind(address)?;
    fs::set_permissions(directory.join("socket"), fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// The group of users that build.
const GROUP: &str = "nixbld";

/// The `passwd` and `group` of a daemon: root, and the host's users that build. A host
/// without such users gets those that Nix' installer would make.
fn accounts() -> Result<(String, String)> {
    let passwd = read_if_present(Path::new("/etc/passwd"))?;
    let group = read_if_present(Path::new("/etc/group"))?;
    let of_builders = builders(&passwd, &group).unwrap_or_else(new_builders);
    Ok((
        format!("root:x:0:0:root:/root:/bin/sh\n{}", of_builders.0),
        format!("root:x:0:\n{}\n", of_builders.1),
    ))
}

/// The lines of the users that build, and the line of their group; `None` if there are
/// none.
fn builders(passwd: &str, group: &str) -> Option<(String, String)> {
    let group = group
        .lines()
        .find(|line| line.split(':').next() == Some(GROUP))?;
    let members: Vec<_> = group.split(':').nth(3)?.split(',').collect();
    let is_member = |line: &&str| {
        line.split(':')
            .next()
            .is_some_and(|name| !name.is_empty() && members.contains(&name))
    };
    let users: String = passwd
        .lines()
        .filter(is_member)
        .map(|line| format!("{line}\n"))
        .collect();
    (!users.is_empty()).then(|| (users, group.to_owned()))
}

/// The first number of Nix' installer for users that build, and its group's.
const FIRST: u32 = 30000;
/// The number of builds at the same time.
const COUNT: u32 = 32;

fn new_builders() -> (String, String) {
    let names: Vec<_> = (1..=COUNT)
        .map(|number| format!("{GROUP}{number}"))
        .collect();
    let users = (1..).zip(&names).map(|(number, name)| {
        let uid = FIRST + number;
        format!("{name}:x:{uid}:{FIRST}::/var/empty:/bin/false\n")
    });
    (
        users.collect(),
        format!("{GROUP}:x:{FIRST}:{}", names.join(",")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_builders_are_taken_if_there_are_any() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnixbld1:x:7:8::/:/no\nme:x:9:9::/:/no\n";
        let found = builders(passwd, "root:x:0:\nnixbld:x:8:nixbld1,nixbld2\n");
        let expected = ("nixbld1:x:7:8::/:/no\n", "nixbld:x:8:nixbld1,nixbld2");
        assert_eq!(
            found.as_ref().map(|(a, b)| (a.as_str(), b.as_str())),
            Some(expected)
        );
        assert_eq!(builders(passwd, "nixbld:x:8:\n"), None);
        assert_eq!(builders(passwd, "root:x:0:\n"), None);
        let (users, group) = new_builders();
        assert_eq!(builders(&users, &group).map(|found| found.0), Some(users));
    }
}
