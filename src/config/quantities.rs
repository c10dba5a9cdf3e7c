//! Limits, sizes and times in systemd's syntax.

use runtime::sys::limits::{Limit, Resource, Unit};

use super::error::Parsed;

/// The value of `--rlimit=`: `LIMIT=SOFT:HARD` or `LIMIT=VALUE`, with the units that
/// `man 5 systemd.exec` documents for `LimitCPU=` and the like.
pub fn limit(text: &str) -> Parsed<Limit> {
    let expected = "LIMIT=VALUE or LIMIT=SOFT:HARD, as RLIMIT_NOFILE=1024:4096, with a resource \
                    of getrlimit(2) and numbers or infinity";
    let (name, value) = text.split_once('=').ok_or(expected)?;
    let name = name.strip_prefix("RLIMIT_").unwrap_or(name);
    let resource = Resource::named(name).ok_or(expected)?;
    let amount = |text: &str| match text {
        "infinity" => Ok(None),
        _ => amount(text, resource.unit()).map(Some).ok_or(expected),
    };
    let (soft, hard) = match value.split_once(':') {
        Some((soft, hard)) => (amount(soft)?, amount(hard)?),
        None => (amount(value)?, amount(value)?),
    };
    if hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard)) {
        return Err("LIMIT=SOFT:HARD with SOFT not above HARD");
    }
    Ok(Limit {
        resource,
        soft,
        hard,
    })
}

fn amount(text: &str, unit: Unit) -> Option<u64> {
    match unit {
        Unit::Bytes => bytes(text),
        // Rounded up: a limit of 0 seconds is never intended.
        Unit::Seconds => microseconds(text, SECOND).map(|time| time.div_ceil(SECOND)),
        Unit::Microseconds => microseconds(text, 1),
        Unit::NiceValue => nice_limit(text),
        Unit::Number => whole(text),
    }
}

/// A signed nice value, or the kernel's number for it (`man 2 getrlimit`,
/// RLIMIT_NICE).
fn nice_limit(text: &str) -> Option<u64> {
    if text.starts_with(['+', '-']) {
        let nice: i64 = text.parse().ok()?;
        return (-20..=19)
            .contains(&nice)
            .then(|| (20 - nice).unsigned_abs());
    }
    whole(text).filter(|number| *number <= 40)
}

/// A size in bytes, with a suffix for multiples of 1024 (`man 5
/// systemd.resource-control`).
pub fn bytes(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(char::is_alphabetic);
    let shift = match &text[number.len()..] {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        "E" => 60,
        _ => return None,
    };
    whole(number)?.checked_mul(1 << shift)
}

/// A second in microseconds.
pub const SECOND: u64 = 1_000_000;

/// A span of time in microseconds, such as `1h30min` or `1h 30min`; numbers without
/// a unit have the default one (`man 7 systemd.time`).
pub fn microseconds(text: &str, default_unit: u64) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum: u64 = 0;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        let (number, behind) = rest.split_at(digits.unwrap_or(rest.len()));
        let letters = behind.find(|c: char| c.is_ascii_digit());
        let (unit, behind) = behind.split_at(letters.unwrap_or(behind.len()));
        let unit = match unit.trim() {
            "" => default_unit,
            unit => time_unit(unit)?,
        };
        sum = sum.checked_add(whole(number)?.checked_mul(unit)?)?;
        if behind.is_empty() {
            return Some(sum);
        }
        rest = behind;
    }
}

const DAY: u64 = 86_400 * SECOND;

fn time_unit(name: &str) -> Option<u64> {
    Some(match name {
        "us" | "usec" | "µs" => 1,
        "ms" | "msec" => 1000,
        "s" | "sec" | "second" | "seconds" => SECOND,
        "m" | "min" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hr" | "hour" | "hours" => 3600 * SECOND,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        "M" | "month" | "months" => 2_629_800 * SECOND,
        "y" | "year" | "years" => 31_557_600 * SECOND,
        _ => return None,
    })
}

/// A number without a sign.
pub fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_has_the_units_of_its_resource() {
        for (text, shown) in [
            ("NOFILE=100", "NOFILE=100"),
            ("RLIMIT_NOFILE=100:200", "NOFILE=100:200"),
            ("CORE=0:infinity", "CORE=0:infinity"),
            ("AS=infinity", "AS=infinity"),
            ("AS=1G:2G", "AS=1073741824:2147483648"),
            ("CPU=90", "CPU=90"),
            ("CPU=1h30min", "CPU=5400"),
            ("CPU=1us", "CPU=1"),
            ("CPU=1M", "CPU=2629800"),
            ("RTTIME=10", "RTTIME=10"),
            ("RTTIME=1ms", "RTTIME=1000"),
            ("NICE=+5", "NICE=15"),
            ("NICE=-5:-10", "NICE=25:30"),
            ("NICE=7", "NICE=7"),
        ] {
            let limit = limit(text).map(|limit| limit.to_string());
            assert_eq!(limit.as_deref(), Ok(shown), "{text}");
        }
        for bad in [
            "",
            "NOFILE",
            "NOFILE=",
            "NOFILE=1:",
            "NOFILE=2:1",
            "NOFILE=infinity:1",
            "NOFILE=-1",
            "NOFILE=+1",
            "NOFILE=1K",
            "nofile=1",
            "FLIGHTS=1",
            "NICE=41",
            "NICE=+20",
            "CPU=1fortnight",
            "CPU=h",
            "AS=16E",
            "AS=99999999999999999999",
        ] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }
}
