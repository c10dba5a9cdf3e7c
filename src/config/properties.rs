//! Settings of the container's control group, by `--property` or a key, in the words
//! of a systemd unit (`man 5 systemd.resource-control`; kernel documentation,
//! admin-guide/cgroup-v2).

use runtime::sys::cpus::Cpus;

use super::error::Parsed;
use super::quantities;

/// A setting of the container's control group.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Its name in systemd.
    pub name: &'static str,
    /// The controller that it belongs to.
    pub controller: &'static str,
    /// The file of the control group.
    pub file: &'static str,
    /// The value for the file.
    pub value: PropertyValue,
    /// The value as it was written.
    pub text: String,
    /// The key that has set it; `None`: `--property` has.
    pub key: Option<&'static str>,
}

/// The most tasks of a container without `TASKS_MAX`: the limit of systemd's
/// `systemd-nspawn@.service`.
pub const DEFAULT_TASKS_MAX: u64 = 16384;

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyValue {
    /// A text for the file.
    Words(String),
    /// A share of the machine's memory, in percent.
    PercentOfMemory(u8),
    /// A share of the machine's maximum number of processes, in percent.
    PercentOfTasks(u8),
}

/// The type of a setting's value.
enum Kind {
    Memory,
    Tasks,
    Weight,
    IoWeight,
    Quota,
    Numbers,
}

const PROPERTIES: &[(&str, &str, &str, Kind)] = &[
    ("AllowedCPUs", "cpuset", "cpuset.cpus", Kind::Numbers),
    ("AllowedMemoryNodes", "cpuset", "cpuset.mems", Kind::Numbers),
    ("CPUQuota", "cpu", "cpu.max", Kind::Quota),
    ("CPUWeight", "cpu", "cpu.weight", Kind::Weight),
    ("IOWeight", "io", "io.weight", Kind::IoWeight),
    ("MemoryHigh", "memory", "memory.high", Kind::Memory),
    ("MemoryLow", "memory", "memory.low", Kind::Memory),
    ("MemoryMax", "memory", "memory.max", Kind::Memory),
    ("MemoryMin", "memory", "memory.min", Kind::Memory),
    ("MemorySwapMax", "memory", "memory.swap.max", Kind::Memory),
    ("MemoryZSwapMax", "memory", "memory.zswap.max", Kind::Memory),
    ("TasksMax", "pids", "pids.max", Kind::Tasks),
];

/// The value of a key for the property of this name.
pub fn property_of_key(key: &'static str, name: &str, text: &str) -> Parsed<Property> {
    match property(&format!("{name}={text}")) {
        Ok(property) => Ok(Property {
            key: Some(key),
            ..property
        }),
        Err(expected) => Err(expected.strip_prefix("NAME=").unwrap_or(expected)),
    }
}

/// The value of `--property=`: `NAME=VALUE`.
pub fn property(text: &str) -> Parsed<Property> {
    let known = "NAME=VALUE with AllowedCPUs, AllowedMemoryNodes, CPUQuota, CPUWeight, IOWeight, \
                 MemoryHigh, MemoryLow, MemoryMax, MemoryMin, MemorySwapMax, MemoryZSwapMax or \
                 TasksMax";
    let (name, value) = text.split_once('=').ok_or(known)?;
    let (name, controller, file, kind) = PROPERTIES
        .iter()
        .find(|(property, ..)| *property == name)
        .ok_or(known)?;
    Ok(Property {
        name,
        controller,
        file,
        value: kind.parse(value)?,
        text: value.to_owned(),
        key: None,
    })
}

impl Kind {
    fn parse(&self, text: &str) -> Parsed<PropertyValue> {
        let infinity = || (text == "infinity").then(|| "max".to_owned());
        let words = match self {
            Self::Memory => {
                if let Some(percent) = percent(text) {
                    return Ok(PropertyValue::PercentOfMemory(percent));
                }
                let bytes = || quantities::bytes(text).map(|bytes| bytes.to_string());
                infinity()
                    .or_else(bytes)
                    .ok_or("NAME=BYTES, as 512M, a percentage or infinity")?
            }
            Self::Tasks => {
                if let Some(percent) = percent(text) {
                    return Ok(PropertyValue::PercentOfTasks(percent));
                }
                let number = || quantities::whole(text).map(|number| number.to_string());
                infinity()
                    .or_else(number)
                    .ok_or("NAME=NUMBER, a percentage or infinity")?
            }
            Self::Weight => weight(text)?,
            Self::IoWeight => format!("default {}", weight(text)?),
            Self::Quota => quota(text).ok_or("NAME=PERCENT of one processor's time, as 150%")?,
            Self::Numbers => Cpus::parse(text)
                .ok_or("NAME=NUMBERS and ranges of them, as 0,2-3")?
                .to_string(),
        };
        Ok(PropertyValue::Words(words))
    }
}

fn weight(text: &str) -> Parsed<String> {
    match quantities::whole(text) {
        Some(weight @ 1..=10_000) => Ok(weight.to_string()),
        _ => Err("NAME=WEIGHT from 1 to 10000"),
    }
}

/// A percentage of up to 100.
fn percent(text: &str) -> Option<u8> {
    let percent = quantities::whole(text.strip_suffix('%')?)?;
    u8::try_from(percent).ok().filter(|percent| *percent <= 100)
}

/// The period of a quota in microseconds: the default of systemd's
/// `CPUQuotaPeriodSec=`.
const PERIOD: u64 = 100_000;

/// The quota of a processor's time and the period, in microseconds.
fn quota(text: &str) -> Option<String> {
    let percent = quantities::whole(text.strip_suffix('%')?)?;
    let time = percent.checked_mul(PERIOD)? / 100;
    (time > 0).then(|| format!("{time} {PERIOD}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn property_is_translated_for_the_kernel() {
        for (text, file, value) in [
            ("MemoryMax=512M", "memory.max", "536870912"),
            ("MemoryHigh=infinity", "memory.high", "max"),
            ("TasksMax=100", "pids.max", "100"),
            ("CPUWeight=50", "cpu.weight", "50"),
            ("CPUQuota=150%", "cpu.max", "150000 100000"),
            ("IOWeight=10", "io.weight", "default 10"),
            ("AllowedCPUs=0,2-3", "cpuset.cpus", "0,2,3"),
        ] {
            let property = property(text).expect(text);
            assert_eq!(property.file, file);
            assert_eq!(property.value, PropertyValue::Words(value.to_owned()));
        }
        let value = |text| property(text).expect(text).value;
        assert_eq!(value("MemoryLow=7%"), PropertyValue::PercentOfMemory(7));
        assert_eq!(value("TasksMax=100%"), PropertyValue::PercentOfTasks(100));
    }

    #[test]
    fn key_has_the_values_of_its_property() {
        let memory = property_of_key("MEMORY_MAX", "MemoryMax", "2G").expect("valid");
        assert_eq!((memory.name, memory.key), ("MemoryMax", Some("MEMORY_MAX")));
        assert_eq!(
            memory.value,
            PropertyValue::Words((2_u64 << 30).to_string())
        );
        for (name, text, expected) in [
            (
                "MemoryMax",
                "lots",
                "BYTES, as 512M, a percentage or infinity",
            ),
            ("CPUQuota", "2", "PERCENT of one processor's time, as 150%"),
            ("TasksMax", "1K", "NUMBER, a percentage or infinity"),
            ("IOWeight", "0", "WEIGHT from 1 to 10000"),
        ] {
            assert_eq!(property_of_key("A", name, text), Err(expected), "{name}");
        }
    }

    #[test]
    fn unknown_property_or_bad_value_is_refused() {
        for bad in [
            "",
            "MemoryMax",
            "MemoryMax=",
            "MemoryMax=-1",
            "MemoryMax=101%",
            "memorymax=1",
            "DeviceAllow=/dev/null",
            "CPUWeight=0",
            "CPUWeight=10001",
            "CPUQuota=50",
            "CPUQuota=0%",
            "TasksMax=1K",
            "AllowedCPUs=a",
        ] {
            assert!(property(bad).is_err(), "{bad}");
        }
    }
}
