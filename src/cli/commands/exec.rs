//! Commands that execute a program in a running container.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use runtime::process::enter::{Entered, Entry, Stream, enter};
use runtime::process::sealed::Sealed;
use runtime::rootfs::{Root, find_account};
use runtime::spec::accounts::{Account, User};
use runtime::sys::cgroup::Cgroup;

use crate::cli::args;
use crate::cli::terminal::{ESCAPE_HINT, End, Peer, Relay, Signals, Streams};
use crate::container::Container;
use crate::container::running::Running;
use crate::container::unit;
use crate::control::{Request, State};
use crate::report::exit_codes;
use crate::spec::users::user_record::account_of_bound_user;

/// PATH until the login shell has read its profile.
const PATH: &str = "/run/wrappers/bin:/run/current-system/sw/bin:/usr/bin:/bin";

/// `run NAME -- COMMAND…`, and `root-login NAME` with an empty command.
pub fn run_as_root(container: &Container, command: Vec<OsString>) -> Result<ExitCode> {
    let running = container.require_running()?;
    let root = account(&running, &User::root())?.unwrap_or_else(Account::bare_root);
    let streams = Streams::of_caller()?;
    run(container, &running, root, command, Vec::new(), streams)
}

/// Runs a command as root, not at the caller's wish: of its output, a terminal gets the
/// text.
pub fn run_for_text(container: &Container, command: Vec<OsString>) -> Result<ExitCode> {
    let running = container.require_running()?;
    let root = account(&running, &User::root())?.unwrap_or_else(Account::bare_root);
    let streams = Streams::for_text()?;
    run(container, &running, root, command, Vec::new(), streams)
}

/// `enter NAME [-- COMMAND…]`
pub fn enter_as_user(container: &Container, enter: args::Enter) -> Result<ExitCode> {
    let named = enter.root.then(User::root).or(enter.user);
    let running = container.require_running()?;
    let user = named.clone().unwrap_or_else(caller);
    let Some(account) = account(&running, &user)? else {
        let name = container.name();
        return Err(match named {
            Some(_) => anyhow!(
                "{container} has no user '{user}'; `nixos-container run {name} -- getent \
                 passwd` lists those it has"
            ),
            None => anyhow!(
                "{container} has no user '{user}' (your user on the host); enter it as its \
                 root with `nixos-container enter --root {name}`"
            ),
        });
    };
    let streams = Streams::of_caller()?;
    let (command, environment) = (enter.command, enter.set_env);
    run(container, &running, account, command, environment, streams)
}

/// The calling user: with `sudo` or `doas`, the user who called that.
fn caller() -> User {
    ["SUDO_USER", "DOAS_USER"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| !name.is_empty())
        .map_or_else(User::root, User::Name)
}

/// The user's account in the container; `None` if there is no such user.
pub fn account(running: &Running, user: &User) -> Result<Option<Account>> {
    let root = running.root()?;
    Ok(find_account(&root, user).or_else(|| account_of_bound_user(&root, user)))
}

fn run(
    container: &Container,
    running: &Running,
    account: Account,
    command: Vec<OsString>,
    set_environment: Vec<(String, String)>,
    mut streams: Streams,
) -> Result<ExitCode> {
    let is_shell = command.is_empty();
    let mut signals = Signals::catch()?;
    let inside = streams.take_inside();
    let entered = start(
        container,
        running,
        account,
        command,
        set_environment,
        inside,
        Some(signals.ending()),
    )
    .inspect_err(|_| signals.restore_default_effect())?;
    // The supervisor hangs up for this process if that is killed.
    let _ = running.connection.send_request(&Request::Entered {
        pid: entered.process.pid,
    });
    let relay = match entered.terminal {
        Some(main) => {
            if is_shell {
                say!("In {container}; {ESCAPE_HINT}.");
            }
            Relay::to_terminal(Peer::Program(&entered.process), signals, main)?
        }
        None => Relay::to_pipes(&entered.process, signals, streams),
    };
    Ok(match relay.run()? {
        // A wait status has eight bits (man 2 wait).
        End::Exited(exit) => ExitCode::from((exit.status() & 0xff) as u8),
        End::Stopped => ExitCode::from(exit_codes::FAILURE),
        End::Left => {
            say!("\nLeft {container}.");
            // The exit code of the command is unknown. A shell is meant to be left.
            if is_shell {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(exit_codes::FAILURE)
            }
        }
    })
}

/// Starts a process in the container. Takes its streams, so that pipes end with
/// it. Once `give_up` is readable, a process that has not executed its program
/// yet is killed.
pub fn start(
    container: &Container,
    running: &Running,
    account: Account,
    command: Vec<OsString>,
    set_environment: Vec<(String, String)>,
    streams: [Stream; 3],
    give_up: Option<BorrowedFd<'_>>,
) -> Result<Entered> {
    let entry = Entry {
        environment: environment(&running.root()?, account.uid),
        account,
        command,
        set_environment,
        streams,
        confinement: running.confinement()?,
    };
    let cgroup = container.cgroup_of(running.leader)?;
    let cgroup = cgroup
        .create_entered()
        .context("cannot make a cgroup in the container's cgroup")?;
    if Cgroup::is_frozen(cgroup.as_fd()).context("cannot read whether the cgroup is frozen")? {
        bail!(
            "{container} is frozen, and so would be a process that enters it; thaw it first, with \
             `systemctl thaw {}` or by its cgroup.freeze",
            unit::name(container.name())
        );
    }
    let leader = running.leader_fd.as_fd();
    let sealed = Sealed::ensure().context("cannot seal this program")?;
    // SAFETY: this process has one thread, and all its children are for the
    // container.
    unsafe { enter(leader, cgroup.as_fd(), &entry, give_up, sealed) }.with_context(|| match running
        .state
    {
        State::Starting => format!(
            "cannot enter {container} before it has booted (`nixos-container status {}` says when \
             it is up)",
            container.name()
        ),
        State::Up | State::Stopping => format!("cannot enter {container}"),
    })
}

fn environment(root: &Root, uid: u32) -> Vec<(String, String)> {
    let term = std::env::var("TERM").map(|term| ("TERM".to_owned(), term));
    std::iter::once(("PATH".to_owned(), PATH.to_owned()))
        .chain(term)
        .chain(of_session(root, uid))
        .collect()
}

/// What a login would set for a user whose own service manager runs (`man 8
/// pam_systemd`, ENVIRONMENT): where programs find that, and its D-Bus.
fn of_session(root: &Root, uid: u32) -> Vec<(String, String)> {
    let directory = format!("/run/user/{uid}");
    let bus = format!("{directory}/bus");
    let exists = |path: &str| root.find(Path::new(path)).is_ok();
    let mut variables = Vec::new();
    if exists(&bus) {
        let address = format!("unix:path={bus}");
        variables.push(("DBUS_SESSION_BUS_ADDRESS".to_owned(), address));
    }
    if exists(&directory) {
        variables.push(("XDG_RUNTIME_DIR".to_owned(), directory));
    }
    variables
}

/// Host keys of sshd by preference, as nixpkgs' tool has it. NixOS generates the
/// first by default.
const HOST_KEYS: [&str; 2] = [
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/ssh/ssh_host_ecdsa_key.pub",
];

/// Longest public key that is read, in bytes. Keys of these kinds have about 200.
const LONGEST_KEY: u64 = 4096;

/// `show-host-key NAME`
pub fn show_host_key(container: &Container) -> Result<()> {
    container.require()?;
    let root = match container.running()? {
        Some(running) => running.root()?,
        None => container.root()?,
    };
    let keys = HOST_KEYS.map(|path| root.read_file(Path::new(path), LONGEST_KEY));
    let Some(key) = keys.iter().flatten().find_map(|key| public_key(key)) else {
        bail!(
            "{container} has no host key; it gets one when it first starts with \
             services.openssh.enable = true"
        );
    };
    answer!("{key}")
}

/// The first line, if it is printable: it goes to a terminal and into
/// `known_hosts`, and the container decides what the file contains.
fn public_key(contents: &[u8]) -> Option<&str> {
    let line = str::from_utf8(contents).ok()?.lines().next()?;
    let printable = !line.is_empty() && line.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    printable.then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_is_a_line_of_text() {
        assert_eq!(
            public_key(b"ssh-ed25519 AAAA root@foo\nmore\n"),
            Some("ssh-ed25519 AAAA root@foo")
        );
        for bad in [&b""[..], b"\n", b"ssh-ed25519 \x1b[2J", b"\xff\xfe"] {
            assert_eq!(public_key(bad), None, "{bad:?}");
        }
    }
}
