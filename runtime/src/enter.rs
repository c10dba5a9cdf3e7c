//! A process into a running container.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::process::DumpableBehavior;
use rustix::thread::ThreadNameSpaceType;

use crate::capabilities::CapabilitySet;
use crate::console::Pty;
use crate::handshake::{self, ChildEnd, LaunchError};
use crate::passwd::Account;
use crate::perform;
use crate::process::{self, Process, Side};
use crate::rooted::Root;
use crate::seccomp;

/// What to run inside, and how.
#[derive(Debug)]
pub struct Entry {
    /// Words to execute from the login shell; none for the shell itself.
    pub command: Vec<OsString>,
    /// Environment besides what a login sets.
    pub environment: Vec<(String, String)>,
    /// Which of standard input, output and error become a terminal of the
    /// container's own. The others are the caller's.
    pub terminal_streams: [bool; 3],
    /// What root may do in there.
    pub capabilities: CapabilitySet,
}

/// A process that entered.
#[derive(Debug)]
pub struct Entered {
    /// It.
    pub process: Process,
    /// The other end of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
}

const NAMESPACES: ThreadNameSpaceType = ThreadNameSpaceType::MOUNT
    .union(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME)
    .union(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION)
    .union(ThreadNameSpaceType::NETWORK)
    .union(ThreadNameSpaceType::CONTROL_GROUP);

/// Starts root's login shell, or a command from it, in the namespaces of
/// `leader` (the pidfd of the container's init) and in `cgroup`.
///
/// # Safety
///
/// The calling process has one thread, and no child of its own to make after
/// this: its children are born into the container's pid namespace.
pub unsafe fn enter(
    leader: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    entry: &Entry,
) -> Result<Entered, LaunchError> {
    // A pid namespace holds for children only, so the parent enters it
    // (man 7 pid_namespaces, setns).
    move_into(leader, ThreadNameSpaceType::PROCESS_ID)?;
    let (ours, theirs) = handshake::pair()?;
    // SAFETY: the caller has one thread.
    match unsafe { process::clone(0, Some(cgroup)) } {
        Err(cause) => Err(LaunchError::Clone(cause)),
        Ok(Side::Parent(process)) => {
            drop(theirs);
            let terminal = ours.hear()?;
            Ok(Entered { process, terminal })
        }
        Ok(Side::Child) => {
            drop(ours);
            let Err(cause) = become_login(leader, entry, &theirs);
            theirs.send_failure("enter the container", &cause);
            // SAFETY: ends the child at once, without what the caller
            // registered to be done at its own exit.
            unsafe { libc::_exit(1) }
        }
    }
}

fn become_login(
    leader: BorrowedFd<'_>,
    entry: &Entry,
    parent: &ChildEnd,
) -> io::Result<std::convert::Infallible> {
    // From here on processes inside can see this one; not into it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    move_into(leader, NAMESPACES)?;
    // Not in the caller's session: what comes from inside must not get hold of
    // its terminal, and who waits hands signals on to one process group.
    rustix::process::setsid()?;
    if entry.terminal_streams.contains(&true) {
        take_terminal(entry.terminal_streams, parent)?;
    }
    let user = Account::of_root(&Root::open(Path::new("/"))?)?;
    rustix::thread::set_thread_groups(&[rustix::fs::Gid::ROOT])?;
    rustix::process::chdir(&user.home).or_else(|_| rustix::process::chdir("/"))?;
    entry.capabilities.bound_thread()?;
    seccomp::filter_system_calls()?;
    perform::reset_signals()?;
    Err(perform::exec_as(
        &user.shell,
        &user.login_arguments(&entry.command),
        &user.environment(&entry.environment),
    ))
}

fn move_into(leader: BorrowedFd<'_>, namespaces: ThreadNameSpaceType) -> io::Result<()> {
    Ok(rustix::thread::move_into_thread_name_spaces(
        leader, namespaces,
    )?)
}

fn take_terminal(streams: [bool; 3], parent: &ChildEnd) -> io::Result<()> {
    let pty = Pty::open(&Root::open(Path::new("/"))?)?;
    rustix::process::ioctl_tiocsctty(&pty.terminal)?;
    let [input, output, error] = streams;
    if input {
        rustix::stdio::dup2_stdin(&pty.terminal)?;
    }
    if output {
        rustix::stdio::dup2_stdout(&pty.terminal)?;
    }
    if error {
        rustix::stdio::dup2_stderr(&pty.terminal)?;
    }
    parent.send_terminal(pty.main.as_fd())
}

/// Longest `/etc/passwd` that is read, in bytes.
const LONGEST_PASSWD: u64 = 4 << 20;

impl Account {
    fn of_root(container: &Root) -> io::Result<Self> {
        let passwd = container.read_file(Path::new("/etc/passwd"), LONGEST_PASSWD);
        let passwd = passwd.unwrap_or_default();
        let passwd = String::from_utf8_lossy(&passwd);
        Ok(passwd
            .lines()
            .find_map(Self::parse_root)
            .unwrap_or_else(Self::bare_root))
    }

    /// A system so early in its first boot that it has no users.
    fn bare_root() -> Self {
        Self {
            name: "root".to_owned(),
            home: "/root".into(),
            shell: "/bin/sh".into(),
        }
    }

    /// A login shell is told so by the dash before its name (`man 1 login`).
    /// It executes the command's words as they are, with nothing of its own.
    fn login_arguments(&self, command: &[OsString]) -> Vec<OsString> {
        let mut shell = OsString::from("-");
        shell.push(self.shell.file_name().unwrap_or_default());
        let mut arguments = vec![shell];
        if let Some(program) = command.first() {
            // Not all shells know `--` here: dash takes it for the program.
            let mut line = OsString::from("exec");
            if program.as_bytes().starts_with(b"-") {
                line.push(" --");
            }
            for word in command {
                line.push(" ");
                line.push(quote(word));
            }
            arguments.extend(["-c".into(), line]);
        }
        arguments
    }

    fn environment(&self, further: &[(String, String)]) -> Vec<(String, String)> {
        let login = [
            ("HOME", self.home.to_string_lossy().into_owned()),
            ("SHELL", self.shell.to_string_lossy().into_owned()),
            ("USER", self.name.clone()),
            ("LOGNAME", self.name.clone()),
        ];
        let login = login.map(|(key, value)| (key.to_owned(), value));
        login.into_iter().chain(further.iter().cloned()).collect()
    }
}

/// A word as every shell in use reads it back.
fn quote(word: &OsStr) -> OsString {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_shell_and_home_come_from_passwd() {
        let passwd =
            "toor:x:0:0::/t:/bin/t\nroot:x:0:0:System administrator:/root:/run/sw/bin/bash\n";
        let root = passwd.lines().find_map(Account::parse_root);
        let root = root.expect("a line for root");
        assert_eq!(root.shell, Path::new("/run/sw/bin/bash"));
        assert_eq!(root.login_arguments(&[]), ["-bash"]);
    }

    #[test]
    fn words_of_a_command_stay_whole() {
        let command = ["echo", "it's", "$HOME; `x`", ""].map(OsString::from);
        assert_eq!(
            Account::bare_root().login_arguments(&command),
            ["-sh", "-c", r"exec 'echo' 'it'\''s' '$HOME; `x`' ''"]
        );
    }
}
