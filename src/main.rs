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
use runtime::process::sealed::Sealed;

use report::exit_codes;

fn main() -> ExitCode {
    // The modes of new files do not depend on the caller's umask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Some(directory) = generator_directory() {
        return finish(
            container::paths::Places::from_environment()
                .and_then(|places| systemd::generator::generate(&places, &directory))
                .map(|()| ExitCode::SUCCESS),
        );
    }
    if rustix::process::geteuid().is_root()
        && cli::args::may_enter(&cli::args::words())
        && let Err(error) = Sealed::ensure()
    {
        let error = anyhow::Error::from(error);
        return finish(Err(
            error.context("cannot execute a sealed copy of this program")
        ));
    }
    // Exits if a shell asks for completions.
    CompleteEnv::with_factory(|| cli::args::with_completion(cli::commands::complete::containers))
        .var("NIXOS_CONTAINER_COMPLETE")
        .completer("nixos-container")
        .shells(cli::commands::complete::SHELLS)
        .complete();
    let cli = cli::args::parse();
    if !matches!(
        cli.command,
        cli::args::Command::Lifecycle(cli::args::Lifecycle::Supervise(_))
    ) {
        end_without_reader();
    }
    finish(report::log::start(cli.debug).and_then(|()| cli::commands::execute(cli)))
}

/// The directory for generated units, if systemd runs this program as a
/// generator: by that name, with three directories as arguments.
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
            ExitCode::from(exit_codes::of(&error))
        }
    }
}

/// Lets SIGPIPE end this process: a command whose reader has gone, as in
/// `list | head`, ends without an error, as other programs do. A supervisor
/// goes on without its reader.
fn end_without_reader() {
    let (pipe, end) = (Signal::SIGPIPE, SigHandler::SigDfl);
    // SAFETY: replaces the standard library's SIG_IGN and installs no handler.
    // It fails only for numbers that are not signals.
    let _ = unsafe { ::nix::sys::signal::signal(pipe, end) };
}
