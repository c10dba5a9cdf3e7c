//! The kind of machine that the kernel reports to a process
//! (`man 2 personality`).

use std::io;

use derive_more::Display;
use nix::errno::Errno;
use serde::Serialize;

/// A kind of machine that the kernel can report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Serialize)]
pub enum Personality {
    /// The machine itself.
    #[serde(rename = "x86-64")]
    #[display("x86-64")]
    X86_64,
    /// Its 32-bit kind: `uname -m` says i686.
    #[serde(rename = "x86")]
    #[display("x86")]
    X86,
}

// Numbers of `linux/personality.h`.
const PER_LINUX: libc::c_ulong = 0;
const PER_LINUX32: libc::c_ulong = 8;

impl Personality {
    /// Reports the machine as this kind to the calling process, and to all
    /// processes that it starts.
    pub(crate) fn assume(self) -> io::Result<()> {
        let persona = match self {
            Self::X86_64 => PER_LINUX,
            Self::X86 => PER_LINUX32,
        };
        // SAFETY: takes a number only.
        Errno::result(unsafe { libc::personality(persona) })?;
        Ok(())
    }
}
