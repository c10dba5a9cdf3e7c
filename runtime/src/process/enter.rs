//! Processes that enter a running container.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::fs::{Gid, Uid};
use rustix::process::DumpableBehavior;
use rustix::termios::OptionalActions;
use rustix::thread::ThreadNameSpaceType;

use super::handshake::{self, ChildEnd, LaunchError};
use super::pty::Pty;
use super::sealed::Sealed;
use crate::rootfs::Root;
use crate::spec::accounts::Account;
use crate::sys::clone::{self, Side};
use crate::sys::pidfd::Process;
use crate::sys::{exec, user_namespace};

mod confinement;
mod inherited;

pub use confinement::Confinement;

/// A program to run inside.
#[derive(Debug)]
pub struct Entry {
    /// The user that it runs as.
    pub account: Account,
    /// Words to execute from the login shell; none for the shell itself.
    pub command: Vec<OsString>,
    /// Environment besides that of a login. The system's profile may change
    /// it, as at any login.
    pub environment: Vec<(String, String)>,
    /// Environment of the command, which the profile cannot change. The keys are
    /// names to a shell.
    pub set_environment: Vec<(String, String)>,
    /// Its standard input, output and error.
    pub streams: [Stream; 3],
    /// The bounds of all processes inside.
    pub confinement: Confinement,
}

/// One of the standard streams of a process that enters.
#[derive(Debug)]
pub enum Stream {
    /// The caller's.
    Callers,
    /// Another file.
    Given(OwnedFd),
    /// A terminal of the container's, the same for all streams that have one.
    Terminal,
}

/// A process that entered.
#[derive(Debug)]
pub struct Entered {
    /// The process.
    pub process: Process,
    /// The other end of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
}

/// All namespaces but that of PIDs, which is entered for children only, and that
/// of users.
const NAMESPACES: ThreadNameSpaceType = ThreadNameSpaceType::MOUNT
    .union(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME)
    .union(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION)
    .union(ThreadNameSpaceType::NETWORK)
    .union(ThreadNameSpaceType::CONTROL_GROUP);

/// Starts a user's login shell, or a command from it, in the namespaces of
/// `leader` (the pidfd of the container's init) and in `cgroup`. Processes inside
/// can keep it from being executed, for example by a lease on the shell's file
/// (`man 2 fcntl`): it is killed when `give_up` is readable.
///
/// # Safety
///
/// The calling process has one thread, and makes no child of its own after this:
/// its children are born into the container's pid namespace.
pub unsafe fn enter(
    leader: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    entry: &Entry,
    give_up: Option<BorrowedFd<'_>>,
    _: Sealed,
) -> Result<Entered, LaunchError> {
    // A pid namespace holds for children only, so the parent enters it
    // (man 7 pid_namespaces, setns).
    move_into(leader, ThreadNameSpaceType::PROCESS_ID)?;
    let (ours, theirs) = handshake::pair()?;
    // The child takes no signal until it is in a session of its own: a `^Z` before
    // would stop it, and the caller would wait for it.
    let callers_mask = SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_SETMASK)
        .map_err(io::Error::from)?;
    // SAFETY: the caller has one thread.
    let side = unsafe { clone::clone(0, Some(cgroup)) };
    if !matches!(side, Ok(Side::Child)) {
        callers_mask.thread_set_mask().map_err(io::Error::from)?;
    }
    match side {
        Err(cause) => Err(LaunchError::Clone(cause)),
        Ok(Side::Parent(process)) => {
            drop(theirs);
            let executed = ours.await_exec(give_up);
            if matches!(executed, Err(LaunchError::GivenUp)) {
                process.signal(libc::SIGKILL)?;
            }
            let terminal = executed?;
            Ok(Entered { process, terminal })
        }
        Ok(Side::Child) => {
            drop(ours);
            match prepare(leader, entry, &theirs) {
                Ok(()) => {
                    let shell =
                        format!("execute the login shell {}", entry.account.shell.display());
                    theirs.send_failure(&shell, &exec(entry, &theirs));
                }
                Err(cause) => theirs.send_failure("enter the container", &cause),
            }
            clone::exit(1)
        }
    }
}

/// Everything before the execution of the program.
fn prepare(leader: BorrowedFd<'_>, entry: &Entry, parent: &ChildEnd) -> io::Result<()> {
    // From here on processes inside see this one. They must not see into it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    entry.confinement.take_limits()?;
    inherited::take_from_init()?;
    entry.confinement.take_oom_score()?;
    enter_namespaces(leader)?;
    // Not in the caller's session: processes from inside must not get hold of its
    // terminal, and a waiting caller passes signals on to one process group.
    rustix::process::setsid()?;
    take_streams(entry, parent)?;
    exec::close_all_but(exec::STREAMS, parent.as_fd());
    entry.confinement.confine_thread()?;
    exec::reset_signals()?;
    let account = &entry.account;
    join_groups(account)?;
    // As late as root's privileges last: it may refuse the calls before.
    entry.confinement.filter_system_calls()?;
    become_user(account)?;
    Ok(rustix::process::chdir(&account.home).or_else(|_| rustix::process::chdir("/"))?)
}

/// Executes the program; returns only if that fails.
fn exec(entry: &Entry, parent: &ChildEnd) -> io::Error {
    exec::exec_as(
        &entry.account.shell,
        &login_arguments(entry),
        &environment(entry),
        exec::STREAMS,
        parent.as_fd(),
    )
}

fn join_groups(account: &Account) -> io::Result<()> {
    let gid = Gid::from_raw(account.gid);
    let groups: Vec<_> = account.groups.iter().copied().map(Gid::from_raw).collect();
    rustix::thread::set_thread_groups(&groups)?;
    Ok(rustix::thread::set_thread_res_gid(gid, gid, gid)?)
}

/// The caller is root already. For any other user, the kernel takes all
/// capabilities away (`man 7 capabilities`, "Effect of user ID changes on
/// capabilities").
fn become_user(account: &Account) -> io::Result<()> {
    let uid = Uid::from_raw(account.uid);
    if uid.is_root() {
        return Ok(());
    }
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

/// Enters all at once: the caller has the capabilities of the host's root until it
/// is in the user namespace, and the other namespaces need not belong to that.
fn enter_namespaces(leader: BorrowedFd<'_>) -> io::Result<()> {
    match move_into(leader, NAMESPACES | ThreadNameSpaceType::USER) {
        // It is in this user namespace already (man 2 setns, EINVAL).
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => move_into(leader, NAMESPACES)?,
        answer => answer?,
    }
    user_namespace::become_root()
}

fn move_into(leader: BorrowedFd<'_>, namespaces: ThreadNameSpaceType) -> io::Result<()> {
    Ok(rustix::thread::move_into_thread_name_spaces(
        leader, namespaces,
    )?)
}

fn take_streams(entry: &Entry, parent: &ChildEnd) -> io::Result<()> {
    let is_terminal = |stream: &Stream| matches!(stream, Stream::Terminal);
    let terminal = if entry.streams.iter().any(is_terminal) {
        Some(open_terminal(entry, parent)?)
    } else {
        None
    };
    let files = entry.streams.each_ref().map(|stream| match stream {
        Stream::Callers => None,
        Stream::Given(file) => Some(file),
        Stream::Terminal => terminal.as_ref(),
    });
    let [input, output, error] = files;
    input.map_or(Ok(()), rustix::stdio::dup2_stdin)?;
    output.map_or(Ok(()), rustix::stdio::dup2_stdout)?;
    error.map_or(Ok(()), rustix::stdio::dup2_stderr)?;
    Ok(())
}

/// Opens a terminal that controls the session; the parent receives its other end.
fn open_terminal(entry: &Entry, parent: &ChildEnd) -> io::Result<OwnedFd> {
    let pty = Pty::open(&Root::open(Path::new("/"))?)?;
    // Set up like the caller's terminal, if it has one, before the first output.
    if let Ok(modes) = rustix::termios::tcgetattr(rustix::stdio::stdin()) {
        rustix::termios::tcsetattr(&pty.terminal, OptionalActions::Now, &modes)?;
    }
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        rustix::termios::tcsetwinsize(&pty.main, size)?;
    }
    // As after a login: others may not write to it (man 1 mesg).
    rustix::fs::fchown(&pty.terminal, Some(Uid::from_raw(entry.account.uid)), None)?;
    rustix::process::ioctl_tiocsctty(&pty.terminal)?;
    parent.send_terminal(pty.main.as_fd())?;
    Ok(pty.terminal)
}

/// A dash before its name makes a shell a login shell (`man 1 login`). It executes
/// the words of the command unchanged.
fn login_arguments(entry: &Entry) -> Vec<OsString> {
    let mut shell = OsString::from("-");
    shell.push(entry.account.shell.file_name().unwrap_or_default());
    let mut arguments = vec![shell];
    let Some(program) = entry.command.first() else {
        return arguments;
    };
    let mut line = OsString::new();
    for (key, value) in &entry.set_environment {
        line.push(format!("{key}="));
        line.push(quote(OsStr::new(value)));
        line.push(" ");
    }
    // Not all shells know `--` here: dash takes it for the program.
    line.push("exec");
    if program.as_bytes().starts_with(b"-") {
        line.push(" --");
    }
    let mut whole = line.clone();
    for word in &entry.command {
        whole.push(" ");
        whole.push(quote(word));
    }
    arguments.push("-c".into());
    let name = entry.account.shell.file_name().unwrap_or_default();
    match parameters(name).filter(|_| whole.len() >= longest_word()) {
        None => arguments.push(whole),
        Some(Parameters { text, has_name }) => {
            line.push(" ");
            line.push(text);
            arguments.push(line);
            arguments.extend(has_name.then(|| name.to_owned()));
            arguments.extend(entry.command.iter().cloned());
        }
    }
    arguments
}

/// How a shell passes on the words that follow a line to execute.
struct Parameters {
    /// What stands for them in the line.
    text: &'static str,
    /// Whether the first word is not one of them, but the name of the shell.
    has_name: bool,
}

/// The parameters of a shell, by the name of its program; `None` if it has none that
/// pass on every word. Words that fit go into the line all the same: some shells show
/// their parameters to the profile, which may change them.
fn parameters(shell: &OsStr) -> Option<Parameters> {
    match shell.to_str()? {
        "sh" | "bash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" => Some(Parameters {
            text: r#""$@""#,
            has_name: true,
        }),
        "fish" => Some(Parameters {
            text: "$argv",
            has_name: false,
        }),
        _ => None,
    }
}

/// The length from which on the kernel takes no word of a command, in bytes
/// (MAX_ARG_STRLEN of `man 2 execve`).
fn longest_word() -> usize {
    32 * rustix::param::page_size()
}

fn environment(entry: &Entry) -> Vec<(String, String)> {
    // The last assignment to a variable counts, and each variable is set once.
    let mut environment = BTreeMap::from(entry.account.environment());
    let shell = entry.account.shell.to_string_lossy().into_owned();
    environment.insert("SHELL".to_owned(), shell);
    environment.extend(entry.environment.iter().cloned());
    environment.extend(entry.set_environment.iter().cloned());
    environment.into_iter().collect()
}

/// Quotes a word so that every shell in use reads it back.
fn quote(word: &OsStr) -> OsString {
    let parts: Vec<_> = word.as_bytes().split(|byte| *byte == b'\'').collect();
    OsString::from_vec([b"'", &parts.join(&br"'\''"[..])[..], b"'"].concat())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;
    use crate::sys::capabilities::CapabilitySet;
    use crate::sys::seccomp::SystemCallFilter;

    fn entry(command: &[&str], set_environment: &[(&str, &str)]) -> Entry {
        let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
        let filter = SystemCallFilter::for_bounding_set(CapabilitySet::SYSTEM);
        let filter = filter.program().expect("a filter");
        Entry {
            account: Account {
                shell: "/run/sw/bin/bash".into(),
                ..Account::bare_root()
            },
            command: command.iter().map(OsString::from).collect(),
            environment: vec![("PATH".to_owned(), "/bin".to_owned())],
            set_environment: set_environment.iter().map(owned).collect(),
            streams: [Stream::Callers, Stream::Callers, Stream::Callers],
            confinement: Confinement::of(std::process::id().cast_signed(), filter)
                .expect("readable"),
        }
    }

    #[test]
    fn without_a_command_it_is_the_login_shell() {
        assert_eq!(login_arguments(&entry(&[], &[])), ["-bash"]);
    }

    #[test]
    fn words_of_a_command_stay_whole() {
        let entry = entry(&["echo", "it's", "$HOME; `x`", ""], &[]);
        assert_eq!(
            login_arguments(&entry),
            ["-bash", "-c", r"exec 'echo' 'it'\''s' '$HOME; `x`' ''"]
        );
    }

    #[test]
    fn words_that_fit_no_line_are_passed_on_by_the_shells_that_can() {
        let words = [
            "a b",
            "it's",
            "$HOME; `x`",
            "",
            "*",
            "\\n",
            "two\nlines",
            "-n",
            "--",
        ];
        let numbers: Vec<_> = (0..longest_word() / 8).map(|n| n.to_string()).collect();
        let expected: Vec<_> = words
            .into_iter()
            .chain(numbers.iter().map(|n| &**n))
            .collect();
        let command: Vec<_> = ["printf", "%s\\0"]
            .iter()
            .chain(&expected)
            .copied()
            .collect();
        let mut entry = entry(&command, &[]);
        let mut tried = 0;
        for shell in ["sh", "bash", "dash", "ksh", "mksh", "zsh", "fish"] {
            entry.account.shell = format!("/usr/bin/{shell}").into();
            if !entry.account.shell.exists() {
                continue;
            }
            let arguments = login_arguments(&entry);
            let output = std::process::Command::new(&entry.account.shell)
                .arg0(&arguments[0])
                .args(&arguments[1..])
                .output()
                .expect("it runs");
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let arrived: Vec<_> = printed.split_terminator('\0').collect();
            assert!(arrived == expected, "{shell}: {output:?}");
            tried += 1;
        }
        assert!(tried > 1);
        // csh drops empty words.
        entry.account.shell = "/bin/tcsh".into();
        assert_eq!(login_arguments(&entry).len(), 3);
    }

    #[test]
    fn an_environment_that_is_set_is_the_commands_and_the_shells() {
        let entry = entry(&["env"], &[("PATH", "/a b"), ("HOME", "/tmp"), ("X", "")]);
        assert_eq!(
            login_arguments(&entry)[2],
            "PATH='/a b' HOME='/tmp' X='' exec 'env'"
        );
        let environment = environment(&entry);
        for (key, value) in [
            ("PATH", "/a b"),
            ("HOME", "/tmp"),
            ("X", ""),
            ("USER", "root"),
        ] {
            let of_key: Vec<_> = environment.iter().filter(|(k, _)| k == key).collect();
            assert_eq!(of_key, [&(key.to_owned(), value.to_owned())]);
        }
    }
}
