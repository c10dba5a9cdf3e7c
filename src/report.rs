//! What is said to whoever runs a command. The standard library's macros panic
//! where that cannot be written, as to a full disk or a reader that has gone.

use std::fmt;
use std::io::{self, Write};

use anyhow::{Context, Result};

/// A line beside the result, like `eprintln!`. Where it cannot be written,
/// nobody reads it, and the work goes on.
macro_rules! say {
    ($($text:tt)*) => { $crate::report::aside(format_args!($($text)*)) };
}

/// A line of the result, like `println!`; an error where it cannot be written.
macro_rules! answer {
    ($($text:tt)*) => { $crate::report::result(format_args!($($text)*)) };
}

pub mod log;
pub mod printable;
pub mod progress;

pub fn aside(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub fn result(text: fmt::Arguments<'_>) -> Result<()> {
    writeln!(io::stdout().lock(), "{text}").context("cannot print")
}

/// What was being done, what came in the way, and what to try.
pub fn print_error(error: &anyhow::Error) {
    say!("error: {error:#}");
    if let Some(hint) = hint(error) {
        say!("hint: {hint}");
    }
}

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
