//! Times start and stop of a program that speaks sd_notify(3): starts it, waits
//! for READY=1, reads its memory, stops it with SIGTERM and waits for its end.
//!
//!     await-ready PROGRAM [ARG…]
//!
//! Prints one line of JSON: `ready_ms` from start to READY=1, `stop_ms` from
//! SIGTERM to the end, and the resident (`rss_kib`) and proportional
//! (`pss_kib`) memory of the program's own process while ready, in KiB.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;
use std::{env, fs, io};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: await-ready PROGRAM [ARG…]");
        return ExitCode::from(2);
    };
    let mut command = Command::new(program);
    command.args(words);

    match live_once(&mut command) {
        Ok(life) => {
            println!("{life}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: await-ready: {command:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn live_once(command: &mut Command) -> io::Result<String> {
    let path = env::temp_dir().join(format!("await-ready-{}", std::process::id()));
    let socket = UnixDatagram::bind(&path)?;
    // The program's output must not mix with the result.
    command
        .env("NOTIFY_SOCKET", &path)
        .stdin(Stdio::null())
        .stdout(io::stderr());

    let start = Instant::now();
    let result = command.spawn().and_then(|mut child| {
        let life = until_ready(&socket, &child).and_then(|()| {
            let ready = start.elapsed();
            let memory = memory_of(&child)?;
            let stop = Instant::now();
            terminate(&mut child)?;
            Ok(format!(
                r#"{{"ready_ms": {:.1}, "stop_ms": {:.1}, "rss_kib": {}, "pss_kib": {}}}"#,
                ready.as_secs_f64() * 1e3,
                stop.elapsed().as_secs_f64() * 1e3,
                memory.resident,
                memory.proportional,
            ))
        });
        if life.is_err() {
            terminate(&mut child)?;
        }
        life
    });
    fs::remove_file(&path)?;
    result
}

/// Returns at the first datagram with a line `READY=1`.
fn until_ready(socket: &UnixDatagram, child: &Child) -> io::Result<()> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    // sd_notify(3) does not limit the size; systemd accepts a page.
    let mut message = [0; 4096];
    loop {
        let mut events = [
            PollFd::new(socket, PollFlags::IN),
            PollFd::new(&pidfd, PollFlags::IN),
        ];
        poll(&mut events, None)?;
        if !events[0].revents().is_empty() {
            let length = socket.recv(&mut message)?;
            if message[..length]
                .split(|&byte| byte == b'\n')
                .any(|line| line == b"READY=1")
            {
                return Ok(());
            }
        } else {
            return Err(io::Error::other("it ended before it was ready"));
        }
    }
}

struct Memory {
    /// `Rss` of proc_pid_smaps_rollup(5), in KiB.
    resident: u64,
    /// `Pss`: pages that processes share are split among them, in KiB.
    proportional: u64,
}

fn memory_of(child: &Child) -> io::Result<Memory> {
    let path = format!("/proc/{}/smaps_rollup", child.id());
    let rollup = fs::read_to_string(Path::new(&path))?;
    let field = |name: &str| {
        rollup
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| value.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("{path} has no number for {name}")))
    };
    Ok(Memory {
        resident: field("Rss:")?,
        proportional: field("Pss:")?,
    })
}

fn terminate(child: &mut Child) -> io::Result<()> {
    // The program may have ended by itself; wait() reports that.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    child.wait().map(drop)
}
