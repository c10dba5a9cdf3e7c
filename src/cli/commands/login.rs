//! `login`: a login prompt of the container, for everybody on the host.
//!
//! ```text
//! login foo                 supervisor            serve-login foo, as root
//!   connects, asks ────────▶ starts ─────────────▶ opens a terminal inside
//!                                                  has systemd start a getty there
//!   ◀── the terminal's other end ─────────────────
//!   shows it                                       waits for the user to go
//!   ends ─────────────────────────────────────────▶ has the getty stopped
//! ```
//!
//! Who may log in is the container's to say, by its own passwords; nothing of
//! the user's runs inside before that, and nothing with the user's rights ever.

use std::io::{IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use runtime::process::enter::Stream;
use runtime::process::pty::Pty;
use runtime::spec::accounts::{Account, User};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};

use super::inside;
use crate::cli::terminal::{End, LEAVE_HINT, Relay, Signals};
use crate::container::Container;
use crate::container::running::Running;
use crate::control::{Connection, Event, PublicRequest};

/// `login NAME`
pub fn login(container: &Container) -> Result<ExitCode> {
    let supervisor = container.visit()?;
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        bail!("a login prompt needs a terminal as standard input and output");
    }
    let signals = Signals::catch()?;
    let main = ask(container, &supervisor)?;
    say!("In container '{}'; {LEAVE_HINT}.", container.name());
    Ok(match Relay::to_prompt(&supervisor, signals, main)?.run()? {
        End::Left => {
            say!("\nLeft container '{}'.", container.name());
            ExitCode::SUCCESS
        }
        End::Exited(_) | End::Stopped => {
            say!("\nContainer '{}' has stopped.", container.name());
            ExitCode::FAILURE
        }
    })
}

fn ask(container: &Container, supervisor: &Connection) -> Result<OwnedFd> {
    let stopped = || format!("container '{}' has just stopped", container.name());
    // If it does not listen, the next event says why.
    let _ = supervisor.send_request(&PublicRequest::Login);
    loop {
        match supervisor.next_event().with_context(stopped)? {
            Some((Event::Terminal, terminal)) => {
                let main = terminal.into_iter().next();
                return main.context("the supervisor sent no terminal");
            }
            Some((Event::Failed { why, .. }, _)) => {
                bail!("cannot log in to container '{}': {why}", container.name())
            }
            Some(_) => {}
            None => bail!(stopped()),
        }
    }
}

/// `serve-login NAME`, with the connection of who asked as standard input.
pub fn serve(container: &Container) -> Result<ExitCode> {
    let user = std::io::stdin().as_fd().try_clone_to_owned();
    let user = Connection::from_descriptor(user.context("cannot take over standard input")?);
    let running = container.require_running()?;
    let served = serve_user(container, &running, &user);
    if let Err(error) = &served {
        let why = format!("{error:#}");
        let _ = user.send_event(&Event::failed(why), &[]);
    }
    served.map(|()| ExitCode::SUCCESS)
}

fn serve_user(container: &Container, running: &Running, user: &Connection) -> Result<()> {
    let pty = Pty::open(&running.root()?).context("cannot open a terminal inside")?;
    running
        .give_to_root(pty.terminal.as_fd())
        .context("cannot give the terminal to the container's root")?;
    let getty = getty_of(&pty)?;
    // At a boot's end, not waiting for it: a prompt is the sooner there.
    systemctl(container, running, &["start", "--no-block", &getty])?;
    // If the user has gone already, that is the end.
    let _ = user.send_event(&Event::Terminal, &[pty.main.as_fd()]);
    // Open, the terminal's end inside keeps its number from going to another
    // terminal, which would get this one's getty, until that has stopped.
    let Pty { main, terminal } = pty;
    drop(main);
    let stopped = match await_end(running, user)? {
        Gone::User => systemctl(container, running, &["stop", &getty]),
        Gone::Container => Ok(()),
    };
    drop(terminal);
    stopped
}

/// The unit that systemd has for this purpose (`man 1 machinectl`, `login`).
/// What runs in it is the container's configuration.
fn getty_of(pty: &Pty) -> Result<String> {
    let path = rustix::pty::ptsname(&pty.main, Vec::new()).context("cannot name the terminal")?;
    let path = path.to_string_lossy();
    let number = path.strip_prefix("/dev/pts/").unwrap_or_default();
    Ok(format!("container-getty@{number}.service"))
}

fn systemctl(container: &Container, running: &Running, words: &[&str]) -> Result<()> {
    let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let nothing = nothing.context("cannot open /dev/null")?;
    let (said, theirs) = std::io::pipe().context("cannot make a pipe")?;
    let streams = [
        Stream::Given(nothing.try_clone().context("cannot copy a descriptor")?),
        Stream::Given(nothing),
        Stream::Given(theirs.into()),
    ];
    let command = std::iter::once("systemctl").chain(words.iter().copied());
    let root = inside::account(running, &User::root())?.unwrap_or_else(Account::bare_root);
    let entered = inside::start(
        container,
        running,
        root,
        command.map(Into::into).collect(),
        Vec::new(),
        streams,
        None,
    )?;
    let exit = entered
        .process
        .wait()
        .context("cannot wait for systemctl")?;
    if exit.status() == 0 {
        return Ok(());
    }
    let mut why = String::new();
    // What holds the other end by now is systemctl's no more.
    rustix::io::ioctl_fionbio(&said, true).context("cannot read a pipe")?;
    let _ = said.take(LONGEST_WORDS).read_to_string(&mut why);
    bail!(
        "`systemctl {}` failed inside: {}",
        words.join(" "),
        why.trim()
    )
}

/// What is shown of systemctl's words, in bytes.
const LONGEST_WORDS: u64 = 1024;

enum Gone {
    User,
    Container,
}

fn await_end(running: &Running, user: &Connection) -> Result<Gone> {
    loop {
        // A user has no more to say here.
        let mut fds = [
            PollFd::new(&running.leader_fd, PollFlags::IN),
            PollFd::new(user, PollFlags::empty()),
        ];
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            answer => answer.context("cannot wait")?,
        };
        match fds.map(|fd| fd.revents().is_empty()) {
            [false, _] => return Ok(Gone::Container),
            [_, false] => return Ok(Gone::User),
            _ => {}
        }
    }
}
