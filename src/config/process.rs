//! What a configuration says of init: how it is run, what it may do and use.

use std::collections::BTreeSet;
use std::path::PathBuf;

use runtime::Id128;
use runtime::spec::accounts::User;
use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::cpus::Cpus;
use runtime::sys::limits::Limit;
use runtime::sys::personality::Personality;

use super::nspawn_flags::{ExecutionFlag, ResourceFlag, SecurityFlag};
use super::{AllowedDevice, Property};

/// How init is run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Execution {
    /// `--setenv`: variables, the last assignment of each holds. Without a
    /// value, it is the caller's.
    pub environment: Vec<(String, Option<String>)>,
    /// `--chdir`
    pub working_directory: Option<PathBuf>,
    /// `--hostname`: it is the container's name otherwise.
    pub hostname: Option<String>,
    /// `--uuid`: for a container that has given itself no id yet.
    pub machine_id: Option<Id128>,
    /// `--user`: who init runs as, if not root.
    pub user: Option<User>,
    /// `--as-pid2`: it runs below a stub that is process 1.
    pub as_pid2: bool,
    /// `--kill-signal`: asks init for a halt.
    pub kill_signal: Option<i32>,
    /// `--notify-ready`: whether init says that it is ready, which it does if
    /// nothing is said; else it is when it runs.
    pub notify_ready: Option<bool>,
    /// `--console`
    pub console: Console,
}

/// What becomes of what init writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Console {
    /// It goes to a terminal, and from there to the log.
    #[default]
    Logged,
    /// It goes to a terminal that nobody looks at.
    Ignored,
    /// It goes to a pipe, and from there to the log; there is no terminal.
    Pipe,
}

impl Execution {
    pub(super) fn add(&mut self, flag: ExecutionFlag) {
        match flag {
            ExecutionFlag::SetEnvironment(name, value) => self.environment.push((name, value)),
            ExecutionFlag::WorkingDirectory(path) => self.working_directory = Some(path),
            ExecutionFlag::Hostname(name) => self.hostname = Some(name),
            ExecutionFlag::MachineId(id) => self.machine_id = Some(id),
            ExecutionFlag::User(user) => self.user = Some(user),
            ExecutionFlag::AsPid2 => self.as_pid2 = true,
            ExecutionFlag::KillSignal(signal) => self.kill_signal = Some(signal),
            ExecutionFlag::NotifyReady(notifies) => self.notify_ready = Some(notifies),
            ExecutionFlag::Console(console) => self.console = console,
        }
    }
}

/// What programs inside may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Security {
    /// `ADDITIONAL_CAPABILITIES`, `--capability`: besides those that every
    /// container has.
    pub capabilities: CapabilitySet,
    /// `--drop-capability`: has the last word.
    pub drop_capabilities: CapabilitySet,
    /// `--ambient-capability`
    pub ambient_capabilities: CapabilitySet,
    /// `--no-new-privileges`
    pub no_new_privileges: bool,
    /// `--system-call-filter`: besides those that every container has.
    pub permitted_calls: BTreeSet<&'static str>,
    /// `--system-call-filter=~`: has the last word.
    pub prohibited_calls: BTreeSet<&'static str>,
    /// `--suppress-sync`
    pub suppress_sync: bool,
    /// `ALLOWED_DEVICES`: besides those that every container has.
    pub devices: Vec<AllowedDevice>,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            capabilities: CapabilitySet::NONE,
            drop_capabilities: CapabilitySet::NONE,
            ambient_capabilities: CapabilitySet::NONE,
            no_new_privileges: false,
            permitted_calls: BTreeSet::new(),
            prohibited_calls: BTreeSet::new(),
            suppress_sync: false,
            devices: Vec::new(),
        }
    }
}

impl Security {
    pub(super) fn add(&mut self, flag: SecurityFlag) {
        match flag {
            SecurityFlag::Capabilities(set) => self.capabilities = self.capabilities.with(set),
            SecurityFlag::DropCapabilities(set) => {
                self.drop_capabilities = self.drop_capabilities.with(set);
            }
            SecurityFlag::AmbientCapabilities(set) => {
                self.ambient_capabilities = self.ambient_capabilities.with(set);
            }
            SecurityFlag::NoNewPrivileges(set) => self.no_new_privileges = set,
            SecurityFlag::SystemCalls {
                calls,
                permitted: true,
            } => self.permitted_calls.extend(calls),
            SecurityFlag::SystemCalls { calls, .. } => self.prohibited_calls.extend(calls),
            SecurityFlag::SuppressSync(suppress) => self.suppress_sync = suppress,
        }
    }
}

/// What programs inside may use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// `--rlimit`: the last of each resource holds.
    pub limits: Vec<Limit>,
    /// `--oom-score-adjust`
    pub oom_score_adjust: Option<i16>,
    /// `--cpu-affinity`
    pub cpus: Option<Cpus>,
    /// `--property`
    pub properties: Vec<Property>,
    /// `--personality`
    pub personality: Option<Personality>,
}

impl Resources {
    pub(super) fn add(&mut self, flag: ResourceFlag) {
        match flag {
            ResourceFlag::Limit(limit) => self.limits.push(limit),
            ResourceFlag::OomScoreAdjust(score) => self.oom_score_adjust = Some(score),
            ResourceFlag::Cpus(cpus) => self.cpus = Some(cpus),
            ResourceFlag::Property(property) => self.properties.push(property),
            ResourceFlag::Personality(personality) => self.personality = Some(personality),
        }
    }
}
