//! Times one run of a program that finally executes `benches/stamp.c`.
//!
//!     until-exec PROGRAM [ARG…]
//!
//! Prints one line of JSON: `exec_ms` from start to the execution of the
//! stamp, and `end_ms` from start to the end of the program.

use std::process::{Command, ExitCode, Stdio};
use std::{env, io};

use rustix::time::{ClockId, clock_gettime};

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: until-exec PROGRAM [ARG…]");
        return ExitCode::from(2);
    };
    let mut command = Command::new(program);
    command.args(words);
    match time(&mut command) {
        Ok(times) => {
            println!("{times}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: until-exec: {command:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn time(command: &mut Command) -> io::Result<String> {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let start = now();
    let output = command.output()?;
    let end = now();
    let stamp = String::from_utf8_lossy(&output.stdout);
    let stamp: i128 = stamp
        .trim()
        .parse()
        .map_err(|_| io::Error::other(format!("printed {stamp:?}, which is no time")))?;
    let milliseconds = |moment: i128| (moment - start) as f64 / 1e6;
    Ok(format!(
        r#"{{"exec_ms": {:.3}, "end_ms": {:.3}}}"#,
        milliseconds(stamp),
        milliseconds(end)
    ))
}

/// Nanoseconds of the clock that the stamp reads.
fn now() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}
