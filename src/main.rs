//! `nixos-container`: NixOS systems as containers.

mod cli;
mod commands;
mod config;
mod container;
mod control;
mod lock;
mod manager;
mod name;
mod paths;
mod progress;
mod reclaim;
mod spec;
mod supervisor;
mod system;
mod teardown;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Modes of what is made are said where it is made, not by the caller.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match commands::execute(cli::Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// What was being done, what came in the way, and what to try.
fn print_error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
    if let Some(hint) = hint(error) {
        eprintln!("hint: {hint}");
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    let refused = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied);
    if refused && !rustix::process::geteuid().is_root() {
        return Some("this may need root; try `sudo nixos-container …`".to_owned());
    }
    error
        .downcast_ref::<netns::Error>()
        .and_then(netns::Error::hint)
}
