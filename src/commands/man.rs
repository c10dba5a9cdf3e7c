//! `man`: the manual pages, made from the command line's own help.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::{Cli, Command};

/// Writes a page for the program and one for each of its commands.
pub fn write(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::<Command>::command(), directory))
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))
}
