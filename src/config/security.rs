//! Privileges of programs inside (`man 1 systemd-nspawn`, "Security Options").

use std::collections::BTreeSet;

use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::seccomp;

use super::AllowedDevice;
use super::error::Parsed;
use super::values;

/// Privileges of programs inside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Security {
    /// `ADDITIONAL_CAPABILITIES`, `--capability`: in addition to the default ones.
    pub capabilities: CapabilitySet,
    /// `--drop-capability`: these are dropped in any case.
    pub drop_capabilities: CapabilitySet,
    /// `--ambient-capability`: init's ambient set.
    pub ambient_capabilities: CapabilitySet,
    /// `--no-new-privileges`: set-user-ID programs and the like have no effect.
    pub no_new_privileges: bool,
    /// `--system-call-filter`: in addition to the default ones.
    pub permitted_calls: BTreeSet<&'static str>,
    /// `--system-call-filter=~`: these are refused in any case.
    pub prohibited_calls: BTreeSet<&'static str>,
    /// `--suppress-sync`: `sync`, `fsync` and the like do nothing.
    pub suppress_sync: bool,
    /// No further user namespaces can be made.
    pub no_user_namespaces: bool,
    /// `ALLOWED_DEVICES`: in addition to the default ones.
    pub devices: Vec<AllowedDevice>,
}

impl Security {
    /// Adds the value of `--system-call-filter=`: one system call or group. In
    /// `EXTRA_NSPAWN_FLAGS`, blanks separate flags, so a value cannot be a list.
    pub fn filter(&mut self, text: &str) -> Parsed<()> {
        let (calls, word) = match text.strip_prefix('~') {
            Some(word) => (&mut self.prohibited_calls, word),
            None => (&mut self.permitted_calls, text),
        };
        let named = seccomp::calls_named(word).ok_or(
            "a system call, or a group of them as `systemd-analyze syscall-filter` shows, with ~ \
             before it to prohibit it",
        )?;
        calls.extend(named);
        Ok(())
    }
}

/// The value of `--capability=` and `--drop-capability=`.
pub fn capabilities_or_all(text: &str) -> Parsed<CapabilitySet> {
    match text {
        "all" => Ok(CapabilitySet::ALL),
        _ => values::capabilities(text)
            .map_err(|_| "capabilities separated by commas, as CAP_SYS_TIME, or all"),
    }
}
