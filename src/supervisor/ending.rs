//! The end of init. The kernel delays it until every process of its PID namespace has
//! been waited for (`man 7 pid_namespaces`), those too that have joined from outside
//! and whose parents are there: `nsenter`, which stops itself when its child is stopped,
//! or a program that never waits for its children.

use std::time::{Duration, Instant};

use runtime::sys::pid_namespace::{self, Outsider};
use runtime::sys::pidfd::{Exit, Process};

use crate::container::name::ContainerName;

/// How often init is checked that has begun to end. Most have ended before the first
/// time.
const CHECK: Duration = Duration::from_millis(100);

/// How often init is checked that has been told to end.
const EXPECT: Duration = Duration::from_secs(1);

/// How long parents outside may take to wait for their processes before they are killed,
/// and how long after that before they are left alone.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known of the end of init.
#[derive(Debug, Default)]
pub struct Ending {
    /// When init is checked next.
    due: Option<Instant>,
    /// When it was first seen to be ending.
    began: Option<Instant>,
    killed: bool,
}

/// What comes of a check.
pub enum Checked {
    /// Init may take longer; notices about processes of the host that were killed.
    Wait(Vec<String>),
    /// Nothing helps. The notice names the processes that hold init.
    Held(String),
}

impl Ending {
    /// When [`Ending::check`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Init has been told to end.
    pub fn expect(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + EXPECT);
    }

    /// The last process of the container is gone or about to go.
    pub fn begin(&mut self) {
        self.due = Some(Instant::now() + CHECK);
    }

    /// Helps init to end, if it is time: parents outside that are stopped are
    /// continued, and killed if that is not enough.
    pub fn check(&mut self, init: &Process) -> Checked {
        let now = Instant::now();
        if self.due.is_none_or(|due| due > now) {
            return Checked::Wait(Vec::new());
        }
        if !init.is_ending().unwrap_or(false) {
            self.due = Some(now + EXPECT);
            return Checked::Wait(Vec::new());
        }
        self.due = Some(now + CHECK);
        let began = *self.began.get_or_insert(now);
        let outsiders = pid_namespace::outsiders(init.pid).unwrap_or_default();
        for outsider in outsiders.iter().filter(|outsider| outsider.is_stopped()) {
            log::info!("{outsider} of the host is stopped: continue it");
            let _ = outsider.signal(libc::SIGCONT);
        }
        if now < began + PATIENCE {
            return Checked::Wait(Vec::new());
        }
        if !std::mem::replace(&mut self.killed, true) {
            return Checked::Wait(outsiders.iter().filter_map(kill).collect());
        }
        if now < began + 2 * PATIENCE {
            return Checked::Wait(Vec::new());
        }
        Checked::Held(held(&outsiders))
    }
}

/// How a container ended, in the words of systemd-nspawn, which scripts look for in the
/// unit's journal. After `reboot(2)` in a PID namespace, the signal that killed init
/// tells its argument (`man 2 reboot`, "Behavior inside PID namespaces").
pub fn sentence(container: &ContainerName, exit: Exit) -> String {
    let end = match exit {
        Exit::Code(0) => "exited successfully".to_owned(),
        Exit::Code(code) => format!("failed with error code {code}"),
        Exit::Signal(libc::SIGINT) => "has been shut down".to_owned(),
        Exit::Signal(libc::SIGHUP) => "is being rebooted".to_owned(),
        Exit::Signal(signal) => format!("terminated by signal {}", signal_name(signal)),
    };
    format!("Container {container} {end}.")
}

/// The name of a signal without `SIG`, or its number if it has none.
fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().trim_start_matches("SIG").to_owned(),
        Err(_) => number.to_string(),
    }
}

/// Kills a process of the host; `None` if that fails or it is gone already.
fn kill(outsider: &Outsider) -> Option<String> {
    outsider.signal(libc::SIGKILL).ok()?;
    Some(format!(
        "killed {outsider} of the host, which had a process in the container and did not wait \
         for its end"
    ))
}

fn held(outsiders: &[Outsider]) -> String {
    let names: Vec<_> = outsiders.iter().map(ToString::to_string).collect();
    let by = match &names[..] {
        [] => "a process in its PID namespace cannot end".to_owned(),
        names => format!(
            "{} of the host had a process in it and cannot be killed",
            names.join(", ")
        ),
    };
    format!("the container's init stays as a zombie, because {by}")
}
