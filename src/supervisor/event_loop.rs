//! The loop in which a supervisor spends its time: events of init, the console, the
//! sockets and signals, one after the other.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use netns::BridgeWatch;
use runtime::sys::cgroup::{Cgroup, Population};
use runtime::sys::pidfd::{self, Exit, Process};
use runtime::sys::proc::Status;
use runtime::sys::untrusted_socket::Closers;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::clients::{self, Clients};
use super::ending::{Checked, Ending};
use super::nix_changes::NixChanges;
use super::notices;
use super::signals::HaltSignals;
use super::start::Sockets;
use crate::config::Execution;
use crate::container::console_log::Console;
use crate::container::name::ContainerName;
use crate::control::{Connection, Event, Request, State};
use crate::lifecycle::limits;
use crate::lifecycle::network::WatchedRules;
use crate::report::printable::plain;
use crate::systemd::notify;

/// How often the halt signal is tried again while init does not take it.
const HALT_RETRY: Duration = Duration::from_millis(50);

/// How often init is thawed while it halts.
const THAW_RETRY: Duration = Duration::from_secs(1);

/// How long no connection is accepted after one failed, for example because the host
/// had no memory for it.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How often processes that close sockets are checked while there are any.
const CLOSERS_CHECK: Duration = Duration::from_millis(100);

/// How a boot without failure ended.
pub enum Ended {
    /// The container halted.
    Halted,
    /// The container rebooted, so it is to be started again.
    Rebooted,
}

/// The sources of events.
pub struct EventSources<'a> {
    /// Process 1 of the container.
    pub init: &'a Process,
    /// The container's cgroup.
    pub cgroup: Cgroup,
    /// The filter of system calls that init was started with, as a file.
    pub system_calls: OwnedFd,
    /// The container's console, with its log.
    pub console: Console,
    /// The sockets for init and for commands.
    pub sockets: Sockets,
    /// The container's rules in the host's firewall, while they are watched.
    pub rules: Option<WatchedRules<'a>>,
    /// The container's addresses on its link to the host.
    pub own_addresses: Vec<IpAddr>,
    /// The bridges that the container is in, while they are watched.
    pub bridges: Option<BridgeWatch>,
    /// The signals that request a halt.
    pub signals: &'a HaltSignals,
    /// Changes of Nix' state that are made inside.
    pub nix_changes: NixChanges<'a>,
    /// Accepted connections.
    pub clients: &'a mut Clients,
    /// The processes that close what was sent to the sockets.
    pub closers: &'a Closers,
    /// The command that waits for the boot; `None` in the foreground.
    pub report: Option<&'a Connection>,
}

/// The event loop of one boot of a container, from the start of its init to its exit.
pub struct EventLoop<'a> {
    name: &'a ContainerName,
    execution: &'a Execution,
    sources: EventSources<'a>,
    state: State,
    /// The last status that init reported of its boot.
    status: Option<String>,
    /// When init will be killed.
    deadline: Option<Instant>,
    /// Init was killed because the boot took too long.
    boot_timed_out: bool,
    /// How long init may take to halt because of a signal.
    halt_timeout: Option<Duration>,
    /// Init is to be halted, but does not take the signal yet.
    halt_pending: bool,
    /// When init is thawed again; `None` unless it is being halted.
    next_thaw: Option<Instant>,
    /// Whether processes of the container are left; `None` when they are gone, or that
    /// cannot be watched.
    population: Option<Population>,
    ending: Ending,
    /// The present state is still to be sent to the command that waits.
    report_pending: bool,
    /// Until when no connection is accepted.
    closed_until: Option<Instant>,
}

impl<'a> EventLoop<'a> {
    /// The loop of a container that has just been started. Init is killed if the
    /// system has not booted after `boot_timeout`, or not halted `halt_timeout` after a
    /// signal requested that.
    pub fn new(
        name: &'a ContainerName,
        execution: &'a Execution,
        sources: EventSources<'a>,
        boot_timeout: Option<Duration>,
        halt_timeout: Option<Duration>,
    ) -> Self {
        let population = sources.cgroup.population().ok();
        let mut event_loop = Self {
            name,
            execution,
            sources,
            state: State::Up,
            status: None,
            deadline: None,
            boot_timed_out: false,
            halt_timeout,
            halt_pending: false,
            next_thaw: None,
            population,
            ending: Ending::default(),
            report_pending: false,
            closed_until: None,
        };
        if execution.notify_ready.unwrap_or(true) {
            event_loop.state = State::Starting;
            event_loop.set_deadline(boot_timeout);
        }
        event_loop.read_population();
        event_loop
    }

    /// Runs until init has exited and all of its output is in the log.
    pub fn run_until_exit(&mut self) -> Result<Exit> {
        self.announce();
        let exit = self.run();
        if exit.is_err() {
            let _ = self.sources.init.signal(libc::SIGKILL);
            let _ = self.sources.init.wait();
        }
        self.sources.console.drain();
        exit
    }

    /// Whether init was killed because the boot took too long.
    pub fn boot_timed_out(&self) -> bool {
        self.boot_timed_out
    }

    /// Whether the system has been up.
    pub fn was_up(&self) -> bool {
        self.state != State::Starting
    }

    fn run(&mut self) -> Result<Exit> {
        loop {
            let ready = self.wait().context("cannot wait for the container")?;
            self.sources.closers.tend();
            // First, because an announcement can disconnect clients.
            let requests = {
                let init = self.sources.init.pid;
                self.sources.clients.read(ready.clients, self.name, init)
            };
            if ready.console {
                self.sources.console.copy();
            }
            if ready.notify {
                self.read_notification()?;
            }
            if ready.signals {
                self.read_signals()?;
            }
            for request in requests {
                self.handle(request);
            }
            if ready.nix_changes {
                self.sources.nix_changes.note();
            }
            if ready.report {
                self.send_report();
            }
            if ready.rules {
                self.restore_rules();
            }
            if ready.bridges {
                self.follow_bridges();
            }
            if ready.listeners {
                self.accept();
            }
            if ready.population {
                self.read_population();
            }
            if ready.init {
                let exit = self.sources.init.wait().context("cannot wait for init");
                log::info!("init has exited: {exit:?}");
                return exit;
            }
            if let Some(exit) = self.check_ending() {
                return Ok(exit);
            }
            self.sources.nix_changes.take_over();
            let now = Instant::now();
            self.closed_until = self.closed_until.filter(|moment| *moment > now);
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.deadline = None;
                log::warn!("the deadline is over: kill init");
                self.boot_timed_out = self.state == State::Starting;
                self.kill(libc::SIGKILL);
            }
            if self.next_thaw.is_some_and(|moment| moment <= now) {
                self.thaw();
            }
            if self.halt_pending {
                self.halt();
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let sources = &self.sources;
        let input = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let untrusted = match sources.closers.are_free() {
            true => PollFlags::IN,
            false => PollFlags::empty(),
        };
        let mut fds = vec![
            input(sources.init.as_fd()),
            input(sources.console.as_fd()),
            PollFd::from_borrowed_fd(sources.sockets.notify.as_fd(), untrusted),
            input(sources.signals.as_fd()),
            input(sources.nix_changes.as_fd()),
        ];
        let rules = fds.len();
        fds.extend(sources.rules.iter().map(|rules| input(rules.as_fd())));
        let bridges = fds.len();
        fds.extend(sources.bridges.iter().map(|watch| input(watch.as_fd())));
        let population = fds.len();
        let change = |group| PollFd::from_borrowed_fd(group, Population::CHANGE);
        fds.extend(self.population.iter().map(|group| change(group.as_fd())));
        let listeners = fds.len();
        if self.closed_until.is_none() {
            fds.extend([
                input(sources.sockets.control.as_fd()),
                PollFd::from_borrowed_fd(sources.sockets.public.as_fd(), untrusted),
            ]);
        }
        let report = fds.len();
        if self.report_pending
            && let Some(report) = sources.report
        {
            fds.push(PollFd::from_borrowed_fd(report.as_fd(), PollFlags::OUT));
        }
        let clients = fds.len();
        fds.extend(sources.clients.poll_fds());
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
            nix_changes: ready(4..5),
            rules: ready(rules..bridges),
            bridges: ready(bridges..population),
            population: ready(population..listeners),
            listeners: ready(listeners..report),
            report: ready(report..clients),
            clients: sources.clients.ready(&fds[clients..]),
        })
    }

    fn timeout(&self) -> Option<Timespec> {
        let moments = [
            self.deadline,
            self.closed_until,
            self.next_thaw,
            self.ending.due(),
            self.sources.nix_changes.due(),
        ];
        let moments = moments.into_iter().flatten();
        let durations = moments.map(|moment| moment.saturating_duration_since(Instant::now()));
        let until_retry = self.halt_pending.then_some(HALT_RETRY);
        let until_check = (!self.sources.closers.are_idle()).then_some(CLOSERS_CHECK);
        let all = durations.chain(until_retry).chain(until_check);
        all.min()?.try_into().ok()
    }

    /// Accepts connections that wait. A failure, for example for lack of
    /// descriptors, does not end the container.
    fn accept(&mut self) {
        let event = self.event();
        let sources = &mut self.sources;
        let descriptors = [sources.init.as_fd(), sources.system_calls.as_fd()];
        let accepted = sources
            .clients
            .accept_root(&sources.sockets.control, &event, &descriptors)
            .and_then(|()| {
                sources
                    .clients
                    .accept_users(&sources.sockets.public, &event, sources.closers)
            });
        if accepted.is_err() {
            self.closed_until = Some(Instant::now() + ACCEPT_RETRY);
        }
    }

    /// Restores the container's firewall rules if they are lost. If that fails, the
    /// container runs on without them.
    fn restore_rules(&mut self) {
        let Some(rules) = &self.sources.rules else {
            return;
        };
        let notices = rules.restore_if_lost().unwrap_or_else(|error| {
            self.sources.rules = None;
            vec![format!(
                "{}; when that is fixed, `nixos-container restart {}` sets them up again",
                super::one_line(&error),
                self.name
            )]
        });
        notices::send(
            notices,
            self.sources.report,
            Some(self.sources.console.log()),
        );
    }

    /// Keeps the container in its bridges, and from the addresses that they have now.
    fn follow_bridges(&mut self) {
        let Some(Err(error)) = self.sources.bridges.as_mut().map(BridgeWatch::follow) else {
            return;
        };
        self.sources.bridges = None;
        let notice = format!(
            "{}; from now on, the container can send from addresses that its bridge gets, and \
             does not join a bridge that is made anew",
            super::one_line(&error.into())
        );
        notices::send(
            vec![notice],
            self.sources.report,
            Some(self.sources.console.log()),
        );
    }

    fn read_notification(&mut self) -> Result<()> {
        let notification = self
            .sources
            .sockets
            .notify
            .receive(|pid| self.is_init(pid))
            .context("cannot read what init reports")?;
        let Some(notification) = notification else {
            return Ok(());
        };
        let status = notification.status.as_deref().map(plain);
        // Most notifications carry other fields, which no client receives.
        let status_changed = status.is_some() && self.status != status;
        if status_changed {
            log::debug!("init reports: {}", status.as_deref().unwrap_or_default());
            self.status = status;
        }
        if notification.ready && self.state == State::Stopping {
            // The shell of stage 2 has lost the signal while it became systemd.
            self.halt();
        }
        let booted = notification.ready && self.state == State::Starting;
        if booted {
            log::info!("the system is up");
            self.state = State::Up;
            self.set_deadline(None);
        }
        if status_changed || booted {
            self.announce();
        }
        Ok(())
    }

    /// Whether a process may report for the container: process 1, or process 2 below
    /// a stub init.
    fn is_init(&self, pid: i32) -> bool {
        if self.execution.as_pid2 {
            let inside = Status::of(pid).and_then(|status| status.pid_inside());
            inside.is_ok_and(|inside| inside == Some(2))
        } else {
            pid == self.sources.init.pid
        }
    }

    fn read_signals(&mut self) -> Result<()> {
        if self.sources.signals.take()? {
            log::info!("a signal requests a halt");
            // The deadline of a halt that is under way stays.
            let left = self.deadline.filter(|_| self.state == State::Stopping);
            let left = left.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            self.stop(left.or(self.halt_timeout));
        }
        Ok(())
    }

    fn handle(&mut self, request: Request) {
        log::info!("request of a command: {request:?}");
        match request {
            Request::Stop { timeout } => self.stop(Some(Duration::from_secs(timeout))),
            Request::Signal(signal) => self.kill(signal),
            // The clients keep it.
            Request::Entered { .. } => {}
        }
    }

    fn stop(&mut self, timeout: Option<Duration>) {
        self.state = State::Stopping;
        self.set_deadline(timeout);
        self.thaw();
        self.halt();
        self.announce();
    }

    /// Lets a frozen init take signals, as systemd does before it stops a unit. Init
    /// can be frozen again meanwhile: then the deadline ends it.
    fn thaw(&mut self) {
        if let Err(error) = self.sources.cgroup.thaw(self.sources.init.pid) {
            log::debug!("cannot thaw init: {error}");
        }
        self.next_thaw = Instant::now().checked_add(THAW_RETRY);
    }

    /// Sends init the signal to halt, or later if init does not take it yet: the
    /// kernel drops a signal for which process 1 has no handler (`man 7
    /// pid_namespaces`).
    fn halt(&mut self) {
        let signal = self.execution.kill_signal;
        let signal = signal.unwrap_or_else(pidfd::halt_signal);
        self.halt_pending = !takes_signal(self.sources.init.pid, signal);
        if !self.halt_pending {
            self.kill(signal);
        }
    }

    fn kill(&mut self, signal: i32) {
        if signal == libc::SIGKILL || self.state == State::Stopping {
            self.ending.expect();
        }
        // Init may be a zombie by now; the loop reads its exit next.
        let _ = self.sources.init.signal(signal);
    }

    /// Watches the processes of the container until they are gone. Init is the last:
    /// it leaves its group as soon as it has begun to end.
    fn read_population(&mut self) {
        match self.population.as_mut().map(Population::is_empty) {
            Some(Ok(false)) | None => {}
            Some(Ok(true) | Err(_)) => {
                self.population = None;
                self.ending.begin();
            }
        }
    }

    /// Helps init to end. If nothing helps, its exit is taken for that of a killed
    /// process: its namespaces are gone but that of PIDs.
    fn check_ending(&mut self) -> Option<Exit> {
        let (notices, held) = match self.ending.check(self.sources.init) {
            Checked::Wait(notices) => (notices, None),
            Checked::Held(notice) => (vec![notice], Some(Exit::Signal(libc::SIGKILL))),
        };
        notices::send_to_all(
            notices,
            self.sources.report,
            self.sources.clients,
            Some(self.sources.console.log()),
        );
        held
    }

    /// Sets when init will be killed; never for `None` or a time that overflows.
    fn set_deadline(&mut self, timeout: Option<Duration>) {
        self.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    }

    fn event(&self) -> Event {
        Event::State {
            state: self.state,
            leader: self.sources.init.pid,
            status: self.status.clone(),
            addresses: self.sources.own_addresses.clone(),
        }
    }

    fn announce(&mut self) {
        let event = self.event();
        let descriptors = [self.sources.init.as_fd(), self.sources.system_calls.as_fd()];
        self.sources.clients.announce(&event, &descriptors);
        match self.sources.report {
            Some(_) => self.send_report(),
            None => notify::send_state(self.state, self.status.as_deref()),
        }
    }

    /// Sends the state to the command that waits for the boot, later if it does not
    /// read now.
    fn send_report(&mut self) {
        let descriptors = [self.sources.init.as_fd(), self.sources.system_calls.as_fd()];
        self.report_pending = self.sources.report.is_some_and(|report| {
            let sent = report.send_event(&self.event(), &descriptors);
            sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        });
    }

    /// Classifies the exit of init. After `reboot(2)` in a PID namespace, the signal
    /// that killed init tells its argument (`man 2 reboot`, "Behavior inside PID
    /// namespaces").
    pub fn classify_exit(&self, exit: Exit) -> Result<Ended> {
        match (exit, self.state) {
            (_, State::Stopping) => Ok(Ended::Halted),
            (Exit::Signal(libc::SIGHUP), _) => Ok(Ended::Rebooted),
            (Exit::Signal(libc::SIGINT) | Exit::Code(0), State::Up) => Ok(Ended::Halted),
            // A program instead of an init, or a halt during the boot.
            (Exit::Code(0), State::Starting) if self.sources.report.is_none() => Ok(Ended::Halted),
            (exit, state) => Err(premature_exit(exit, state)),
        }
    }
}

fn premature_exit(exit: Exit, state: State) -> anyhow::Error {
    let how = match exit {
        Exit::Code(code) => format!("exited with status {code}"),
        Exit::Signal(libc::SIGINT) => "halted".to_owned(),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
    };
    match state {
        State::Starting => {
            let limit = limits::used_up().map(|limit| format!("; {limit}"));
            let limit = limit.unwrap_or_default();
            anyhow!("the container's init {how} before the system had booted{limit}")
        }
        _ => anyhow!("the container's init {how}"),
    }
}

/// The sources that have events.
struct Ready {
    init: bool,
    console: bool,
    notify: bool,
    signals: bool,
    nix_changes: bool,
    rules: bool,
    bridges: bool,
    population: bool,
    listeners: bool,
    report: bool,
    clients: clients::Ready,
}

/// Whether a signal reaches the process: it handles the signal, or blocks it to read
/// it from a descriptor as systemd does (`SigCgt` and `SigBlk` of `man 5
/// proc_pid_status`). SIGKILL and SIGSTOP always do.
fn takes_signal(pid: i32, signal: i32) -> bool {
    if matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
        return true;
    }
    let takes = Status::of(pid).and_then(|status| status.takes_signal(signal));
    takes.unwrap_or(false)
}
