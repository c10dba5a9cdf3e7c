//! `man`: the manual pages, made from the command line's own help.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::args::{Cli, Command};

/// Writes a page for the program and one for each of its commands.
pub fn write(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command(), directory))
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))
}

/// The command line, with a synopsis of ours for words that come after `--`:
/// pages would leave that out.
fn command() -> clap::Command {
    let mut command = Cli::<Command>::command();
    command.build();
    command.mut_subcommands(|mut command| {
        if !command.get_positionals().any(clap::Arg::is_last_set) {
            return command;
        }
        let usage = command.render_usage().to_string();
        command.override_usage(usage.trim_start_matches("Usage: ").to_owned())
    })
}
