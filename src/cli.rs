//! The command line, as clap reads it, a file for each group of commands.
//! Nothing here does anything.

mod create;
mod inside;
mod life;
mod look;
mod system;
mod tips;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::{ArgValueCandidates, CompletionCandidate};

pub use create::Create;
pub use inside::{Enter, Run};
pub use life::{DEFAULT_TIMEOUT_STOP, Destroy, Stop, Supervise, Terminate};
pub use look::{Explain, List, Logs};
pub use system::{NixArguments, PullConfig, SystemArguments, Update};

use crate::name::ContainerName;

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
pub struct Cli {
    /// Have Nix tell where in the configuration an error comes from
    #[arg(long, global = true)]
    pub show_trace: bool,
    #[command(subcommand)]
    pub command: Command,
    /// The word for the command, as it was typed
    #[arg(skip)]
    pub word: String,
}

/// The command line of this process, which ends here if it is wrong or asks
/// for help.
pub fn parse() -> Cli {
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let word = matches.subcommand_name().unwrap_or_default().to_owned();
        let cli = Cli::from_arg_matches(&matches)?;
        Ok(Cli { word, ..cli })
    });
    parsed.unwrap_or_else(|error| tips::with_the_best(error.format(&mut Cli::command())).exit())
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the names of all containers
    #[command(after_help = look::LIST)]
    List(List),
    /// Create a container and build its system; `start` starts it
    #[command(after_help = create::EXAMPLES)]
    Create(Create),
    /// Start containers; returns when they have reached multi-user.target
    #[command(after_help = "Example: nixos-container start foo")]
    Start(Names),
    /// Halt containers cleanly
    #[command(after_help = "Example: nixos-container stop --timeout 10 foo bar")]
    Stop(Stop),
    /// Kill a container at once
    #[command(after_help = "Example: nixos-container terminate foo")]
    Terminate(Terminate),
    /// Stop containers and start them again
    #[command(after_help = "Example: nixos-container restart foo")]
    Restart(Names),
    /// Have a running container activate its system again
    #[command(after_help = "Example: nixos-container reload foo")]
    Reload(Name),
    /// Build a container's system anew, and activate it if the container runs
    #[command(after_help = system::UPDATE)]
    Update(Update),
    /// Go back to the system that a container had before
    #[command(after_help = "Example: nixos-container rollback foo

If the container runs, the system is activated at once.")]
    Rollback(Name),
    /// List the systems that a container has had
    #[command(after_help = "Example: nixos-container generations foo")]
    Generations(Name),
    /// Bring a container's configuration up to date from the file or flake on the host
    #[command(after_help = system::PULL_CONFIG)]
    PullConfig(PullConfig),
    /// Say whether a container is up, down, starting, stopping or gone
    #[command(after_help = "Example: [ $(nixos-container status foo) = up ]

Exits with 1 if there is no such container.")]
    Status(Name),
    /// Run a command in a container as root, with root's login environment
    #[command(after_help = "Example: nixos-container run foo -- systemctl status sshd")]
    Run(Run),
    /// Get a login prompt of a container; every user of the host may
    #[command(after_help = "Example: nixos-container login foo

It goes on after a logout; to leave, press ^] three times within a second.")]
    Login(Name),
    /// Log in to a container as root, without a password
    #[command(after_help = "Example: nixos-container root-login foo")]
    RootLogin(Name),
    /// Get a shell in a container, or run a command, as the user who calls
    #[command(after_help = "Examples:
  sudo nixos-container enter foo                      as the user of foo with your name
  nixos-container enter foo --root -- /bin/bash
  nixos-container enter foo --user git --set-env LANG=C -- git gc")]
    Enter(Enter),
    /// Print a container's address
    #[command(after_help = "Example: curl http://$(nixos-container show-ip foo)/")]
    ShowIp(Name),
    /// Print the public key by which a container's SSH server is known
    #[command(
        after_help = "Example: echo foo $(nixos-container show-host-key foo) >>~/.ssh/known_hosts"
    )]
    ShowHostKey(Name),
    /// Print what a container has written to its console since it was started
    #[command(after_help = "Example: nixos-container logs --follow foo")]
    Logs(Logs),
    /// Show, step by step, how a container is started, and the man page of each step
    #[command(after_help = look::EXPLAIN)]
    Explain(Explain),
    /// Stop containers and remove them with all their files
    #[command(after_help = "Example: nixos-container destroy foo

Data of the host that is mounted below a container's root directory stays.")]
    Destroy(Destroy),
    /// Prepare the host for containers of the calling user
    #[command(after_help = "Example: nixos-container rootless-install")]
    RootlessInstall,
    /// Have the container of a unit activate its system: what reloads the unit
    #[command(hide = true, after_help = "Example: nixos-container activate foo")]
    Activate(Name),
    /// Look after a login prompt: what a supervisor starts for `login`
    #[command(hide = true, after_help = "Example: nixos-container serve-login foo")]
    ServeLogin(Name),
    /// Run a container in the foreground: what `start` starts
    #[command(hide = true, after_help = "Example: nixos-container supervise foo")]
    Supervise(Supervise),
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
    Cli::command().mut_subcommands(|command| {
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
        let all = Cli::command();
        all.get_subcommands().cloned().collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
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
        for command in commands().into_iter().chain([Cli::command()]) {
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
        for line in include_str!("cli/documented.txt").lines() {
            let words = line.split(' ').filter(|word| !word.is_empty());
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}: {error}");
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
