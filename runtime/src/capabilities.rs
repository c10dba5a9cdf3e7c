//! The bounding set: what root inside a container can ever do.

use std::fmt;
use std::io;

use caps::{CapSet, Capability};
use serde::Serialize;

use crate::spec::Network;

/// A set of capabilities (`man 7 capabilities`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "Vec<String>")]
pub struct CapabilitySet(u64);

/// What systemd-nspawn leaves a container by default (`man 1 systemd-nspawn`,
/// `--capability=`): a booted system works, the host's kernel, clock and
/// hardware are out of reach.
const DEFAULT: [Capability; 26] = [
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
];

impl CapabilitySet {
    /// The default for a container on the given network: one of its own is
    /// its own to administer.
    pub fn default_for(network: &Network) -> Self {
        let mut set = Self(0);
        for capability in DEFAULT {
            set.insert(capability);
        }
        if *network != Network::Host {
            set.insert(Capability::CAP_NET_ADMIN);
        }
        set
    }

    /// What a process can ever get: `CapBnd` of its status
    /// (`man 5 proc_pid_status`).
    pub fn bounding_of(pid: i32) -> io::Result<Self> {
        let path = format!("/proc/{pid}/status");
        let status = std::fs::read_to_string(&path)?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("CapBnd:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .map(Self)
            .ok_or_else(|| io::Error::other(format!("{path} has no CapBnd")))
    }

    /// Adds one capability.
    pub fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bitmask();
    }

    /// Whether the capability is in the set.
    pub fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    fn iter(self) -> impl Iterator<Item = Capability> {
        caps::all().into_iter().filter(move |c| self.contains(*c))
    }

    /// Takes every other capability out of the calling thread's bounding and
    /// inheritable sets. What the kernel does not know, or what is gone
    /// already, needs no dropping.
    pub(crate) fn bound_thread(self) -> Result<(), caps::errors::CapsError> {
        for capability in caps::read(None, CapSet::Bounding)? {
            if !self.contains(capability) {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
        caps::clear(None, CapSet::Ambient)?;
        caps::clear(None, CapSet::Inheritable)
    }
}

impl From<CapabilitySet> for Vec<String> {
    fn from(set: CapabilitySet) -> Self {
        set.iter()
            .map(|capability| capability.to_string())
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
    fn only_a_private_network_may_be_administered() {
        let private = CapabilitySet::default_for(&Network::Private);
        let host = CapabilitySet::default_for(&Network::Host);
        assert!(private.contains(Capability::CAP_NET_ADMIN));
        assert!(!host.contains(Capability::CAP_NET_ADMIN));
        assert!(host.contains(Capability::CAP_SYS_ADMIN));
        assert!(!private.contains(Capability::CAP_SYS_MODULE));
        assert!(!private.contains(Capability::CAP_SYS_TIME));
        assert!(!private.contains(Capability::CAP_SYS_RAWIO));
    }
}
