//! Output to the user of a command. The standard library's macros panic where
//! they cannot write, as to a full disk or to a reader that has gone.
//!
//! Text that is said may quote a container's: a path, a name, the words of a program.
//! So all of it is made [printable], here and nowhere else.

use std::fmt;
use std::io::{self, Write};

use anyhow::{Context, Result};

/// Prints a line to standard error, like `eprintln!`. Errors are ignored: the
/// line is no part of the result.
macro_rules! say {
    ($($text:tt)*) => { $crate::report::print_aside(format_args!($($text)*)) };
}

/// Prints a line of the result to standard output, like `println!`. Fails where
/// it cannot be written.
macro_rules! answer {
    ($($text:tt)*) => { $crate::report::print_result(format_args!($($text)*)) };
}

pub mod exit_codes;
pub mod log;
pub mod printable;
pub mod progress;

pub fn print_aside(text: fmt::Arguments<'_>) {
    let text = printable::lines(&text.to_string());
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub fn print_result(text: fmt::Arguments<'_>) -> Result<()> {
    let text = printable::lines(&text.to_string());
    writeln!(io::stdout().lock(), "{text}").context("cannot print")
}

/// Prints the operation that failed, its causes, and a remedy if one is known.
pub fn print_error(error: &anyhow::Error) {
    say!("error: {error:#}");
    if let Some(hint) = hint(error) {
        say!("hint: {hint}");
    }
}

/// A remedy for the error.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    let refused = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied);
    if refused && !rustix::process::geteuid().is_root() {
        return Some("this may need root; try `sudo nixos-container …`".to_owned());
    }
    error.chain().find_map(|cause| {
        let link = cause.downcast_ref().and_then(netns::Error::hint);
        link.or_else(|| cause.downcast_ref().and_then(netns::firewall::Error::hint))
    })
}

/// The failures of a command that goes on to the next container after one. Each
/// is printed, the last one by the caller.
#[derive(Debug, Default)]
pub struct Failures {
    last: Option<anyhow::Error>,
}

impl Failures {
    /// The value of a result; an error is kept.
    pub fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if let Some(earlier) = self.last.replace(error) {
                    print_error(&earlier);
                }
                None
            }
        }
    }

    /// The last failure, if there was one.
    pub fn into_result(self) -> Result<()> {
        self.last.map_or(Ok(()), Err)
    }
}
