//! The command line: its words, the commands, the terminal.

pub mod args;
pub mod commands;
mod date;
mod terminal;
