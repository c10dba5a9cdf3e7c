//! The arguments of the command line, as clap parses them, one file per group of
//! commands. Help and manual pages are made from them.

mod build;
mod create;
mod exec;
mod lifecycle;
mod order;
pub mod overview;
mod query;
mod settings;
mod tips;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::{ArgValueCandidates, CompletionCandidate};

pub use build::{Build, PullConfig, SystemArguments, Update};
pub use create::Create;
pub use exec::{Enter, Exec};
pub use lifecycle::Lifecycle;
pub use order::words;
pub use query::{List, Logs, Query};

use crate::container::name::ContainerName;

/// Run NixOS systems as containers
///
/// A container is a complete NixOS system. Nix builds it from a configuration, and it runs in
/// namespaces of the Linux kernel, on any host with Nix.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = overview::help()
)]
pub struct Cli<C: Subcommand = Command> {
    /// Let Nix print where in the configuration an error comes from
    #[arg(long, global = true)]
    pub show_trace: bool,
    /// Log each step with its time, as NIXOS_CONTAINER_LOG=debug does
    #[arg(long, global = true)]
    pub debug: bool,
    #[command(subcommand)]
    pub command: C,
    /// The name of the command, as it was typed
    #[arg(skip)]
    pub word: String,
}

/// Parses the command line of this process. Exits if it is wrong or asks for
/// help.
pub fn parse() -> Cli {
    let words = words();
    parse_group(&words).unwrap_or_else(|| {
        parse_as(|command| command, &words).unwrap_or_else(|error| {
            let error = error.format(&mut Cli::<Command>::command());
            tips::with_best_tip(error).exit()
        })
    })
}

/// Whether a command line can start a container, a process in one, or the evaluation of
/// a container's configuration: then this program has to be sealed. It tells so before
/// the words are parsed, which takes longer.
pub fn may_enter(words: &[OsString]) -> bool {
    const ENTERING: [&str; 11] = [
        "run",
        "enter",
        "root-login",
        "serve-login",
        "supervise",
        "create",
        "update",
        "pull-config",
        "rollback",
        "reload",
        "activate",
    ];
    let word = words.get(1);
    word.is_some_and(|word| ENTERING.iter().any(|entering| word == entering))
}

/// Parses the arguments of one group. Setting up those of all commands takes
/// longer than many a command; mostly one group is enough.
fn parse_group(words: &[OsString]) -> Option<Cli> {
    let word = words.get(1)?.to_str()?;
    match word {
        _ if Build::has_subcommand(word) => parse_as(Command::Build, words),
        _ if Lifecycle::has_subcommand(word) => parse_as(Command::Lifecycle, words),
        _ if Exec::has_subcommand(word) => parse_as(Command::Exec, words),
        _ if Query::has_subcommand(word) => parse_as(Command::Query, words),
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
    Build(Box<Build>),
    #[command(flatten)]
    Lifecycle(Lifecycle),
    #[command(flatten)]
    Exec(Exec),
    #[command(flatten)]
    Query(Query),
    /// Prepare the host for containers of the calling user
    #[command(after_help = "Example: nixos-container rootless-install")]
    RootlessInstall,
    /// Write the manual pages
    #[command(
        hide = true,
        after_help = "Example: nixos-container man /usr/share/man"
    )]
    Man(Man),
}

/// The command line, with completion of containers' names.
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
    /// The directory for the pages: they go to man1 and man5 in it
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

/// A parser for clap, whose error says what is expected.
fn expecting<T>(
    parse: impl Fn(&str) -> Result<T, &'static str> + Clone,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| parse(text).map_err(|expected| format!("expected {expected}"))
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
    fn every_argument_has_help() {
        for command in commands().into_iter().chain([Cli::<Command>::command()]) {
            for argument in command.get_arguments() {
                let what = format!("{} {}", command.get_name(), argument.get_id());
                let help = argument.get_help().map(ToString::to_string);
                let help = help.unwrap_or_else(|| panic!("{what}"));
                assert!(!help.is_empty() && !help.ends_with('.'), "{what}: {help}");
            }
        }
    }

    /// Each form of a command in the manual chapter, the manual page and nixpkgs'
    /// tool.
    #[test]
    fn every_documented_form_is_parsed() {
        for line in include_str!("args/documented.txt").lines() {
            let words = line.split(' ').filter(|word| !word.is_empty());
            let words = order::command_first(words.map(OsString::from).collect());
            let whole = parse_as(|command: Command| command, &words);
            let whole = whole.unwrap_or_else(|error| panic!("{line}: {error}"));
            match parse_group(&words) {
                Some(group) => assert_eq!(format!("{group:?}"), format!("{whole:?}")),
                None => assert_eq!(whole.word, "rootless-install"),
            }
        }
    }

    #[test]
    fn names_of_containers_are_completed() {
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
