//! Resources of programs inside (`man 1 systemd-nspawn`, "Resource Options" and
//! "Property Options").

use runtime::sys::cpus::Cpus;
use runtime::sys::limits::Limit;
use runtime::sys::personality::Personality;

use super::Property;
use super::error::Parsed;

/// Limits on the resources of programs inside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// `--rlimit`: limits of init, of which the last one for each resource holds.
    pub limits: Vec<Limit>,
    /// `--oom-score-adjust`: init's, from -1000 to 1000.
    pub oom_score_adjust: Option<i16>,
    /// `--cpu-affinity`: the processors that init may run on.
    pub cpus: Option<Cpus>,
    /// `--property`: settings of the control group.
    pub properties: Vec<Property>,
    /// `--personality`: the architecture that `uname` reports.
    pub personality: Option<Personality>,
}

/// The value of `--cpu-affinity=`.
pub fn cpus(text: &str) -> Parsed<Cpus> {
    Cpus::parse(text).ok_or("numbers of processors and ranges of them, as 0,2-3")
}

/// The value of `--oom-score-adjust=`.
pub fn oom_score(text: &str) -> Parsed<i16> {
    match text.parse() {
        Ok(score @ -1000..=1000) => Ok(score),
        _ => Err("a number from -1000 to 1000"),
    }
}

/// The value of `--personality=`.
pub fn personality(text: &str) -> Parsed<Personality> {
    match text {
        "x86" if cfg!(target_arch = "x86_64") => Ok(Personality::X86),
        "x86-64" if cfg!(target_arch = "x86_64") => Ok(Personality::X86_64),
        _ => Err("x86 or x86-64, on a machine that can be either"),
    }
}
