//! What is said to whoever runs a command. The standard library's macros panic
//! where that cannot be written, as to a full disk or a reader that has gone.

use std::fmt;
use std::io::{self, Write};

use anyhow::{Context, Result};

/// A line beside the result, like `eprintln!`. Where it cannot be written,
/// nobody reads it, and the work goes on.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::aside(format_args!($($text)*)) };
}

/// A line of the result, like `println!`; an error where it cannot be written.
macro_rules! answer {
    ($($text:tt)*) => { $crate::say::result(format_args!($($text)*)) };
}

pub fn aside(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub fn result(text: fmt::Arguments<'_>) -> Result<()> {
    writeln!(io::stdout().lock(), "{text}").context("cannot print")
}
