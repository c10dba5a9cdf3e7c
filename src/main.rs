//! `nixos-container`: NixOS systems as containers.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

#[macro_use]
mod report;

#[cfg(test)]
#[path = "../fuzz/checks.rs"]
mod checks;
mod cli;
mod config;
mod container;
mod control;
mod lifecycle;
mod nix;
mod spec;
mod supervisor;
mod systemd;

use std::path::PathBuf;
use std::process::ExitCode;

use ::nix::sys::signal::{SigHandler, Signal};
use clap_complete::CompleteEnv;

fn main() -> ExitCode {
    // Modes of what is made are said where it is made, not by the caller.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Some(directory) = generator_directory() {
        return finish(
            container::paths::Places::from_environment()
                .and_then(|places| systemd::generator::generate(&places, &directory))
                .map(|()| ExitCode::SUCCESS),
        );
    }
    // Ends here if a shell asks for completion.
    CompleteEnv::with_factory(|| cli::args::with_completion(cli::commands::complete::containers))
        .var("NIXOS_CONTAINER_COMPLETE")
        .completer("nixos-container")
        .shells(cli::commands::complete::SHELLS)
        .complete();
    let cli = cli::args::parse();
    if !matches!(
        cli.command,
        cli::args::Command::Life(cli::args::Life::Supervise(_))
    ) {
        end_with_the_reader();
    }
    finish(report::log::start(cli.debug).and_then(|()| cli::commands::execute(cli)))
}

/// Where systemd wants units to be written, if it is systemd who runs us as a
/// generator: by that name, with three directories.
fn generator_directory() -> Option<PathBuf> {
    let mut arguments = std::env::args_os();
    let program = PathBuf::from(arguments.next()?);
    if program.file_name()? != systemd::generator::PROGRAM {
        return None;
    }
    arguments.next().map(PathBuf::from)
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            report::print_error(&error);
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
    let _ = unsafe { ::nix::sys::signal::signal(pipe, end) };
}
