//! The one process that stays with a container, from before its first process
//! to after its last.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use runtime::Plan;
use runtime::cgroup::Cgroup;
use runtime::launch::{Started, Starting};
use runtime::notify::NotifySocket;
use runtime::process::{self, Exit, Process};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::config::{ContainerConfig, Execution};
use crate::console_log::{self, Console};
use crate::container::Container;
use crate::control::{Connection, Event, Listener, Request, State};
use crate::lock::Lock;
use crate::manager::machined::{self, Machine};
use crate::manager::unit;
use crate::name::ContainerName;
use crate::network::PrivateNetwork;
use crate::paths::RunDir;
use crate::spec::{self, Start};
use crate::{ephemeral, reclaim, users};

mod clients;

use clients::Clients;

/// How long a boot may take unless `TIMEOUT_START_SEC` says otherwise: the
/// default of nixpkgs' `timeoutStartSec`.
const DEFAULT_TIMEOUT_START: Duration = Duration::from_secs(60);

/// How often a halt that init was not ready to hear is repeated.
const HALT_RETRY: Duration = Duration::from_millis(50);

/// Exit status of init that was restarted by `reboot(2)`, as systemd-nspawn
/// gives it (`RestartForceExitStatus=133` of nixpkgs' unit).
const REBOOTED: u8 = 133;

/// Supervises a container until it halts. `report` is told all about it from
/// the very beginning; without, the supervisor is in the foreground and copies
/// the console to its standard output.
///
/// A container that reboots is started over if the supervisor is on its own;
/// in the foreground, whoever runs it does that, told by the exit status 133.
pub fn supervise(container: &Container, report: Option<OwnedFd>) -> Result<u8> {
    let report = report.map(Connection::from_descriptor);
    let mut last_words = String::new();
    match supervise_reporting(container, report.as_ref(), &mut last_words) {
        Err(error) => {
            let hint = crate::hint(&error).map(|hint| format!("; {hint}"));
            let why = format!("{error:#}{}", hint.unwrap_or_default());
            match &report {
                Some(report) => {
                    let console = last_words;
                    let _ = report.send_event(&Event::Failed { why, console }, None);
                }
                None => unit::tell_failure(&why),
            }
            Err(error)
        }
        answer => answer,
    }
}

/// `last_words` becomes the end of the console of a container that failed.
fn supervise_reporting(
    container: &Container,
    report: Option<&Connection>,
    last_words: &mut String,
) -> Result<u8> {
    // Closed last, after the lock is released: to whoever waits for the end it
    // means that nothing is left of the container, and that it can be started.
    let mut clients = Clients::default();
    let run = container.run();
    container.create_run_dir()?;
    let lock = Lock::try_lock(&run.lock()).context("cannot lock the container")?;
    let Some(_lock) = lock else {
        if let Some(report) = report {
            let _ = report.send_event(&Event::Busy, None);
        }
        bail!("container '{}' has a supervisor already", container.name());
    };
    let ended = live_until_end(container, &run, report, &mut clients);
    let finished = match &ended {
        // It is about to be started over.
        Ok(REBOOTED) => ephemeral::forget_start(container),
        Ok(_) => ephemeral::destroy_stopped(container),
        Err(_) => {
            *last_words = console_log::tail(&run.console_log());
            ephemeral::destroy_stopped(container)
        }
    };
    // If both failed, the first is the one to know of.
    let ended = ended?;
    finished?;
    clients.announce(&Event::Gone, None);
    Ok(ended)
}

/// One life after the other, until one ends without a reboot.
fn live_until_end(
    container: &Container,
    run: &RunDir,
    report: Option<&Connection>,
    clients: &mut Clients,
) -> Result<u8> {
    let signals = signals()?;
    loop {
        // Empty at once: what fails before there is a console must not be shown
        // with the end of an earlier one.
        let mut log = Console::create_log(run)?;
        tell(reclaim::leftovers(container)?, report, &mut log);
        let console_log = log.try_clone().context("cannot write the console's log")?;
        let ended = live(container, run, console_log, &signals, report, clients);
        if unit::own_cgroup(container.name()).is_some()
            && let Err(error) = machined::unregister(container)
        {
            tell(vec![format!("{error:#}")], report, &mut log);
        }
        let cleaned = reclaim::after_end(container);
        // If both failed, the first is the one to know of.
        let ended = ended?;
        tell_of_the_end(cleaned?, report, clients, &mut log);
        match ended {
            Ended::Halted => return Ok(0),
            Ended::Rebooted if report.is_none() => return Ok(REBOOTED),
            Ended::Rebooted => {}
        }
    }
}

enum Ended {
    Halted,
    Rebooted,
}

/// One life of the container, from its network to its last process.
fn live(
    container: &Container,
    run: &RunDir,
    log: File,
    signals: &SignalFd,
    report: Option<&Connection>,
    clients: &mut Clients,
) -> Result<Ended> {
    let config = container.config()?;
    let ended = live_as(&config, container, run, log, signals, report, clients);
    // The file may say something else by now.
    let removed = reclaim::work_directories(container, &config);
    let ended = ended?;
    removed?;
    Ok(ended)
}

fn live_as(
    config: &ContainerConfig,
    container: &Container,
    run: &RunDir,
    mut log: File,
    signals: &SignalFd,
    report: Option<&Connection>,
    clients: &mut Clients,
) -> Result<Ended> {
    users::keep(container, config)?;
    let start = spec::resolve(container, config)?;
    ephemeral::remember_start(container, config)?;
    container.create_directories(start.container.root.directory.clone())?;
    container.create_temporary(&start.temporary)?;
    start.journal.make(&start.container.root)?;
    let notify = NotifySocket::bind(&run.notify()).context("cannot make the notify socket")?;
    if let Some(users) = &start.users {
        users.give_files()?;
        for directory in &start.temporary {
            users.own(directory)?;
        }
        // Who may write to a socket may send to it (man 7 unix).
        users.own(&run.notify())?;
    }
    let control = Listener::bind(&run.control()).context("cannot make the control socket")?;
    let public = Listener::bind_for_all(&container.places().public(container.name()))
        .context("cannot make the public socket")?;
    let cgroup = container.cgroup()?;
    let in_unit = unit::own_cgroup(container.name()).is_some();
    if in_unit {
        cgroup
            .enter_supervisor()
            .with_context(|| format!("cannot set up the cgroup {}", cgroup.path().display()))?;
    }
    let (started, mut notices) = launch(&start, &cgroup)?;
    if in_unit && let Err(error) = register(container, &start, &started) {
        // A container goes on without being listed.
        notices.push(format!("{error:#}"));
    }
    tell(notices, report, &mut log);
    let notifies = config.execution.notify_ready.unwrap_or(true);
    let state = if notifies { State::Starting } else { State::Up };
    let mut supervision = Supervision {
        name: container.name(),
        init: &started.init,
        console: Console::new(
            config.execution.console,
            started.console,
            log,
            report.is_none(),
        )?,
        notify,
        control,
        public,
        signals,
        clients,
        report,
        state,
        execution: &config.execution,
        status: None,
        deadline: None,
        boot_timed_out: false,
        halt_pending: false,
    };
    let timeout_start = config.timeout_start.unwrap_or(DEFAULT_TIMEOUT_START);
    // A unit's own TimeoutStartSec= has the same effect.
    supervision.set_deadline((notifies && !in_unit).then_some(timeout_start));
    supervision.announce();
    let exit = supervision.run();
    if exit.is_err() {
        let _ = started.init.signal(libc::SIGKILL);
        let _ = started.init.wait();
    }
    supervision.console.drain();
    if supervision.boot_timed_out {
        bail!(
            "the system had not booted after {} s and was killed; if it needs longer, set \
             TIMEOUT_START_SEC in {}",
            timeout_start.as_secs(),
            container.places().conf(container.name()).display()
        );
    }
    supervision.judge(exit?)
}

/// Clones the container, and does the host's part while it mounts its file
/// systems. Returns what the user has to know of the host.
fn launch(start: &Start, cgroup: &Cgroup) -> Result<(Started, Vec<String>)> {
    if let Some(network) = &start.network {
        network.check()?;
    }
    let plan = runtime::plan(&start.container);
    let payload = cgroup
        .create_payload()
        .with_context(|| format!("cannot make the cgroup {}", cgroup.path().display()))?;
    // SAFETY: the supervisor starts no threads.
    let starting = unsafe { runtime::launch::launch(&plan, payload.as_fd()) }?;
    match furnish(&starting, start, &plan, &payload) {
        Ok(notices) => Ok((starting.finish()?, notices)),
        Err(_) if starting.is_ending() => Ok((starting.finish()?, Vec::new())),
        Err(error) => Err(starting.abort().map_or(error, anyhow::Error::from)),
    }
}

fn furnish(
    starting: &Starting,
    start: &Start,
    plan: &Plan,
    payload: &OwnedFd,
) -> Result<Vec<String>> {
    starting.prepare(plan, payload.as_fd())?;
    if let Some(network) = &start.network {
        let namespace = starting
            .network_namespace()
            .context("cannot open the container's network namespace")?;
        network.connect(namespace.as_fd())?;
    }
    starting
        .go()
        .context("cannot tell the container to go on")?;
    // Init needs its links, and takes longer to need the world than it takes to
    // let it out.
    match &start.network {
        Some(network) => network.open(),
        None => Ok(Vec::new()),
    }
}

fn register(container: &Container, start: &Start, started: &Started) -> Result<()> {
    let machine = Machine {
        id: start.container.machine_id,
        leader: started.init.pid,
        root: &container.places().root(container.name()),
        links: start
            .network
            .as_ref()
            .map(PrivateNetwork::link_indices)
            .unwrap_or_default(),
    };
    machined::register(container, &machine)
}

/// Nothing that holds for the whole host is changed silently: whoever starts
/// the container is told, or else its log.
fn tell(notices: Vec<String>, report: Option<&Connection>, log: &mut File) {
    for notice in notices {
        let Some(report) = report else {
            eprintln!("note: {notice}");
            continue;
        };
        let event = Event::Notice(notice.clone());
        if report.send_event(&event, None).is_err() {
            write_note(log, &notice);
        }
    }
}

/// What is not as it was before the container came. Whoever listens, if anybody
/// does, may be interested in something else, so the log has it in any case.
fn tell_of_the_end(
    notices: Vec<String>,
    report: Option<&Connection>,
    clients: &mut Clients,
    log: &mut File,
) {
    for notice in notices {
        write_note(log, &notice);
        if report.is_none() {
            eprintln!("note: {notice}");
        }
        let event = Event::Notice(notice);
        if let Some(report) = report {
            let _ = report.send_event(&event, None);
        }
        clients.announce(&event, None);
    }
}

/// As with the console's own lines, a full disk stops nobody.
fn write_note(log: &mut File, notice: &str) {
    let _ = writeln!(log, "nixos-container: {notice}");
}

/// Signals come as data: no handler runs between any two instructions.
fn signals() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block().context("cannot block signals")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&set, flags).context("cannot make a signal descriptor")
}

struct Supervision<'a> {
    name: &'a ContainerName,
    init: &'a Process,
    console: Console,
    notify: NotifySocket,
    control: Listener,
    public: Listener,
    signals: &'a SignalFd,
    clients: &'a mut Clients,
    report: Option<&'a Connection>,
    state: State,
    execution: &'a Execution,
    status: Option<String>,
    /// When init is killed.
    deadline: Option<Instant>,
    /// Init was killed because the boot took too long.
    boot_timed_out: bool,
    /// Init was asked to halt before it could hear.
    halt_pending: bool,
}

impl Supervision<'_> {
    /// Until init ends.
    fn run(&mut self) -> Result<Exit> {
        loop {
            let ready = self.wait().context("cannot wait for the container")?;
            // First, because whatever is announced can change who is connected.
            let requests = self.clients.read(ready.clients, self.name);
            if ready.console {
                self.console.copy();
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
            if ready.control {
                let (event, leader) = (self.event(), self.init.as_fd());
                self.clients.accept(&self.control, &event, leader)?;
            }
            if ready.public {
                self.clients.accept_visitors(&self.public, &self.event())?;
            }
            if ready.init {
                return self.init.wait().context("cannot wait for init");
            }
            if self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
            {
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
        let input = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds = vec![
            input(self.init.as_fd()),
            input(self.console.as_fd()),
            input(self.notify.as_fd()),
            input(self.signals.as_fd()),
            input(self.control.as_fd()),
            input(self.public.as_fd()),
        ];
        let own = fds.len();
        fds.extend(self.clients.wishes());
        match rustix::event::poll(&mut fds, self.timeout().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready {
            init: ready(0),
            console: ready(1),
            notify: ready(2),
            signals: ready(3),
            control: ready(4),
            public: ready(5),
            clients: self.clients.ready(&fds[own..]),
        })
    }

    fn timeout(&self) -> Option<Timespec> {
        let until_deadline = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let until_retry = self.halt_pending.then_some(HALT_RETRY);
        let timeout = until_deadline.into_iter().chain(until_retry).min()?;
        timeout.try_into().ok()
    }

    fn read_notification(&mut self) -> Result<()> {
        let notification = self
            .notify
            .receive(|pid| self.is_init(pid))
            .context("cannot read what init reports")?;
        let Some(notification) = notification else {
            return Ok(());
        };
        if notification.status.is_some() {
            self.status = notification.status;
        }
        if notification.ready && self.state == State::Starting {
            self.state = State::Up;
            self.set_deadline(None);
        }
        self.announce();
        Ok(())
    }

    /// Whether a process speaks for the container: its process 1, or below a
    /// stub its process 2.
    fn is_init(&self, pid: i32) -> bool {
        if self.execution.as_pid2 {
            process::number_inside(pid) == Some(2)
        } else {
            pid == self.init.pid
        }
    }

    fn read_signals(&mut self) -> Result<()> {
        while let Some(signal) = self.signals.read_signal().context("cannot read signals")? {
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
        let signal = signal.unwrap_or_else(process::halt_signal);
        self.halt_pending = !takes(self.init.pid, signal);
        if !self.halt_pending {
            self.kill(signal);
        }
    }

    fn kill(&self, signal: i32) {
        // Init may be a zombie by now, which the next turn of the loop sees.
        let _ = self.init.signal(signal);
    }

    fn set_deadline(&mut self, timeout: Option<Duration>) {
        self.deadline = timeout.map(|timeout| Instant::now() + timeout);
    }

    fn event(&self) -> Event {
        Event::State {
            state: self.state,
            leader: self.init.pid,
            status: self.status.clone(),
        }
    }

    fn announce(&mut self) {
        let event = self.event();
        let leader = self.init.as_fd();
        self.clients.announce(&event, Some(leader));
        match self.report {
            Some(report) => drop(report.send_event(&event, Some(leader))),
            None => unit::tell_state(self.state, self.status.as_deref()),
        }
    }

    /// What the end of init means. The kernel tells by a signal what init
    /// asked of `reboot(2)` (`man 2 reboot`, "Behavior inside PID namespaces").
    fn judge(&self, exit: Exit) -> Result<Ended> {
        match (exit, self.state) {
            (_, State::Stopping) => Ok(Ended::Halted),
            (Exit::Signal(libc::SIGHUP), _) => Ok(Ended::Rebooted),
            (Exit::Signal(libc::SIGINT) | Exit::Code(0), State::Up) => Ok(Ended::Halted),
            // A program in the place of init, or a halt during the boot.
            (Exit::Code(0), State::Starting) if self.report.is_none() => Ok(Ended::Halted),
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
    control: bool,
    public: bool,
    clients: clients::Ready,
}

/// Whether the process handles the signal (as everybody does whom one cannot be
/// kept from), or blocks it to read it from a descriptor as systemd does (`SigCgt` and `SigBlk` of `man 5
/// proc_pid_status`).
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
