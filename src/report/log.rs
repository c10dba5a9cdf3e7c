//! The log: what the command, the supervisor and the container's child do, each line
//! with the time since the command was called.
//!
//! A command writes it to standard error, if `--debug` or [`VARIABLE`] asks for it. A
//! supervisor writes it to a file of its container, by default the few lines about
//! the container's events. The child, which is a clone of the supervisor, writes
//! to the same places. A line that is not asked for costs one comparison.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use log::{LevelFilter, Log, Metadata, Record};
use rustix::time::{ClockId, clock_gettime};

use super::printable::plain;

/// The level, as `debug`: `off`, `error`, `warn`, `info`, `debug` or `trace`.
pub const VARIABLE: &str = "NIXOS_CONTAINER_LOG";

/// Passes a line on to another process.
pub type Forward = Box<dyn Fn(&str) + Send>;

struct Logger(Mutex<Sinks>);

/// The destinations of lines.
struct Sinks {
    /// The time of the call, by the clock that all processes share.
    called_at: Duration,
    process: &'static str,
    stderr: bool,
    forward: Option<Forward>,
    file: Option<FileSink>,
}

enum FileSink {
    /// Lines wait until it is decided that the file may be made.
    Waiting(Vec<u8>),
    /// The file is made for the next line.
    At(PathBuf),
    Open {
        file: File,
        length: usize,
    },
}

/// The length in bytes at which a supervisor's log starts over. At debug level, each
/// status that a container's init reports is a line.
const FILE_MAX: usize = 1 << 20;

static LOGGER: Logger = Logger(Mutex::new(Sinks {
    called_at: Duration::ZERO,
    process: "command",
    stderr: true,
    forward: None,
    file: None,
}));

/// Starts the log of a command.
///
/// # Errors
///
/// [`VARIABLE`] is not a level.
pub fn start(debug: bool) -> Result<()> {
    let level = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => level(&text)?,
        _ => LevelFilter::Off,
    };
    let level = if debug {
        level.max(LevelFilter::Debug)
    } else {
        level
    };
    LOGGER.sinks().called_at = now();
    log::set_max_level(level);
    // Fails only if there is a logger already, which is this one.
    let _ = log::set_logger(&LOGGER);
    Ok(())
}

fn level(text: &str) -> Result<LevelFilter> {
    match text.parse() {
        Ok(level) => Ok(level),
        Err(_) => {
            bail!("{VARIABLE} is {text:?}, but must be off, error, warn, info, debug or trace")
        }
    }
}

/// Makes this process a supervisor, which logs to a file. Its lines go to standard
/// error too if that was asked for.
pub fn become_supervisor() {
    let mut sinks = LOGGER.sinks();
    sinks.process = "supervisor";
    sinks.stderr = log::max_level() > LevelFilter::Off;
    log::set_max_level(log::max_level().max(LevelFilter::Info));
}

/// Logs on behalf of a command that asked for it: from its call on, and to it.
pub fn serve(request: &LogRequest, forward: Option<Forward>) {
    let mut sinks = LOGGER.sinks();
    sinks.called_at = request.called_at;
    sinks.forward = forward;
    log::set_max_level(log::max_level().max(request.level));
}

/// Keeps lines in memory until [`open_file`]: a start that is refused leaves the file
/// of the one before.
pub fn await_file() {
    LOGGER.sinks().file = Some(FileSink::Waiting(Vec::new()));
}

/// Writes the lines since [`await_file`], and those that follow, to the file at `path`,
/// in place of its contents. The file is opened for the first line, which without
/// `--debug` comes after the container's start.
pub fn open_file(path: &Path) {
    let mut sinks = LOGGER.sinks();
    let waiting = sinks.file.replace(FileSink::At(path.to_owned()));
    if let (Some(FileSink::Waiting(lines)), Some(sink)) = (waiting, &mut sinks.file)
        && !lines.is_empty()
    {
        sink.write(&lines);
    }
}

impl FileSink {
    /// Writes lines. A full disk of the host stops nothing.
    fn write(&mut self, lines: &[u8]) {
        if let Self::At(path) = self
            && let Ok(file) = File::create(path)
        {
            *self = Self::Open { file, length: 0 };
        }
        match self {
            Self::Waiting(waiting) => waiting.extend(lines),
            Self::Open { file, length } => {
                *length += lines.len();
                if *length > FILE_MAX {
                    let _ = file.set_len(0).and_then(|()| file.rewind());
                    *length = lines.len();
                }
                let _ = file.write_all(lines);
            }
            Self::At(_) => {}
        }
    }
}

/// The log that a command requests of a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRequest {
    level: LevelFilter,
    called_at: Duration,
}

impl LogRequest {
    /// The request of this command; `None` if it does not log.
    pub fn of_this_command() -> Option<Self> {
        let level = log::max_level();
        let called_at = LOGGER.sinks().called_at;
        (level > LevelFilter::Off).then_some(Self { level, called_at })
    }

    /// Reads what [`ToString`] has written.
    pub fn parse(text: &str) -> Option<Self> {
        let (level, nanoseconds) = text.trim_end().split_once(' ')?;
        Some(Self {
            level: level.parse().ok()?,
            called_at: Duration::from_nanos(nanoseconds.parse().ok()?),
        })
    }
}

impl std::fmt::Display for LogRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.level, self.called_at.as_nanos())
    }
}

impl Logger {
    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut sinks = self.sinks();
        let elapsed = now().saturating_sub(sinks.called_at).as_secs_f64() * 1e3;
        let process = match record.target().starts_with("runtime::process::child") {
            true => "child",
            false => sinks.process,
        };
        let text = plain(&record.args().to_string());
        let line = format!("{elapsed:10.3} ms  {process:10}  {text}");
        if sinks.stderr {
            say!("{line}");
        }
        if let Some(forward) = &sinks.forward {
            forward(&line);
        }
        let when = humantime::format_rfc3339_millis(SystemTime::now());
        if let Some(file) = &mut sinks.file {
            file.write(format!("{when} {line}\n").as_bytes());
        }
    }

    fn flush(&self) {}
}

/// Whether a line is from this project: libraries log what concerns themselves.
fn is_ours(target: &str) -> bool {
    let name = target.split("::").next();
    matches!(name, Some("nixos_container" | "runtime" | "netns"))
}

/// The time since the host was booted.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_request_is_read_as_it_was_written() {
        let request = LogRequest {
            level: LevelFilter::Debug,
            called_at: Duration::from_nanos(1_234_567_890),
        };
        assert_eq!(LogRequest::parse(&request.to_string()), Some(request));
        for broken in ["", "DEBUG", "DEBUG -1", "LOUD 1"] {
            assert_eq!(LogRequest::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn log_levels_are_the_documented_words() {
        for word in ["off", "error", "warn", "info", "debug", "trace"] {
            assert!(level(word).is_ok(), "{word}");
        }
        assert!(level("loud").is_err());
    }

    #[test]
    fn log_lines_of_libraries_are_left_out() {
        assert!(is_ours("nixos_container::supervisor"));
        assert!(is_ours("runtime::process::child"));
        assert!(!is_ours("zbus::connection"));
        assert!(!is_ours("runtime_library"));
    }
}
