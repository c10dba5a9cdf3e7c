//! `nixos-container`: NixOS systems as containers.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

#[macro_use]
mod say;

mod builder;
mod cli;
mod commands;
mod config;
mod configuration;
mod console_log;
mod container;
mod control;
mod daemon;
mod date;
mod ephemeral;
mod files;
mod flake;
mod generator;
mod hosts_file;
mod journal;
mod lock;
mod manager;
mod mountinfo;
mod name;
mod network;
mod nspawn_flags;
mod paths;
mod printable;
mod profile;
mod progress;
mod reclaim;
mod replacement;
mod resolv_conf;
mod spec;
mod supervisor;
mod system;
mod teardown;
mod terminal;
mod user_record;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::CompleteEnv;
use nix::sys::signal::{SigHandler, Signal};

fn main() -> ExitCode {
    // Modes of what is made are said where it is made, not by the caller.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Some(directory) = generator_directory() {
        return finish(
            paths::Places::from_environment()
                .and_then(|places| generator::generate(&places, &directory))
                .map(|()| ExitCode::SUCCESS),
        );
    }
    // Ends here if a shell asks for completion.
    CompleteEnv::with_factory(|| cli::with_completion(commands::complete::containers))
        .var("NIXOS_CONTAINER_COMPLETE")
        .completer("nixos-container")
        .shells(commands::complete::SHELLS)
        .complete();
    let cli = cli::parse();
    if !matches!(cli.command, cli::Command::Life(cli::Life::Supervise(_))) {
        end_with_the_reader();
    }
    finish(commands::execute(cli))
}

/// Where systemd wants units to be written, if it is systemd who runs us as a
/// generator: by that name, with three directories.
fn generator_directory() -> Option<PathBuf> {
    let mut arguments = std::env::args_os();
    let program = PathBuf::from(arguments.next()?);
    if program.file_name()? != generator::PROGRAM {
        return None;
    }
    arguments.next().map(PathBuf::from)
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// A command whose output nobody reads any more, as in `list | head`, ends
/// without a word, as other programs do. A supervisor goes on: it has a
/// container to look after.
fn end_with_the_reader() {
    let (pipe, end) = (Signal::SIGPIPE, SigHandler::SigDfl);
    // SAFETY: takes away the standard library's "ignore" and installs no
    // handler. It fails for numbers that are no signals.
    let _ = unsafe { nix::sys::signal::signal(pipe, end) };
}

/// What was being done, what came in the way, and what to try.
fn print_error(error: &anyhow::Error) {
    say!("error: {error:#}");
    if let Some(hint) = hint(error) {
        say!("hint: {hint}");
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
    error.chain().find_map(|cause| {
        let link = cause.downcast_ref().and_then(netns::Error::hint);
        link.or_else(|| cause.downcast_ref().and_then(netns::firewall::Error::hint))
    })
}
