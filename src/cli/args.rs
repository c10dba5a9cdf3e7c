//! The command line, as clap reads it, a file for each group of commands.
//! Nothing here does anything.

mod create;
mod inside;
mod life;
mod look;
mod system;
mod tips;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::{ArgValueCandidates, CompletionCandidate};

pub use create::Create;
pub use inside::{Enter, Inside};
pub use life::{DEFAULT_TIMEOUT_STOP, Life};
pub use look::{List, Logs, Look};
pub use system::{PullConfig, System, SystemArguments, Update};

use crate::container::name::ContainerName;

/// NixOS systems as containers, on a runtime of their own.
///
/// A container is a whole NixOS system, built by Nix from a configuration and
/// run in namespaces of the Linux kernel, on any host with Nix.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Examples:
  nixos-container create foo --config 'services.openssh.enable = true;'
  nixos-container start foo
  nixos-container run foo -- uname -a
  ssh root@$(nixos-container show-ip foo)
  nixos-container destroy foo

Exit codes: 0, done; 1, failed; 2, used wrongly; for `run`, the command's own.
Set NIXOS_CONTAINER_CONF_DIR, …_STATE_DIR, …_PROFILE_DIR, …_GCROOT_DIR and …_RUN_DIR to
keep containers in other places, and NIXOS_CONTAINER_ADDRESS_POOL to a network such as
172.20.0.0/14, of length 22 or less, to take their addresses from it instead of 10.233.0.0/16."
)]
pub struct Cli<C: Subcommand = Command> {
    /// Have Nix tell where in the configuration an error comes from
    #[arg(long, global = true)]
    pub show_trace: bool,
    /// Log each step with its time, as NIXOS_CONTAINER_LOG=debug does
    #[arg(long, global = true)]
    pub debug: bool,
    #[command(subcommand)]
    pub command: C,
    /// The word for the command, as it was typed
    #[arg(skip)]
    pub word: String,
}

/// The command line of this process, which ends here if it is wrong or asks
/// for help.
pub fn parse() -> Cli {
    let words: Vec<_> = std::env::args_os().collect();
    parse_group(&words).unwrap_or_else(|| {
        parse_as(|command| command, &words).unwrap_or_else(|error| {
            let error = error.format(&mut Cli::<Command>::command());
            tips::with_the_best(error).exit()
        })
    })
}

/// To set up the words of all commands takes longer than most that a command
/// does; those of its group mostly suffice.
fn parse_group(words: &[OsString]) -> Option<Cli> {
    let word = words.get(1)?.to_str()?;
    match word {
        _ if System::has_subcommand(word) => parse_as(Command::System, words),
        _ if Life::has_subcommand(word) => parse_as(Command::Life, words),
        _ if Inside::has_subcommand(word) => parse_as(Command::Inside, words),
        _ if Look::has_subcommand(word) => parse_as(Command::Look, words),
        _ => return None,
    }
    .ok()
}

fn parse_as<C: Subcommand>(
    group: impl FnOnce(C) -> Command,
    words: &[OsString],
) -> Result<Cli, clap::Error> {
    let matches = Cli::<C>::command().try_get_matches_from(words)?;
    let cli = Cli::<C>::from_arg_matches(&matches)?;
    Ok(Cli {
        show_trace: cli.show_trace,
        debug: cli.debug,
        command: group(cli.command),
        word: matches.subcommand_name().unwrap_or_default().to_owned(),
    })
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    System(Box<System>),
    #[command(flatten)]
    Life(Life),
    #[command(flatten)]
    Inside(Inside),
    #[command(flatten)]
    Look(Look),
    /// Prepare the host for containers of the calling user
    #[command(after_help = "Example: nixos-container rootless-install")]
    RootlessInstall,
    /// Write the manual pages
    #[command(
        hide = true,
        after_help = "Example: nixos-container man /usr/share/man/man1"
    )]
    Man(Man),
}

/// The command line, where words that name containers can be completed.
pub fn with_completion(containers: fn() -> Vec<CompletionCandidate>) -> clap::Command {
    let is_new = |command: &clap::Command| command.get_name() == "create";
    Cli::<Command>::command().mut_subcommands(|command| {
        if is_new(&command) {
            return command;
        }
        command.mut_args(|argument| match argument.get_id().as_str() {
            "name" | "names" => argument.add(ArgValueCandidates::new(containers)),
            _ => argument,
        })
    })
}

#[derive(Debug, Args)]
pub struct Man {
    /// The directory to write them to
    pub directory: PathBuf,
}

#[derive(Debug, Args)]
pub struct Name {
    /// The container
    pub name: ContainerName,
}

#[derive(Debug, Args)]
pub struct Names {
    /// The containers
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<ContainerName>,
}

/// What clap says of a wrong value.
fn expected(what: &str) -> String {
    format!("expected {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Vec<clap::Command> {
        let all = Cli::<Command>::command();
        all.get_subcommands().cloned().collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::<Command>::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_and_an_example_that_is_valid() {
        for command in commands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            let help = command.get_after_help().unwrap_or_else(|| panic!("{name}"));
            let help = help.to_string();
            let start = format!("nixos-container {name}");
            assert!(
                help.starts_with("Example") && help.contains(&start),
                "{name}"
            );
        }
    }

    #[test]
    fn every_word_of_the_command_line_has_help() {
        for command in commands().into_iter().chain([Cli::<Command>::command()]) {
            for argument in command.get_arguments() {
                let what = format!("{} {}", command.get_name(), argument.get_id());
                let help = argument.get_help().map(ToString::to_string);
                let help = help.unwrap_or_else(|| panic!("{what}"));
                assert!(!help.is_empty() && !help.ends_with('.'), "{what}: {help}");
            }
        }
    }

    /// Each form in which the manual chapter, the manual page and nixpkgs' tool
    /// have the commands.
    #[test]
    fn every_documented_form_is_understood() {
        for line in include_str!("args/documented.txt").lines() {
            let words = line.split(' ').filter(|word| !word.is_empty());
            let words: Vec<_> = words.map(OsString::from).collect();
            let whole = parse_as(|command: Command| command, &words);
            let whole = whole.unwrap_or_else(|error| panic!("{line}: {error}"));
            match parse_group(&words) {
                Some(group) => assert_eq!(format!("{group:?}"), format!("{whole:?}")),
                None => assert!(words[1] == "--show-trace" || whole.word == "rootless-install"),
            }
        }
    }

    #[test]
    fn containers_are_completed_where_one_is_named() {
        let command = with_completion(|| vec![CompletionCandidate::new("foo")]);
        for command in command.get_subcommands() {
            let named = command.get_arguments().any(|argument| {
                matches!(argument.get_id().as_str(), "name" | "names")
                    && argument.get::<ArgValueCandidates>().is_some()
            });
            let takes_none = ["create", "list", "man", "rootless-install"];
            let expected = !takes_none.contains(&command.get_name());
            assert_eq!(named, expected, "{}", command.get_name());
        }
    }
}
