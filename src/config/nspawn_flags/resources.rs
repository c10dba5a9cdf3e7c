//! Flags that say what programs inside may use (`man 1 systemd-nspawn`,
//! "Resource Options").

use runtime::sys::cpus::Cpus;
use runtime::sys::limits::Limit;
use runtime::sys::personality::Personality;

use super::{Flag, Meaning};
use crate::config::{Property, properties, quantities};

/// A flag about resources.
#[derive(Debug, Clone, PartialEq)]
pub enum ResourceFlag {
    /// `--rlimit=LIMIT=SOFT[:HARD]`
    Limit(Limit),
    /// `--oom-score-adjust=`
    OomScoreAdjust(i16),
    /// `--cpu-affinity=`
    Cpus(Cpus),
    /// `--property=`
    Property(Property),
    /// `--personality=`
    Personality(Personality),
}

/// What one of these flags says; none if it is none of them.
pub(super) fn meaning(flag: &str) -> Option<Meaning> {
    use ResourceFlag as Is;
    Some(match flag {
        "--rlimit" => Meaning::With(|value| resource(quantities::limit(value).map(Is::Limit))),
        "--oom-score-adjust" => {
            Meaning::With(|value| resource(oom_score(value).map(Is::OomScoreAdjust)))
        }
        "--cpu-affinity" => Meaning::With(|value| {
            let cpus = Cpus::parse(value).map(Is::Cpus);
            resource(cpus.ok_or("numbers of processors and ranges of them, as 0,2-3"))
        }),
        "--property" => {
            Meaning::With(|value| resource(properties::property(value).map(Is::Property)))
        }
        "--personality" => Meaning::With(|value| resource(personality(value).map(Is::Personality))),
        _ => return None,
    })
}

fn resource(parsed: Result<ResourceFlag, &'static str>) -> Result<Flag, &'static str> {
    parsed.map(Flag::Resource)
}

fn oom_score(text: &str) -> Result<i16, &'static str> {
    match text.parse() {
        Ok(score @ -1000..=1000) => Ok(score),
        _ => Err("a number from -1000 to 1000"),
    }
}

fn personality(text: &str) -> Result<Personality, &'static str> {
    match text {
        "x86" if cfg!(target_arch = "x86_64") => Ok(Personality::X86),
        "x86-64" if cfg!(target_arch = "x86_64") => Ok(Personality::X86_64),
        _ => Err("x86 or x86-64, on a machine that can be either"),
    }
}
