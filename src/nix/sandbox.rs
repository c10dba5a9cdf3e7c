//! Evaluation and building of a configuration that a container could have written.
//!
//! Nix runs its fetchers, reads files and talks to other programs at the word of the
//! configuration: git, for example, runs the programs that a repository names. So Nix
//! runs as an unprivileged user in namespaces of its own, see [`view`]. It is a client
//! of a Nix daemon, which alone writes to the store: the host's, or one of its own for
//! the time of the build, see [`daemon`].

mod daemon;
mod outside;
mod settings;
mod view;

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::process::launch::{self, Started};
use runtime::process::sealed::Sealed;
use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::pidfd::Exit;
use runtime::sys::seccomp::SystemCallFilter;
use runtime::{Init, Privileges, Program, Streams};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

use super::build::Flags;
use super::store_path::StorePath;
use crate::container::create_dir;
use crate::report::printable::{Printable, plain};
use crate::report::progress::Progress;
use daemon::Daemon;
use view::View;

/// The user and group that evaluate: `nobody` and `nogroup`, which own no file.
const NOBODY: u32 = 65534;

/// What is to be built in the sandbox.
#[derive(Debug)]
pub struct Task<'a> {
    /// The program of Nix: `nix-build` or `nix`.
    pub program: &'a str,
    /// Its arguments, without the link to the result.
    pub arguments: Vec<OsString>,
    /// Its last argument: a file with an expression, or what names one to Nix.
    pub operand: OsString,
    /// A directory that only root can enter, with the copy of the configuration.
    pub directory: &'a Path,
    /// The copy in that directory, and the path that the program finds it at.
    pub configuration: (&'a Path, &'a Path),
    /// A file of the host that the host's root has named, and the configuration may
    /// import.
    pub given: Option<PathBuf>,
    /// The work, for the line that shows its progress.
    pub what: String,
}

/// The end of a build in the sandbox.
pub enum Outcome {
    /// The store path of the result. A link in the task's directory protects it from
    /// Nix' garbage collector.
    Built(PathBuf),
    /// The build failed; the paths of the host that Nix' output names, and that the
    /// sandbox does not show.
    Failed(Vec<PathBuf>),
}

/// Builds in the sandbox.
///
/// # Errors
///
/// The sandbox cannot be made.
pub fn build(task: &Task<'_>, flags: &Flags) -> Result<Outcome> {
    let result = task.directory.join("result");
    let temporary = task.directory.join("tmp");
    create_dir(&root(task.directory), 0o700)?;
    for directory in [&result, &temporary] {
        create_dir(directory, 0o700)?;
        chown(directory, Some(NOBODY), Some(NOBODY))
            .with_context(|| format!("cannot change the owner of {}", directory.display()))?;
    }
    let (copy, place) = task.configuration;
    give_to_nobody(copy)
        .with_context(|| format!("cannot change the owner of {}", copy.display()))?;
    let mut view = View::new(task.program)?;
    let operand = view.show_nixos(Path::new(&task.operand))?;
    view.show_store();
    if let Some(given) = &task.given {
        view.show_if_present(given, given);
    }
    view.write_at(copy, place);
    view.write_at(&result, &result);
    view.write_at(&temporary, Path::new("/tmp"));
    let nix_path = view.show_nix_path()?;
    let settings = settings::for_client()?;
    let socket = daemon::hosts_socket();
    let daemon = match &socket {
        Some(_) => None,
        None => Some(Daemon::start(task.directory, flags)?),
    };
    let socket = socket.or(daemon.as_ref().map(|daemon| daemon.socket().to_owned()));
    if let Some(socket) = socket {
        view.write_at(&socket, Path::new(daemon::SOCKET));
    }
    let mut arguments = Vec::new();
    for word in &task.arguments {
        arguments.push(text(word)?);
    }
    let link = result.join("system");
    arguments.extend(["--out-link".to_owned(), text(link.as_os_str())?, operand]);
    let mut environment = view.environment();
    environment.extend([
        ("NIX_REMOTE".to_owned(), "daemon".to_owned()),
        ("NIX_PATH".to_owned(), nix_path),
    ]);
    let program = Program {
        mount_point: root(task.directory),
        mounts: view.mounts(),
        files: vec![
            ("/etc/passwd".into(), PASSWD.to_owned()),
            ("/etc/group".into(), GROUP.to_owned()),
            (settings::PLACE.into(), settings),
        ],
        links: view.links(),
        init: Init {
            program: view.program().to_owned(),
            arguments,
            environment,
            working_directory: "/tmp".into(),
            user: Some(runtime::spec::accounts::User::Number(NOBODY)),
            streams: Streams::Pipe,
            below_stub: true,
        },
        privileges: privileges(CapabilitySet::NONE),
        socket: None,
    };
    let started = start(&program).context("cannot start Nix in its sandbox")?;
    let progress = Progress::new(task.what.clone());
    let shorten = io::IsTerminal::is_terminal(&io::stderr())
        && !task.arguments.iter().any(|word| word == "--log-format");
    let log = follow(
        &started,
        daemon.as_ref().map(Daemon::output),
        shorten.then_some(&progress),
    )?;
    let exit = started.init.wait().context("cannot wait for Nix")?;
    drop(progress);
    if exit == Exit::Code(0) {
        return Ok(Outcome::Built(result_at(&link)?));
    }
    if shorten {
        say!("{}", log.trim_end());
    }
    Ok(Outcome::Failed(outside::named(&log, |path| {
        view.shows(path)
    })))
}

/// The accounts that the sandbox knows (`man 5 passwd`).
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// The directory that a program's root is mounted over.
fn root(directory: &Path) -> PathBuf {
    directory.join("root")
}

/// Privileges with these capabilities at most.
fn privileges(bounding: CapabilitySet) -> Privileges {
    Privileges {
        bounding,
        ambient: CapabilitySet::NONE,
        no_new_privileges: true,
        system_calls: SystemCallFilter::for_bounding_set(bounding),
    }
}

fn start(program: &Program) -> Result<Started> {
    let plan = runtime::plan_program(program);
    // `main` has seen to it for the commands that come here.
    let sealed = Sealed::ensure().context("cannot seal this program")?;
    // SAFETY: the command has one thread; the line that shows its progress, which has
    // another, comes later and is gone before the next build.
    let starting = unsafe { launch::spawn(&plan, None, sealed) }?;
    starting.go()?;
    Ok(starting.finish()?)
}

fn text(word: &std::ffi::OsStr) -> Result<String> {
    match word.to_str() {
        Some(word) => Ok(word.to_owned()),
        None => bail!("{} is not UTF-8, as Nix requires", word.display()),
    }
}

/// Makes the copy of a configuration the sandbox's own: git refuses repositories of
/// other users.
fn give_to_nobody(copy: &Path) -> io::Result<()> {
    // Not recursive: the container has chosen the depth of the tree.
    let mut pending = vec![copy.to_owned()];
    while let Some(path) = pending.pop() {
        lchown(&path, Some(NOBODY), Some(NOBODY))?;
        if fs::symlink_metadata(&path)?.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// The store path that the link leads to. The sandbox has made the link.
fn result_at(link: &Path) -> Result<PathBuf> {
    let system = fs::read_link(link)
        .with_context(|| format!("cannot find the result of Nix at {}", link.display()))?;
    if StorePath::exactly(&system).is_none()
        || !fs::symlink_metadata(&system).is_ok_and(|file| file.is_dir())
    {
        bail!(
            "the result of Nix is {:?}, but must be a directory of the store",
            system.display()
        );
    }
    Ok(system)
}

/// The largest part of a log that is kept, in bytes.
const LONGEST_LOG: usize = 4 << 20;
/// The longest line, in bytes; a longer one counts as several.
const LONGEST_LINE: usize = 64 << 10;

/// Reads Nix' output to its end. With a line for the progress, it shows the latest line
/// there; otherwise it prints everything. Returns the end of the output.
fn follow(nix: &Started, daemon: Option<&OwnedFd>, progress: Option<&Progress>) -> Result<String> {
    let cannot = "cannot read Nix's log";
    let mut printable = Printable::new(io::stderr());
    let mut log = String::new();
    let mut line = Vec::new();
    let mut take = |line: &mut Vec<u8>, log: &mut String| {
        let text = String::from_utf8_lossy(line).into_owned();
        line.clear();
        // Nix' result, which it prints to the standard output.
        if StorePath::exactly(Path::new(text.trim_end())).is_some() {
            return;
        }
        match progress {
            Some(progress) => progress.say(Some(plain(&text).trim_end())),
            None => {
                let _ = printable.write_all(text.as_bytes());
            }
        }
        for line in text.lines() {
            log.push_str(&plain(line));
            log.push('\n');
        }
        if log.len() > LONGEST_LOG {
            let cut = log.len() - LONGEST_LOG / 2;
            let cut = log.char_indices().map(|(at, _)| at).find(|at| *at >= cut);
            log.drain(..cut.unwrap_or(0));
        }
    };
    let mut daemon = daemon;
    let mut buffer = [0; 16 << 10];
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(nix.console.as_fd(), PollFlags::IN)];
        fds.extend(daemon.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        retry_on_intr(|| poll(&mut fds, None)).context(cannot)?;
        let daemon_speaks = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        let nix_speaks = !fds[0].revents().is_empty();
        // The daemon's own words are about connections; a full pipe would stop it.
        if daemon_speaks && let Some(pipe) = daemon {
            let length = rustix::io::read(pipe, &mut buffer).unwrap_or(0);
            if length == 0 {
                daemon = None;
            }
            log::debug!(
                "daemon: {}",
                plain(&String::from_utf8_lossy(&buffer[..length]))
            );
        }
        if !nix_speaks {
            continue;
        }
        let length =
            retry_on_intr(|| rustix::io::read(&nix.console, &mut buffer)).context(cannot)?;
        if length == 0 {
            take(&mut line, &mut log);
            return Ok(log);
        }
        for byte in &buffer[..length] {
            line.push(*byte);
            if *byte == b'\n' || line.len() == LONGEST_LINE {
                take(&mut line, &mut log);
            }
        }
    }
}

/// Makes a directory that every user can write to, as `/tmp`.
fn create_shared_dir(path: &Path) -> Result<()> {
    create_dir(path, 0o700)?;
    fs::set_permissions(path, Permissions::from_mode(0o1777))
        .with_context(|| format!("cannot open {} to all users", path.display()))
}

/// Reads a file of the host, if it is there.
fn read_if_present(path: &Path) -> Result<String> {
    let mut text = String::new();
    match fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        answer => {
            answer.with_context(|| format!("cannot read {}", path.display()))?;
            Ok(text)
        }
    }
}
