//! Sets of capabilities (`man 7 capabilities`).

use std::io;

use caps::errors::CapsError;
use caps::{CapSet, Capability};
use derive_more::Display;
use rustix::io::Errno;
use serde::Serialize;

/// A set of capabilities, as the kernel has it: a bit for each number. It can
/// hold capabilities younger than the crate `caps`, which have no name here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, Serialize)]
#[display("{}", Vec::from(*self).join(" "))]
#[serde(into = "Vec<String>")]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No capability.
    pub const NONE: Self = Self(0);

    /// Every capability.
    pub const ALL: Self = Self(u64::MAX);

    /// To set up a network: its links, addresses, routes and rules.
    pub const NET_ADMIN: Self = Self::of(&[Capability::CAP_NET_ADMIN]);

    /// To load modules into the kernel.
    pub const SYS_MODULE: Self = Self::of(&[Capability::CAP_SYS_MODULE]);

    /// To read the kernel's log.
    pub const SYSLOG: Self = Self::of(&[Capability::CAP_SYSLOG]);

    /// To observe the performance of programs and of the kernel.
    pub const PERFMON: Self = Self::of(&[Capability::CAP_PERFMON]);

    /// To run programs in the kernel.
    pub const BPF: Self = Self::of(&[Capability::CAP_BPF]);

    /// The default of systemd-nspawn (`man 1 systemd-nspawn`, `--capability=`): a
    /// booted system works, and the host's kernel, clock, network and hardware
    /// are out of reach.
    pub const SYSTEM: Self = Self::of(&[
        Capability::CAP_AUDIT_CONTROL,
        Capability::CAP_AUDIT_WRITE,
        Capability::CAP_CHOWN,
        Capability::CAP_DAC_OVERRIDE,
        Capability::CAP_DAC_READ_SEARCH,
        Capability::CAP_FOWNER,
        Capability::CAP_FSETID,
        Capability::CAP_IPC_OWNER,
        Capability::CAP_KILL,
        Capability::CAP_LEASE,
        Capability::CAP_LINUX_IMMUTABLE,
        Capability::CAP_MKNOD,
        Capability::CAP_NET_BIND_SERVICE,
        Capability::CAP_NET_BROADCAST,
        Capability::CAP_NET_RAW,
        Capability::CAP_SETFCAP,
        Capability::CAP_SETGID,
        Capability::CAP_SETPCAP,
        Capability::CAP_SETUID,
        Capability::CAP_SYS_ADMIN,
        Capability::CAP_SYS_BOOT,
        Capability::CAP_SYS_CHROOT,
        Capability::CAP_SYS_NICE,
        Capability::CAP_SYS_PTRACE,
        Capability::CAP_SYS_RESOURCE,
        Capability::CAP_SYS_TTY_CONFIG,
    ]);

    const fn of(mut capabilities: &[Capability]) -> Self {
        let mut bits = 0;
        // Iterators cannot be used in constants.
        while let [first, rest @ ..] = capabilities {
            bits |= 1 << *first as u8;
            capabilities = rest;
        }
        Self(bits)
    }

    /// The capability of this name (`CAP_SYS_TIME`, in letters of either case)
    /// or number, as systemd's `capability_from_name` reads it.
    pub fn named(name: &str) -> Option<Self> {
        if let Ok(number) = name.parse() {
            return 1_u64.checked_shl(number).map(Self);
        }
        let capability = name.to_ascii_uppercase().parse().ok()?;
        Some(Self::of(&[capability]))
    }

    /// The set of a line of `/proc/PID/status`, such as `CapBnd`
    /// (`man 5 proc_pid_status`).
    pub(crate) fn from_mask(hexadecimal: &str) -> Option<Self> {
        u64::from_str_radix(hexadecimal, 16).ok().map(Self)
    }

    /// The capabilities of either set.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The capabilities that the other set lacks.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether this set has all capabilities of the other one.
    pub fn contains(self, other: Self) -> bool {
        other.without(self).is_empty()
    }

    /// Whether the set has no capability.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The capabilities of the set that have a name, by their numbers.
    fn by_name(self) -> impl Iterator<Item = Capability> {
        let mut all: Vec<_> = caps::all().into_iter().collect();
        all.sort_by_key(Capability::index);
        all.into_iter()
            .filter(move |capability| self.contains(Self::of(&[*capability])))
    }

    /// Takes every other capability out of the calling thread's bounding set, and
    /// all out of its inheritable and ambient sets. Capabilities that are gone
    /// already are not dropped again: that would need CAP_SETPCAP.
    pub(crate) fn bound_thread(self) -> io::Result<()> {
        for capability in Self::ALL.without(self).by_name() {
            // An error: the kernel is older than the capability.
            if caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false) {
                caps::drop(None, CapSet::Bounding, capability).map_err(failed)?;
            }
        }
        self.bound_thread_by_number(FIRST_UNNAMED)?;
        caps::clear(None, CapSet::Ambient).map_err(failed)?;
        caps::clear(None, CapSet::Inheritable).map_err(failed)
    }

    /// As [`CapabilitySet::bound_thread`] for the bounding set from this number
    /// on: the kernel may know capabilities without a name here.
    fn bound_thread_by_number(self, first: u32) -> io::Result<()> {
        for capability in (first..u64::BITS).map(by_number) {
            match rustix::thread::capability_is_in_bounding_set(capability) {
                Ok(true) if !self.contains(Self(capability.bits())) => {
                    rustix::thread::remove_capability_from_bounding_set(capability)?;
                }
                Ok(_) => {}
                // The kernel has no more.
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Lets the calling thread hand these on to all programs that it executes,
    /// whatever their user (`man 7 capabilities`, "Ambient").
    pub(crate) fn make_ambient(self) -> io::Result<()> {
        for capability in self.by_name() {
            caps::raise(None, CapSet::Inheritable, capability).map_err(failed)?;
            caps::raise(None, CapSet::Ambient, capability).map_err(failed)?;
        }
        self.make_ambient_by_number(FIRST_UNNAMED)
    }

    /// As [`CapabilitySet::make_ambient`] from this number on.
    fn make_ambient_by_number(self, first: u32) -> io::Result<()> {
        let numbers = first..u64::BITS;
        let mut sets = rustix::thread::capabilities(None)?;
        for capability in numbers
            .map(by_number)
            .filter(|one| self.contains(Self(one.bits())))
        {
            sets.inheritable |= capability;
            rustix::thread::set_capabilities(None, sets)?;
            rustix::thread::configure_capability_in_ambient_set(capability, true)?;
        }
        Ok(())
    }
}

/// Makes all permitted capabilities of the calling thread effective again, after
/// a change of its user (`man 7 capabilities`, "Effect of user ID changes on
/// capabilities").
pub(crate) fn make_permitted_effective() -> io::Result<()> {
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed)?;
    caps::set(None, CapSet::Effective, &permitted).map_err(failed)
}

/// The number behind the last capability with a name.
const FIRST_UNNAMED: u32 = Capability::CAP_CHECKPOINT_RESTORE as u32 + 1;

fn by_number(number: u32) -> rustix::thread::CapabilitySet {
    rustix::thread::CapabilitySet::from_bits_retain(1 << number)
}

fn failed(error: CapsError) -> io::Error {
    io::Error::other(error)
}

impl From<CapabilitySet> for Vec<String> {
    fn from(set: CapabilitySet) -> Self {
        set.by_name().map(|name| name.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_names_and_numbers() {
        let time = CapabilitySet::named("CAP_SYS_TIME");
        assert_eq!(
            time.map(|set| set.to_string()).as_deref(),
            Some("CAP_SYS_TIME")
        );
        assert_eq!(CapabilitySet::named("cap_sys_time"), time);
        assert_eq!(CapabilitySet::named("25"), time);
        for bad in ["", "SYS_TIME", "CAP_", "CAP_FLY", "64", "-1", "all"] {
            assert_eq!(CapabilitySet::named(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_system_gets_nothing_of_the_hosts_hardware() {
        for name in [
            "CAP_NET_ADMIN",
            "CAP_SYS_MODULE",
            "CAP_SYS_TIME",
            "CAP_SYS_RAWIO",
        ] {
            let capability = CapabilitySet::named(name).expect(name);
            assert!(!CapabilitySet::SYSTEM.contains(capability), "{name}");
            assert!(CapabilitySet::ALL.contains(capability), "{name}");
        }
        assert_eq!(Vec::from(CapabilitySet::SYSTEM).len(), 26);
    }

    fn numbers(set: CapabilitySet) -> Vec<u32> {
        (0..u64::BITS)
            .filter(|number| set.0 & 1 << number != 0)
            .collect()
    }

    /// Bounding, ambient and inheritable set after this has been done in a thread
    /// of its own.
    fn after(act: impl FnOnce() -> io::Result<()> + Send + 'static) -> [CapabilitySet; 3] {
        let thread = std::thread::spawn(|| {
            act().expect("root may");
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("readable");
            ["CapBnd:", "CapAmb:", "CapInh:"].map(|name| {
                let mask = status.lines().find_map(|line| line.strip_prefix(name));
                CapabilitySet::from_mask(mask.expect("a line").trim()).expect("a mask")
            })
        });
        thread.join().expect("no panic")
    }

    fn is_root() -> bool {
        let is = rustix::process::geteuid().is_root();
        if !is {
            println!("skipped: only root can change its sets");
        }
        is
    }

    #[test]
    fn bounding_set_and_ambient_set_are_as_asked_for() {
        if !is_root() {
            return;
        }
        let kept = CapabilitySet::BPF.with(CapabilitySet::of(&[Capability::CAP_CHOWN]));
        let [bounding, ambient, inheritable] = after(move || {
            CapabilitySet::SYSLOG.make_ambient()?;
            kept.bound_thread()?;
            CapabilitySet::BPF.make_ambient()
        });
        assert_eq!(bounding, kept);
        assert_eq!([ambient, inheritable], [CapabilitySet::BPF; 2]);
    }

    #[test]
    fn capabilities_without_a_name_are_dropped_and_made_ambient_by_number() {
        if !is_root() {
            return;
        }
        let (perfmon, bpf) = (CapabilitySet::PERFMON, CapabilitySet::BPF);
        let first = numbers(perfmon)[0];
        let [bounding, ambient, _] = after(move || {
            bpf.bound_thread_by_number(first)?;
            bpf.with(CapabilitySet::SYSLOG)
                .make_ambient_by_number(first)
        });
        let known: Vec<_> = numbers(bounding)
            .into_iter()
            .filter(|number| *number >= first)
            .collect();
        assert_eq!(known, numbers(bpf));
        assert!(
            bounding.contains(CapabilitySet::SYSLOG),
            "it is below the first"
        );
        assert_eq!(ambient, bpf);
    }

    #[test]
    fn numbers_behind_the_named_ones_are_capabilities() {
        let last = Capability::CAP_CHECKPOINT_RESTORE.index();
        assert_eq!(caps::all().iter().map(Capability::index).max(), Some(last));
        let young = CapabilitySet::named("63").expect("a number");
        assert!(CapabilitySet::ALL.contains(young) && !CapabilitySet::SYSTEM.contains(young));
        assert_eq!(
            CapabilitySet::ALL.without(young).with(young),
            CapabilitySet::ALL
        );
    }
}
