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
}

macro_rules! resources {
    ($($name:literal $kind:ident $unit:ident;)*) => {
        &[$(Resource { name: $name, kind: Kind::$kind, unit: Unit::$unit }),*]
    };
}

/// All resources with their units (`man 2 getrlimit`).
const RESOURCES: &[Resource] = resources! {
    "AS" As Bytes;
    "CORE" Core Bytes;
    "CPU" Cpu Seconds;
    "DATA" Data Bytes;
    "FSIZE" Fsize Bytes;
    "LOCKS" Locks Number;
    "MEMLOCK" Memlock Bytes;
    "MSGQUEUE" Msgqueue Bytes;
    "NICE" Nice NiceValue;
    "NOFILE" Nofile Number;
    "NPROC" Nproc Number;
    "RSS" Rss Bytes;
    "RTPRIO" Rtprio Number;
    "RTTIME" Rttime Microseconds;
    "SIGPENDING" Sigpending Number;
    "STACK" Stack Bytes;
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
                Kind::Nproc => first.get("Max processes"),
                Kind::Sigpending => first.get("Max pending signals"),
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
