//! Sets of capabilities (`man 7 capabilities`).

use std::io;

use caps::Capability;
use derive_more::Display;
use rustix::io::Errno;
use rustix::thread::{self, CapabilitySet as Bits};
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

    /// Each capability of the set by itself, those without a name included.
    fn singles(self) -> impl Iterator<Item = Bits> {
        let singles = (0..u64::BITS).map(|number| Self(1 << number));
        singles
            .filter(move |single| self.contains(*single))
            .map(Self::bits)
    }

    fn bits(self) -> Bits {
        Bits::from_bits_retain(self.0)
    }

    /// Takes every other capability out of the calling thread's bounding set, and
    /// all out of its inheritable and ambient sets. Capabilities that are gone
    /// already are not dropped again: that would need CAP_SETPCAP.
    pub(crate) fn bound_thread(self) -> io::Result<()> {
        for capability in Self::ALL.without(self).singles() {
            match thread::capability_is_in_bounding_set(capability) {
                Ok(true) => thread::remove_capability_from_bounding_set(capability)?,
                Ok(false) => {}
                // The kernel has no more.
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        thread::clear_ambient_capability_set()?;
        let mut sets = thread::capabilities(None)?;
        sets.inheritable = Bits::empty();
        Ok(thread::set_capabilities(None, sets)?)
    }

    /// Lets the calling thread hand these on to all programs that it executes,
    /// whatever their user (`man 7 capabilities`, "Ambient").
    pub(crate) fn make_ambient(self) -> io::Result<()> {
        let mut sets = thread::capabilities(None)?;
        sets.inheritable |= self.bits();
        thread::set_capabilities(None, sets)?;
        for capability in self.singles() {
            thread::configure_capability_in_ambient_set(capability, true)?;
        }
        Ok(())
    }
}

/// Makes all permitted capabilities of the calling thread effective again, after
/// a change of its user (`man 7 capabilities`, "Effect of user ID changes on
/// capabilities").
pub(crate) fn make_permitted_effective() -> io::Result<()> {
    let mut sets = thread::capabilities(None)?;
    sets.effective = sets.permitted;
    Ok(thread::set_capabilities(None, sets)?)
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
    fn numbers_behind_the_named_ones_are_capabilities() {
        let young = CapabilitySet::named("63").expect("a number");
        assert!(CapabilitySet::ALL.contains(young) && !CapabilitySet::SYSTEM.contains(young));
        assert_eq!(
            CapabilitySet::ALL.without(young).with(young),
            CapabilitySet::ALL
        );
        let bits: Vec<_> = young.singles().map(|single| single.bits()).collect();
        assert_eq!(bits, [1 << 63]);
    }
}
