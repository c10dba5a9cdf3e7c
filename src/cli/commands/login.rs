//! `login`: a login prompt of the container, for every user of the host.
//!
//! ```text
//! login foo                 supervisor            serve-login foo, as root
//!   connects, asks ────────▶ starts ─────────────▶ opens a terminal inside,
//!                                                  starts a getty there
//!   ◀── the terminal's main end ──────────────────
//!   relays input and output                        waits for the end
//!   ends ─────────────────────────────────────────▶ stops the getty
//! ```
//!
//! The container decides by its own passwords which users may log in. Before
//! that, no program of the user's choice runs inside; and none ever runs with the
//! user's rights on the host.

use std::io::{IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use runtime::process::enter::Stream;
use runtime::process::pty::Pty;
use runtime::spec::accounts::{Account, User};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};

use super::exec;
use crate::cli::terminal::{ESCAPE_HINT, End, Peer, Relay, Signals};
use crate::container::Container;
use crate::container::running::Running;
use crate::control::{Connection, Event, PublicRequest};
use crate::report::exit_codes;

/// `login NAME`
pub fn login(container: &Container) -> Result<ExitCode> {
    let supervisor = container.connect_public()?;
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        bail!("a login prompt needs a terminal as standard input and output");
    }
    let signals = Signals::catch()?;
    let main = request_prompt(container, &supervisor)?;
    say!("In {container}; {ESCAPE_HINT}.");
    let relay = Relay::to_terminal(Peer::Prompt(&supervisor), signals, main)?;
    Ok(match relay.run()? {
        End::Left => {
            say!("\nLeft {container}.");
            ExitCode::SUCCESS
        }
        End::Exited(_) | End::Stopped => {
            say!("\nContainer '{}' has stopped.", container.name());
            ExitCode::from(exit_codes::FAILURE)
        }
    })
}

fn request_prompt(container: &Container, supervisor: &Connection) -> Result<OwnedFd> {
    let stopped = || format!("{container} has just stopped");
    // If the supervisor does not take the request, the next event says why.
    let _ = supervisor.send_request(&PublicRequest::Login);
    loop {
        match supervisor.next_event().with_context(stopped)? {
            Some((Event::Terminal, terminal)) => {
                let main = terminal.into_iter().next();
                return main.context("the supervisor sent no terminal");
            }
            Some((Event::Failed { why, .. }, _)) => {
                bail!("cannot log in to {container}: {why}")
            }
            Some(_) => {}
            None => bail!(stopped()),
        }
    }
}

/// `serve-login NAME`. Standard input is the connection to the user's `login`.
pub fn serve(container: &Container) -> Result<ExitCode> {
    let user = std::io::stdin().as_fd().try_clone_to_owned();
    let user = Connection::from_descriptor(user.context("cannot duplicate standard input")?);
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
        .chown_to_root(pty.terminal.as_fd())
        .context("cannot give the terminal to the container's root")?;
    let getty = getty_of(&pty)?;
    // Queued and not waited for: while the container boots, the prompt comes as
    // soon as it can.
    systemctl(container, running, &["start", "--no-block", &getty])?;
    // If the user has gone already, `await_end` returns at once.
    let _ = user.send_event(&Event::Terminal, &[pty.main.as_fd()]);
    // As long as the terminal is open, no other gets the same number, and with it
    // this getty. So it stays open until the getty has stopped.
    let Pty { main, terminal } = pty;
    if let Gone::User = await_end(running, user)? {
        // The end of the main end hangs the terminal up: what runs there ends, and
        // systemd would start a getty there again and again, until it gives up
        // (`Restart=always`). So systemd knows before that it is to stop.
        systemctl(container, running, &["stop", "--no-block", &getty])?;
        drop(main);
        systemctl(container, running, &["stop", &getty])?;
    }
    drop(terminal);
    Ok(())
}

/// The unit that systemd has for this purpose (`man 1 machinectl`, `login`). The
/// container's configuration decides what runs in it.
fn getty_of(pty: &Pty) -> Result<String> {
    let path = rustix::pty::ptsname(&pty.main, Vec::new()).context("cannot name the terminal")?;
    let path = path.to_string_lossy();
    let number = path.strip_prefix("/dev/pts/").unwrap_or_default();
    Ok(format!("container-getty@{number}.service"))
}

fn systemctl(container: &Container, running: &Running, words: &[&str]) -> Result<()> {
    let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let nothing = nothing.context("cannot open /dev/null")?;
    let (stderr, writer) = std::io::pipe().context("cannot make a pipe")?;
    let streams = [
        Stream::Given(nothing.try_clone().context("cannot copy a descriptor")?),
        Stream::Given(nothing),
        Stream::Given(writer.into()),
    ];
    let command = std::iter::once("systemctl").chain(words.iter().copied());
    let root = exec::account(running, &User::root())?.unwrap_or_else(Account::bare_root);
    let entered = exec::start(
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
    // Other processes may still have the other end open.
    rustix::io::ioctl_fionbio(&stderr, true).context("cannot read a pipe")?;
    let _ = stderr.take(LONGEST_ERROR).read_to_string(&mut why);
    bail!(
        "`systemctl {}` failed inside: {}",
        words.join(" "),
        why.trim()
    )
}

/// Longest part of systemctl's error output that is shown, in bytes.
const LONGEST_ERROR: u64 = 1024;

enum Gone {
    User,
    Container,
}

fn await_end(running: &Running, user: &Connection) -> Result<Gone> {
    loop {
        // Only the end of the user's connection matters.
        let mut fds = [
            PollFd::new(&running.leader_fd, PollFlags::IN),
            PollFd::new(user, PollFlags::empty()),
        ];
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            answer => answer.context("cannot poll")?,
        };
        match fds.map(|fd| fd.revents().is_empty()) {
            [false, _] => return Ok(Gone::Container),
            [_, false] => return Ok(Gone::User),
            _ => {}
        }
    }
}
