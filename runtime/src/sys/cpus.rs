//! Sets of processors.

use std::collections::BTreeSet;

use derive_more::Display;
use rustix::thread::CpuSet;
use serde::Serialize;

use super::joined;

/// Processors by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Display, Serialize)]
#[display("{}", joined(_0, ","))]
pub struct Cpus(BTreeSet<usize>);

impl Cpus {
    /// Reads numbers and ranges, separated by commas, as in `0,2-3` (`man 7
    /// cpuset`, "List format").
    pub fn parse(text: &str) -> Option<Self> {
        let mut cpus = BTreeSet::new();
        for word in text.split(',') {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            cpus.extend(first..=last);
        }
        Some(Self(cpus))
    }

    /// Keeps the calling thread, and all processes that it starts, on these.
    pub(crate) fn keep_thread(&self) -> rustix::io::Result<()> {
        let mut set = CpuSet::new();
        for cpu in &self.0 {
            set.set(*cpu);
        }
        rustix::thread::sched_setaffinity(None, &set)
    }
}

/// The number of a processor that fits into a [`CpuSet`].
fn number(text: &str) -> Option<usize> {
    // `parse` would take a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (number < CpuSet::MAX_CPU).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_make_a_set() {
        let cpus = |text: &str| Cpus::parse(text).map(|cpus| cpus.to_string());
        assert_eq!(cpus("0").as_deref(), Some("0"));
        assert_eq!(cpus("3,0-1,1").as_deref(), Some("0,1,3"));
        for bad in ["", ",", "0,", "a", "1-", "-1", "+1", "2-1", "0-1024", "0 1"] {
            assert_eq!(cpus(bad), None, "{bad:?}");
        }
    }
}
