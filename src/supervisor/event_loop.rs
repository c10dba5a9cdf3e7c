//! The loop in which a supervisor spends its time: whatever comes from init, the
//! console, the sockets and signals, one after the other.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::sys::signalfd::SignalFd;
use runtime::sys::notify::NotifySocket;
use runtime::sys::pidfd::{self, Exit, Process};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::clients::{self, Clients};
use super::notices;
use crate::config::Execution;
use crate::container::console_log::Console;
use crate::container::name::ContainerName;
use crate::control::{Connection, Event, Listener, Request, State};
use crate::report::printable::plain;
use crate::spec::network::WatchedRules;
use crate::systemd::notify;

/// How often a halt that init was not ready to hear is repeated.
const HALT_RETRY: Duration = Duration::from_millis(50);

/// How long nobody is let in when the host has no descriptor or memory left for
/// another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How a life of a container ended well.
pub enum Ended {
    /// It halted.
    Halted,
    /// It wants to be started again.
    Rebooted,
}

/// What a supervisor hears of its container by, and of all who have to do with it.
pub struct Ends<'a> {
    /// The container's process 1.
    pub init: &'a Process,
    /// The filter of system calls that init was started with, as a file.
    pub system_calls: OwnedFd,
    /// Where it writes, and who reads that.
    pub console: Console,
    /// By which init tells how far it is.
    pub notify: NotifySocket,
    /// By which root's commands come.
    pub control: Listener,
    /// By which everybody comes.
    pub public: Listener,
    /// What it has of the host's rules, as long as that can be kept.
    pub rules: Option<WatchedRules<'a>>,
    /// Those that ask for an end.
    pub signals: &'a SignalFd,
    /// Who came.
    pub clients: &'a mut Clients,
    /// Who started it and waits; nobody in the foreground.
    pub report: Option<&'a Connection>,
}

/// A container from its init's first moment to its last.
pub struct Supervision<'a> {
    name: &'a ContainerName,
    /// How its configuration wants it to be run.
    execution: &'a Execution,
    ends: Ends<'a>,
    state: State,
    /// What init last said of its boot.
    status: Option<String>,
    /// When init is killed.
    deadline: Option<Instant>,
    /// Init was killed because the boot took too long.
    boot_timed_out: bool,
    /// Init was asked to halt before it could hear.
    halt_pending: bool,
    /// Who waits has not heard of the state that the container is in.
    report_pending: bool,
    /// Until when nobody is let in.
    closed_until: Option<Instant>,
}

impl<'a> Supervision<'a> {
    /// Of a container that was started just now; `boot_timeout` is how long it
    /// may take until it is up.
    pub fn new(
        name: &'a ContainerName,
        execution: &'a Execution,
        ends: Ends<'a>,
        boot_timeout: Option<Duration>,
    ) -> Self {
        let mut supervision = Self {
            name,
            execution,
            ends,
            state: State::Up,
            status: None,
            deadline: None,
            boot_timed_out: false,
            halt_pending: false,
            report_pending: false,
            closed_until: None,
        };
        if execution.notify_ready.unwrap_or(true) {
            supervision.state = State::Starting;
            supervision.set_deadline(boot_timeout);
        }
        supervision
    }

    /// Until init ends, and all that it wrote is in the log.
    pub fn until_end(&mut self) -> Result<Exit> {
        self.announce();
        let exit = self.run();
        if exit.is_err() {
            let _ = self.ends.init.signal(libc::SIGKILL);
            let _ = self.ends.init.wait();
        }
        self.ends.console.drain();
        exit
    }

    /// Whether init was killed because the boot took too long.
    pub fn boot_timed_out(&self) -> bool {
        self.boot_timed_out
    }

    /// Whether it has been up.
    pub fn was_up(&self) -> bool {
        self.state != State::Starting
    }

    fn run(&mut self) -> Result<Exit> {
        loop {
            let ready = self.wait().context("cannot wait for the container")?;
            // First, because whatever is announced can change who is connected.
            let requests = self.ends.clients.read(ready.clients, self.name);
            if ready.console {
                self.ends.console.copy();
            }
            if ready.notify {
                self.read_notification()?;
            }
            if ready.signals {
                self.read_signals()?;
            }
            for request in requests {
                self.obey(request);
            }
            if ready.report {
                self.tell_report();
            }
            if ready.rules {
                self.keep_rules();
            }
            if ready.listeners {
                self.accept();
            }
            if ready.init {
                return self.ends.init.wait().context("cannot wait for init");
            }
            let now = Instant::now();
            self.closed_until = self.closed_until.filter(|moment| *moment > now);
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.deadline = None;
                self.boot_timed_out = self.state == State::Starting;
                self.kill(libc::SIGKILL);
            }
            if self.halt_pending {
                self.halt();
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let ends = &self.ends;
        let input = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds = vec![
            input(ends.init.as_fd()),
            input(ends.console.as_fd()),
            input(ends.notify.as_fd()),
            input(ends.signals.as_fd()),
        ];
        let rules = fds.len();
        fds.extend(ends.rules.iter().map(|rules| input(rules.as_fd())));
        let listeners = fds.len();
        if self.closed_until.is_none() {
            fds.extend([input(ends.control.as_fd()), input(ends.public.as_fd())]);
        }
        let report = fds.len();
        if self.report_pending
            && let Some(report) = ends.report
        {
            fds.push(PollFd::from_borrowed_fd(report.as_fd(), PollFlags::OUT));
        }
        let own = fds.len();
        fds.extend(ends.clients.wishes());
        match rustix::event::poll(&mut fds, self.timeout().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready = |range: Range<usize>| fds[range].iter().any(|fd| !fd.revents().is_empty());
        Ok(Ready {
            init: ready(0..1),
            console: ready(1..2),
            notify: ready(2..3),
            signals: ready(3..4),
            rules: ready(rules..listeners),
            listeners: ready(listeners..report),
            report: ready(report..own),
            clients: ends.clients.ready(&fds[own..]),
        })
    }

    fn timeout(&self) -> Option<Timespec> {
        let moments = self.deadline.into_iter().chain(self.closed_until);
        let durations = moments.map(|moment| moment.saturating_duration_since(Instant::now()));
        let until_retry = self.halt_pending.then_some(HALT_RETRY);
        durations.chain(until_retry).min()?.try_into().ok()
    }

    /// Lets in whoever waits. Many who do, or a host that has run out of
    /// something, are no reason to end the container.
    fn accept(&mut self) {
        let event = self.event();
        let ends = &mut self.ends;
        let handles = [ends.init.as_fd(), ends.system_calls.as_fd()];
        let accepted = ends
            .clients
            .accept(&ends.control, &event, &handles)
            .and_then(|()| ends.clients.accept_visitors(&ends.public, &event));
        if accepted.is_err() {
            self.closed_until = Some(Instant::now() + ACCEPT_RETRY);
        }
    }

    /// A container whose ports are gone goes on.
    fn keep_rules(&mut self) {
        let Some(rules) = &self.ends.rules else {
            return;
        };
        let said = rules.restore_if_lost().unwrap_or_else(|error| {
            self.ends.rules = None;
            vec![format!(
                "{}; when that is mended, `nixos-container restart {}` sets them up anew",
                super::in_a_line(&error),
                self.name
            )]
        });
        notices::tell(said, self.ends.report, self.ends.console.log());
    }

    fn read_notification(&mut self) -> Result<()> {
        let notification = self
            .ends
            .notify
            .receive(|pid| self.is_init(pid))
            .context("cannot read what init reports")?;
        let Some(notification) = notification else {
            return Ok(());
        };
        let status = notification.status.as_deref().map(plain);
        // Of most that it sends, such as which unit is active, nobody hears.
        let said = status.is_some() && self.status != status;
        if said {
            self.status = status;
        }
        let booted = notification.ready && self.state == State::Starting;
        if booted {
            self.state = State::Up;
            self.set_deadline(None);
        }
        if said || booted {
            self.announce();
        }
        Ok(())
    }

    /// Whether a process speaks for the container: its process 1, or below a
    /// stub its process 2.
    fn is_init(&self, pid: i32) -> bool {
        if self.execution.as_pid2 {
            pidfd::number_inside(pid) == Some(2)
        } else {
            pid == self.ends.init.pid
        }
    }

    fn read_signals(&mut self) -> Result<()> {
        while let Some(signal) = self
            .ends
            .signals
            .read_signal()
            .context("cannot read signals")?
        {
            // In the foreground a terminal that goes takes the container with
            // it; on its own, the supervisor has none.
            let signal = signal.ssi_signo as i32;
            if matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGHUP) {
                self.stop(None);
            }
        }
        Ok(())
    }

    fn obey(&mut self, request: Request) {
        match request {
            Request::Stop { timeout } => self.stop(Some(Duration::from_secs(timeout))),
            Request::Signal(signal) => self.kill(signal),
        }
    }

    fn stop(&mut self, timeout: Option<Duration>) {
        self.state = State::Stopping;
        self.set_deadline(timeout);
        self.halt();
        self.announce();
    }

    /// Before init has taken over signals, the kernel would drop one without a
    /// word (`man 7 pid_namespaces`); then it is sent again later.
    fn halt(&mut self) {
        let signal = self.execution.kill_signal;
        let signal = signal.unwrap_or_else(pidfd::halt_signal);
        self.halt_pending = !takes(self.ends.init.pid, signal);
        if !self.halt_pending {
            self.kill(signal);
        }
    }

    fn kill(&self, signal: i32) {
        // Init may be a zombie by now, which the next turn of the loop sees.
        let _ = self.ends.init.signal(signal);
    }

    /// Has init killed after this time, or never, as if it is too long to count.
    fn set_deadline(&mut self, timeout: Option<Duration>) {
        self.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    }

    fn event(&self) -> Event {
        Event::State {
            state: self.state,
            leader: self.ends.init.pid,
            status: self.status.clone(),
        }
    }

    fn announce(&mut self) {
        let event = self.event();
        let handles = [self.ends.init.as_fd(), self.ends.system_calls.as_fd()];
        self.ends.clients.announce(&event, &handles);
        match self.ends.report {
            Some(_) => self.tell_report(),
            None => notify::tell_state(self.state, self.status.as_deref()),
        }
    }

    /// Who waits for the boot must hear of its end, however slowly.
    fn tell_report(&mut self) {
        let handles = [self.ends.init.as_fd(), self.ends.system_calls.as_fd()];
        let told = self
            .ends
            .report
            .map(|report| report.send_event(&self.event(), &handles));
        self.report_pending =
            matches!(told, Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock);
    }

    /// What the end of init means. The kernel tells by a signal what init
    /// asked of `reboot(2)` (`man 2 reboot`, "Behavior inside PID namespaces").
    pub fn judge(&self, exit: Exit) -> Result<Ended> {
        match (exit, self.state) {
            (_, State::Stopping) => Ok(Ended::Halted),
            (Exit::Signal(libc::SIGHUP), _) => Ok(Ended::Rebooted),
            (Exit::Signal(libc::SIGINT) | Exit::Code(0), State::Up) => Ok(Ended::Halted),
            // A program in the place of init, or a halt during the boot.
            (Exit::Code(0), State::Starting) if self.ends.report.is_none() => Ok(Ended::Halted),
            (exit, state) => Err(premature(exit, state)),
        }
    }
}

fn premature(exit: Exit, state: State) -> anyhow::Error {
    let how = match exit {
        Exit::Code(code) => format!("exited with status {code}"),
        Exit::Signal(libc::SIGINT) => "halted".to_owned(),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
    };
    match state {
        State::Starting => anyhow!("the container's init {how} before the system had booted"),
        _ => anyhow!("the container's init {how}"),
    }
}

struct Ready {
    init: bool,
    console: bool,
    notify: bool,
    signals: bool,
    rules: bool,
    listeners: bool,
    report: bool,
    clients: clients::Ready,
}

/// Whether the process handles the signal (as everybody does whom one cannot be
/// kept from), or blocks it to read it from a descriptor as systemd does
/// (`SigCgt` and `SigBlk` of `man 5 proc_pid_status`).
fn takes(pid: i32, signal: i32) -> bool {
    if matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
        return true;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .filter_map(|line| {
            line.strip_prefix("SigCgt:")
                .or(line.strip_prefix("SigBlk:"))
        })
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| mask & (1 << (signal - 1)) != 0)
}
