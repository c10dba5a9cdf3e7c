//! Resources of programs inside (`man 1 systemd-nspawn`, "Resource Options" and
//! "Property Options").

use runtime::sys::cpus::Cpus;
use runtime::sys::limits::Limit;
use runtime::sys::personality::Personality;

use super::Property;
use super::error::Parsed;
use super::properties::property_of_key;
use super::quantities;

/// Limits on the resources of programs inside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// `LIMIT_NOFILE`, `--rlimit`: limits of init, of which the last one for each
    /// resource holds.
    pub limits: Vec<Limit>,
    /// `--oom-score-adjust`: init's, from -1000 to 1000.
    pub oom_score_adjust: Option<i16>,
    /// `--cpu-affinity`: the processors that init may run on.
    pub cpus: Option<Cpus>,
    /// `MEMORY_MAX` and the like, `--property`: settings of the control group, of
    /// which the last one for each file holds.
    pub properties: Vec<Property>,
    /// `CONSOLE_LOG_MAX`: the size in bytes of the console's log at which it starts
    /// over.
    pub console_log_max: Option<u64>,
    /// `JOURNAL_MAX_USE`: the size in bytes that the container's journald keeps its
    /// files below.
    pub journal_max_use: Option<u64>,
    /// `--personality`: the architecture that `uname` reports.
    pub personality: Option<Personality>,
}

impl Resources {
    /// Sets a property of the control group to the value of a key.
    pub fn set(&mut self, key: &'static str, property: &str, value: &str) -> Parsed<()> {
        let property = property_of_key(key, property, value)?;
        self.properties.push(property);
        Ok(())
    }

    /// The value of `LIMIT_NOFILE`, if open files are limited.
    pub fn open_files_max(&self) -> Option<String> {
        let limits = self.limits.iter().rev().map(Limit::to_string);
        let mut values = limits.filter_map(|limit| Some(limit.strip_prefix("NOFILE=")?.to_owned()));
        values.next()
    }
}

/// The value of `LIMIT_NOFILE`.
pub fn open_files(text: &str) -> Parsed<Limit> {
    quantities::limit(&format!("NOFILE={text}"))
        .map_err(|_| "NUMBER or SOFT:HARD, as 1024:4096, or infinity")
}

/// The value of `CONSOLE_LOG_MAX` and `JOURNAL_MAX_USE`.
pub fn size(text: &str) -> Parsed<u64> {
    let bytes = quantities::bytes(text).filter(|bytes| *bytes >= SMALLEST_LOG);
    bytes.ok_or("BYTES, as 512K or 16M, and at least 64K")
}

/// A log below this size would not keep the messages of a boot, in bytes.
const SMALLEST_LOG: u64 = 64 << 10;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_a_number_or_two() {
        for (text, shown) in [
            ("4096", "NOFILE=4096"),
            ("1024:4096", "NOFILE=1024:4096"),
            ("infinity", "NOFILE=infinity"),
        ] {
            let limit = open_files(text).map(|limit| limit.to_string());
            assert_eq!(limit.as_deref(), Ok(shown), "{text}");
        }
        for bad in ["", "1K", "2:1", "-1"] {
            assert!(open_files(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn size_of_a_log_is_not_too_small() {
        assert_eq!(size("64K"), Ok(65536));
        assert_eq!(size("2G"), Ok(2 << 30));
        for bad in ["", "0", "63K", "64k", "10%", "infinity"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
