//! The command line: its arguments, the commands, the terminal.

pub mod args;
pub mod commands;
mod date;
mod terminal;
