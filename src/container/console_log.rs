//! The output of a container's console: copied, logged, quoted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use runtime::sys::proc;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};

use super::paths::RunDir;
use crate::config::Console as Kind;
use crate::report::printable::{self, plain};

/// The size in bytes at which a log starts over, without `CONSOLE_LOG_MAX`.
const DEFAULT_MAX: u64 = 1 << 20;

/// The most bytes that are copied to standard output in [`ECHO_SPAN`]. In a unit, it is
/// the host's journal, where a flood would drive out what others have logged.
const ECHO_MAX: usize = 1 << 20;

/// The span of journald's own limit (`man 5 journald.conf`, RateLimitIntervalSec=).
const ECHO_SPAN: Duration = Duration::from_secs(30);

/// The copy of a console on standard output.
struct Echo {
    out: Box<dyn Write>,
    began: Instant,
    bytes: usize,
}

impl Echo {
    fn new() -> Self {
        Self {
            out: printable::stdout(),
            began: Instant::now(),
            bytes: 0,
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        if self.began.elapsed() > ECHO_SPAN {
            self.began = Instant::now();
            self.bytes = 0;
        }
        let was_below = self.bytes <= ECHO_MAX;
        self.bytes += bytes.len();
        let bytes = match self.bytes <= ECHO_MAX {
            true => bytes,
            false if was_below => OMITTED.as_bytes(),
            false => return,
        };
        let _ = self.out.write_all(bytes);
        let _ = self.out.flush();
    }
}

/// Stands for the output that is not copied.
const OMITTED: &str = "\nnixos-container: the console exceeds 1 MiB in 30 seconds; \
                       `nixos-container logs` has the rest\n";

/// The supervisor's end of `/dev/console`.
pub struct Console {
    output: OwnedFd,
    /// Kept open, since the console hangs up when no process has its input open.
    _input: OwnedFd,
    log: File,
    logged: u64,
    log_max: u64,
    echo: Option<Echo>,
    ignored: bool,
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

impl Console {
    /// Creates an empty log for one start.
    pub fn create_log(run: &RunDir) -> Result<File> {
        let path = run.console_log();
        File::create(&path).with_context(|| format!("cannot make {}", path.display()))
    }

    /// Reads a console's output from `output`. At `log_max` bytes, the log starts over.
    /// The output is copied to standard output too if `echo`.
    pub fn new(
        kind: Kind,
        output: OwnedFd,
        log: File,
        log_max: Option<u64>,
        echo: bool,
    ) -> Result<Self> {
        let cannot = "cannot set up the console";
        rustix::io::ioctl_fionbio(&output, true).context(cannot)?;
        let input = match kind {
            Kind::Logged | Kind::Ignored => {
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                ioctl_tiocgptpeer(&output, flags)
            }
            // Opening a pipe again gives its other end (man 7 pipe).
            Kind::Pipe => rustix::fs::open(
                proc::descriptor_path(output.as_fd()),
                OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
                Mode::empty(),
            ),
        };
        Ok(Self {
            output,
            _input: input.context(cannot)?,
            log,
            logged: 0,
            log_max: log_max.unwrap_or(DEFAULT_MAX),
            echo: echo.then(Echo::new),
            ignored: kind == Kind::Ignored,
        })
    }

    /// The log.
    pub fn log(&mut self) -> &mut File {
        &mut self.log
    }

    /// Copies the output that is waiting, and returns its length in bytes. Output that
    /// cannot be logged is lost: a full disk of the host must not stop the container.
    pub fn copy(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let length = rustix::io::read(&self.output, &mut buffer).unwrap_or(0);
        if self.ignored {
            return length;
        }
        let bytes = &buffer[..length];
        if self.logged + length as u64 > self.log_max {
            let _ = self.log.set_len(0);
            let _ = io::Seek::rewind(&mut self.log);
            self.logged = 0;
        }
        let _ = self.log.write_all(bytes);
        self.logged += length as u64;
        if let Some(echo) = &mut self.echo {
            echo.copy(bytes);
        }
        length
    }

    /// Copies all remaining output.
    pub fn drain(&mut self) {
        while self.copy() > 0 {}
    }
}

/// The number of lines of the console that an error shows.
const TAIL_LINES: usize = 10;
/// Their maximum length in bytes: they have to fit into a message of the supervisor.
const TAIL_BYTES: usize = 4096;

/// The last lines of the console, as plain text. Empty if there is no log.
pub fn tail(path: &Path) -> String {
    let log = std::fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let all: Vec<_> = log
        .lines()
        .map(plain)
        .filter(|line| !line.trim().is_empty())
        .collect();
    let tail = all[all.len().saturating_sub(TAIL_LINES)..].join("\n");
    let longest = tail.len().saturating_sub(TAIL_BYTES);
    let start = (longest..).find(|start| tail.is_char_boundary(*start));
    tail[start.unwrap_or_default()..].to_owned()
}

/// When the log at `path` was last written to; `None` if there is no log.
pub fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
