//! `list`: the containers and their state.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use runtime::sys::proc::Stat;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::query;
use crate::cli::args::List;
use crate::cli::date;
use crate::config::ContainerConfig;
use crate::container::paths::Places;
use crate::container::running::{PublicStatus, UNRESPONSIVE, Unresponsive};
use crate::container::{Container, left_over, registry};
use crate::report::Failures;

/// `list [--long | --json] [--running]`, `list --orphaned`
pub fn list(places: &Places, arguments: &List) -> Result<()> {
    let containers = match arguments.orphaned {
        true => left_over::orphaned(places)?,
        false => registry::known(places)?,
    };
    let mut stdout = io::stdout().lock();
    if !(arguments.long || arguments.json || arguments.running) {
        let names = containers.iter().map(|container| container.name().as_str());
        return print_names(names, &mut stdout).context("cannot print");
    }
    let mut rows = Vec::new();
    let mut failures = Failures::default();
    for container in containers {
        let status = match container.public_status() {
            Err(error) if error.is::<Unresponsive>() => {
                failures.keep::<()>(Err(error));
                Status::Unresponsive
            }
            answer => match failures.keep(answer) {
                Some(status) => status.map_or(Status::Down, Status::Running),
                None => continue,
            },
        };
        rows.extend(failures.keep(Row::of(&container, status)));
    }
    rows.retain(|row| !arguments.running || row.state != DOWN);
    if arguments.json {
        print_json(&rows, &mut stdout)
    } else if arguments.long {
        print_table(&rows, &mut stdout)
    } else {
        print_names(rows.iter().map(|row| row.name.as_str()), &mut stdout)
    }
    .context("cannot print")?;
    failures.into_result()
}

/// A row of the list; its fields are the keys of the JSON.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// The word of `status`.
    state: &'static str,
    address: Option<String>,
    address6: Option<String>,
    /// When its init was started.
    #[serde(serialize_with = "as_rfc3339")]
    since: Option<SystemTime>,
    /// Bytes.
    memory: Option<u64>,
    auto_start: bool,
}

const DOWN: &str = "down";

/// What a container's supervisor answers.
enum Status {
    /// There is none.
    Down,
    /// Nothing.
    Unresponsive,
    Running(PublicStatus),
}

impl Row {
    fn of(container: &Container, status: Status) -> Result<Self> {
        let config = config(container);
        let (state, leader, addresses) = match status {
            Status::Down => (DOWN, None, None),
            Status::Unresponsive => (UNRESPONSIVE, None, None),
            Status::Running(status) => (
                status.state.as_str(),
                Some(status.leader),
                // It may have ended meanwhile.
                Some(query::addresses(&status).unwrap_or_default()),
            ),
        };
        let addresses = addresses.unwrap_or_else(|| config.local_addresses().collect());
        let address = |is_kind: fn(&IpAddr) -> bool| {
            let address = addresses.iter().find(|address| is_kind(address));
            address.map(IpAddr::to_string)
        };
        Ok(Self {
            name: container.name().to_string(),
            state,
            address: address(IpAddr::is_ipv4),
            address6: address(IpAddr::is_ipv6),
            since: leader.and_then(started),
            memory: match leader {
                // `None` where the controller is missing, or the cgroup is gone.
                Some(leader) => container.cgroup_of(leader)?.memory().unwrap_or(None),
                None => None,
            },
            auto_start: config.auto_start,
        })
    }
}

/// The container's configuration; the default one, with a warning, if it is invalid or
/// cannot be read.
fn config(container: &Container) -> ContainerConfig {
    let result = container.config();
    result.unwrap_or_else(|error| {
        // It may have been removed meanwhile.
        if container.exists() {
            say!("warning: {error:#}");
        }
        ContainerConfig::default()
    })
}

/// The time when a process was started; `None` if it is gone.
fn started(pid: i32) -> Option<SystemTime> {
    let until_then = Stat::of(pid).ok()?.started();
    let until_now = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    let age = until_now.checked_sub(until_then)?;
    SystemTime::now().checked_sub(age)
}

fn as_rfc3339<S: serde::Serializer>(
    since: &Option<SystemTime>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let text = since.map(|since| humantime::format_rfc3339_seconds(since).to_string());
    text.serialize(serializer)
}

fn print_names<'a>(names: impl Iterator<Item = &'a str>, out: &mut impl Write) -> io::Result<()> {
    for name in names {
        writeln!(out, "{name}")?;
    }
    Ok(())
}

fn print_json(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, rows)?;
    writeln!(out)
}

fn print_table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let mut lines = vec![["NAME", "STATE", "ADDRESS", "SINCE", "MEMORY"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let address = row.address.clone().or(row.address6.clone());
        [
            Some(row.name.clone()),
            Some(row.state.to_owned()),
            address,
            row.since.map(seconds_since_1970).map(date::local),
            row.memory.map(mebibytes),
        ]
        .map(|cell| cell.unwrap_or_else(|| "-".to_owned()))
    }));
    let mut widths = [0; 5];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    for line in &lines {
        let cells = line.iter().zip(widths);
        let padded: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", padded.join("  ").trim_end())?;
    }
    Ok(())
}

fn seconds_since_1970(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_was_started_when_it_was_spawned() {
        let early = SystemTime::now();
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("there is cat");
        let late = SystemTime::now();
        let moment = started(child.id().try_into().expect("a pid")).expect("it runs");
        child.wait().expect("it ends with its input");
        // The ticks that are over are counted.
        let early = early - Duration::from_secs(1) / rustix::param::clock_ticks_per_second() as u32;
        assert!(
            (early..=late).contains(&moment),
            "{early:?} {moment:?} {late:?}"
        );
        assert_eq!(started(0), None);
    }

    #[test]
    fn a_table_is_aligned_and_marks_missing_values() {
        let row = |name: &str, memory| Row {
            name: name.to_owned(),
            state: DOWN,
            address: None,
            address6: Some("fc00::2".to_owned()),
            since: None,
            memory,
            auto_start: false,
        };
        let rows = [row("a-long-name", None), row("b", Some(1 << 21))];
        let mut text = Vec::new();
        print_table(&rows, &mut text).expect("writable");
        assert_eq!(
            String::from_utf8_lossy(&text),
            "NAME         STATE  ADDRESS  SINCE  MEMORY\n\
             a-long-name  down   fc00::2  -      -\n\
             b            down   fc00::2  -      2.0 MiB\n"
        );
    }
}
