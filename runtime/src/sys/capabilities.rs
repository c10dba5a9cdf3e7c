//! Sets of capabilities (`man 7 capabilities`).

use std::fmt;

use rustix::io::Errno;
use rustix::thread::CapabilitySet as Bits;
use serde::Serialize;

/// A set of capabilities, those included that are younger than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "Vec<String>")]
pub struct CapabilitySet(Bits);

impl CapabilitySet {
    /// No capability.
    pub const NONE: Self = Self(Bits::empty());

    /// Every capability.
    pub const ALL: Self = Self(Bits::all());

    /// To set up a network: its links, addresses, routes and rules.
    pub const NET_ADMIN: Self = Self(Bits::NET_ADMIN);

    /// To load modules into the kernel.
    pub const SYS_MODULE: Self = Self(Bits::SYS_MODULE);

    /// To read the kernel's log.
    pub const SYSLOG: Self = Self(Bits::SYSLOG);

    /// To watch how fast programs and the kernel are.
    pub const PERFMON: Self = Self(Bits::PERFMON);

    /// To run programs in the kernel.
    pub const BPF: Self = Self(Bits::BPF);

    /// What systemd-nspawn leaves a container by default (`man 1
    /// systemd-nspawn`, `--capability=`): a booted system works, the host's
    /// kernel, clock, network and hardware are out of reach.
    pub const SYSTEM: Self = Self(
        Bits::AUDIT_CONTROL
            .union(Bits::AUDIT_WRITE)
            .union(Bits::CHOWN)
            .union(Bits::DAC_OVERRIDE)
            .union(Bits::DAC_READ_SEARCH)
            .union(Bits::FOWNER)
            .union(Bits::FSETID)
            .union(Bits::IPC_OWNER)
            .union(Bits::KILL)
            .union(Bits::LEASE)
            .union(Bits::LINUX_IMMUTABLE)
            .union(Bits::MKNOD)
            .union(Bits::NET_BIND_SERVICE)
            .union(Bits::NET_BROADCAST)
            .union(Bits::NET_RAW)
            .union(Bits::SETFCAP)
            .union(Bits::SETGID)
            .union(Bits::SETPCAP)
            .union(Bits::SETUID)
            .union(Bits::SYS_ADMIN)
            .union(Bits::SYS_BOOT)
            .union(Bits::SYS_CHROOT)
            .union(Bits::SYS_NICE)
            .union(Bits::SYS_PTRACE)
            .union(Bits::SYS_RESOURCE)
            .union(Bits::SYS_TTY_CONFIG),
    );

    /// The capability of this name (`CAP_SYS_TIME`, in letters of either case)
    /// or number, as systemd's `capability_from_name` reads it.
    pub fn named(name: &str) -> Option<Self> {
        if let Ok(number) = name.parse::<u32>() {
            return one(number).map(Self);
        }
        let name = name.to_ascii_uppercase();
        Bits::from_name(name.strip_prefix("CAP_")?).map(Self)
    }

    /// The set of a line of `/proc/PID/status`, such as `CapBnd`
    /// (`man 5 proc_pid_status`).
    pub(crate) fn from_mask(hexadecimal: &str) -> Option<Self> {
        let mask = u64::from_str_radix(hexadecimal, 16).ok()?;
        Some(Self(Bits::from_bits_retain(mask)))
    }

    /// Those of either set.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that the other set lacks.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }

    /// Whether all of the other set are in this one.
    pub fn contains(self, other: Self) -> bool {
        self.0.contains(other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Takes every other capability out of the calling thread's bounding and
    /// inheritable sets. By number, because the kernel may know capabilities
    /// that nobody here has a name for; what is gone already needs no dropping,
    /// and no capability to drop it.
    pub(crate) fn bound_thread(self) -> rustix::io::Result<()> {
        for capability in (0..u64::BITS).filter_map(one) {
            match rustix::thread::capability_is_in_bounding_set(capability) {
                Ok(true) if !self.0.contains(capability) => {
                    rustix::thread::remove_capability_from_bounding_set(capability)?;
                }
                Ok(_) => {}
                // The kernel has no more.
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno),
            }
        }
        rustix::thread::clear_ambient_capability_set()?;
        let mut sets = rustix::thread::capabilities(None)?;
        sets.inheritable = Bits::empty();
        rustix::thread::set_capabilities(None, sets)
    }

    /// Lets the calling thread hand these on to the programs that it executes,
    /// whoever runs them (`man 7 capabilities`, "Ambient").
    pub(crate) fn make_ambient(self) -> rustix::io::Result<()> {
        let mut sets = rustix::thread::capabilities(None)?;
        sets.inheritable |= self.0;
        rustix::thread::set_capabilities(None, sets)?;
        for capability in self.0.iter() {
            rustix::thread::configure_capability_in_ambient_set(capability, true)?;
        }
        Ok(())
    }
}

/// The capability of this number.
fn one(number: u32) -> Option<Bits> {
    1_u64.checked_shl(number).map(Bits::from_bits_retain)
}

impl From<CapabilitySet> for Vec<String> {
    fn from(set: CapabilitySet) -> Self {
        set.0
            .iter_names()
            .map(|(name, _)| format!("CAP_{name}"))
            .collect()
    }
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Vec::from(*self).join(" "))
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
}
