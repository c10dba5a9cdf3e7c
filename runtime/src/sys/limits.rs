//! Resource limits of processes (`man 2 getrlimit`).

use std::fmt;
use std::io;

use rustix::process::{Pid, Resource as Kind, Rlimit};
use serde::Serialize;

use super::proc::Limits;

/// A resource of a process that can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub struct Resource {
    name: &'static str,
    kind: Kind,
    unit: Unit,
    /// Its line in `/proc/PID/limits` (`man 5 proc_pid_limits`).
    line: &'static str,
}

macro_rules! resources {
    ($($name:literal $kind:ident $unit:ident $line:literal;)*) => {
        &[$(Resource { name: $name, kind: Kind::$kind, unit: Unit::$unit, line: $line }),*]
    };
}

/// All resources with their units (`man 2 getrlimit`) and lines.
const RESOURCES: &[Resource] = resources! {
    "AS" As Bytes "Max address space";
    "CORE" Core Bytes "Max core file size";
    "CPU" Cpu Seconds "Max cpu time";
    "DATA" Data Bytes "Max data size";
    "FSIZE" Fsize Bytes "Max file size";
    "LOCKS" Locks Number "Max file locks";
    "MEMLOCK" Memlock Bytes "Max locked memory";
    "MSGQUEUE" Msgqueue Bytes "Max msgqueue size";
    "NICE" Nice NiceValue "Max nice priority";
    "NOFILE" Nofile Number "Max open files";
    "NPROC" Nproc Number "Max processes";
    "RSS" Rss Bytes "Max resident set";
    "RTPRIO" Rtprio Number "Max realtime priority";
    "RTTIME" Rttime Microseconds "Max realtime timeout";
    "SIGPENDING" Sigpending Number "Max pending signals";
    "STACK" Stack Bytes "Max stack size";
};

/// The unit of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds of a processor's time.
    Seconds,
    /// Microseconds of a processor's time.
    Microseconds,
    /// 20 less the lowest nice value that is allowed.
    NiceValue,
    /// A number of things.
    Number,
}

impl Resource {
    /// The resource of this name, without `RLIMIT_` before it.
    pub fn named(name: &str) -> Option<Self> {
        RESOURCES
            .iter()
            .find(|resource| resource.name == name)
            .copied()
    }

    /// Its unit.
    pub fn unit(self) -> Unit {
        self.unit
    }
}

impl From<Resource> for &'static str {
    fn from(resource: Resource) -> Self {
        resource.name
    }
}

/// The limit on a resource. `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The resource.
    pub resource: Resource,
    /// The limit in force, in the resource's unit. The process can change it.
    pub soft: Option<u64>,
    /// The highest value of the soft limit.
    pub hard: Option<u64>,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |limit: Option<u64>| match limit {
            Some(number) => number.to_string(),
            None => "infinity".to_owned(),
        };
        let Self { resource, .. } = self;
        write!(f, "{}={}", resource.name, words(self.soft))?;
        if self.soft != self.hard {
            write!(f, ":{}", words(self.hard))?;
        }
        Ok(())
    }
}

/// The limits that a first process starts with: those of the kernel
/// (`INIT_RLIMITS` of its `include/asm-generic/resource.h`), and for open files
/// that of systemd's services (`man 5 systemd-system.conf`, DefaultLimitNOFILE=).
/// The kernel computes two from the size of memory: they are read from the host's
/// first process, which does not change them.
pub fn of_a_first_process() -> io::Result<Vec<Limit>> {
    let first = Limits::of(1)?;
    Ok(RESOURCES
        .iter()
        .map(|resource| {
            let (soft, hard) = match resource.kind {
                Kind::Core => (Some(0), None),
                Kind::Memlock => (Some(8 << 20), Some(8 << 20)),
                Kind::Msgqueue => (Some(819_200), Some(819_200)),
                Kind::Nice | Kind::Rtprio => (Some(0), Some(0)),
                Kind::Nofile => (Some(1024), Some(524_288)),
                Kind::Nproc | Kind::Sigpending => first.get(resource.line),
                Kind::Stack => (Some(8 << 20), None),
                _ => (None, None),
            };
            Limit {
                resource: *resource,
                soft,
                hard,
            }
        })
        .collect())
}

/// The limits of a process, by its pid in the namespace of `/proc`.
pub(crate) fn of_process(pid: i32) -> io::Result<Vec<Limit>> {
    let limits = Limits::of(pid)?;
    let limit = |resource: &Resource| {
        let (soft, hard) = limits.get(resource.line);
        Limit {
            resource: *resource,
            soft,
            hard,
        }
    };
    Ok(RESOURCES.iter().map(limit).collect())
}

impl Limit {
    /// Sets the limit of another process. Without the host's CAP_SYS_RESOURCE, a
    /// hard limit is not raised above the caller's.
    pub(crate) fn impose(&self, pid: Pid) -> rustix::io::Result<()> {
        let limit = |soft, hard| Rlimit {
            current: soft,
            maximum: hard,
        };
        let kind = self.resource.kind;
        match rustix::process::prlimit(Some(pid), kind, limit(self.soft, self.hard)) {
            Err(rustix::io::Errno::PERM) => {}
            answer => return answer.map(drop),
        }
        // The child has inherited the caller's.
        let callers = rustix::process::getrlimit(kind).maximum;
        let hard = lower(self.hard, callers);
        let limit = limit(lower(self.soft, hard), hard);
        rustix::process::prlimit(Some(pid), kind, limit).map(drop)
    }
}

/// The soft limit on open files that systemd gives to programs
/// (`man 5 systemd-system.conf`, `DefaultLimitNOFILE=`). systemd raises its own,
/// which programs that use `select` cannot bear (`man 2 select`, BUGS).
const OPEN_FILES_SOFT: u64 = 1024;

/// Gives the calling process the limits of an init, as programs have them.
pub(crate) fn take(limits: &[Limit]) -> io::Result<()> {
    let own = rustix::process::getpid();
    for mut limit in limits.iter().copied() {
        if limit.resource.kind == Kind::Nofile {
            limit.soft = lower(Some(OPEN_FILES_SOFT), limit.hard);
        }
        limit.impose(own)?;
    }
    Ok(())
}

fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_of_the_kernel_is_limited() {
        let limits = of_a_first_process().expect("readable");
        assert_eq!(limits.len(), 16);
        let files = limits
            .iter()
            .find(|limit| limit.resource.name == "NOFILE")
            .expect("it is there");
        assert_eq!(files.to_string(), "NOFILE=1024:524288");
    }

    #[test]
    fn no_limit_is_the_highest() {
        assert_eq!(lower(None, Some(3)), Some(3));
        assert_eq!(lower(Some(3), None), Some(3));
        assert_eq!(lower(Some(3), Some(2)), Some(2));
        assert_eq!(lower(None, None), None);
    }
}
