//! The order of the words: nixpkgs' tool takes the options of a command before the
//! command, too.

use std::ffi::OsString;

use clap::{Arg, CommandFactory};

use super::{Cli, Command};

/// The words of this process' command line, with the command before its options.
pub fn words() -> Vec<OsString> {
    command_first(std::env::args_os().collect())
}

/// Moves the command before the options that stand before it.
pub(super) fn command_first(mut words: Vec<OsString>) -> Vec<OsString> {
    let leading = match words.get(1) {
        Some(first) if first.as_encoded_bytes().starts_with(b"--") => leading(&words[1..]),
        _ => 0,
    };
    if let Some(moved) = words.get_mut(1..leading + 2) {
        moved.rotate_right(1);
    }
    words
}

/// The number of words before the first one that is neither an option of a command nor
/// its value.
fn leading(words: &[OsString]) -> usize {
    let arguments = arguments();
    let mut leading = 0;
    while let Some(word) = words.get(leading).and_then(|word| word.to_str())
        && let Some(option) = word.strip_prefix("--")
    {
        let (name, has_value) = match option.split_once('=') {
            Some((name, _)) => (name, true),
            None => (option, false),
        };
        let found = arguments.iter().find(|arg| arg.get_long() == Some(name));
        let Some(argument) = found else {
            break;
        };
        leading += 1;
        if !has_value {
            leading += values(argument);
        }
    }
    leading
}

/// The arguments of all commands.
fn arguments() -> Vec<Arg> {
    let all = Cli::<Command>::command();
    let commands = all.get_subcommands().flat_map(clap::Command::get_arguments);
    commands.chain(all.get_arguments()).cloned().collect()
}

/// The number of words that follow an option.
fn values(option: &Arg) -> usize {
    let number = option.get_num_args().map(|range| range.max_values());
    number.unwrap_or_else(|| usize::from(option.get_action().takes_values()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        let words = command_first(words);
        let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
        words.join(" ")
    }

    #[test]
    fn the_command_comes_before_its_options() {
        for (line, expected) in [
            ("nc create foo --force", "nc create foo --force"),
            ("nc --force create foo", "nc create --force foo"),
            ("nc --flake . create foo", "nc create --flake . foo"),
            (
                "nc --flake=. --force create foo",
                "nc create --flake=. --force foo",
            ),
            (
                "nc --option a b --debug update foo",
                "nc update --option a b --debug foo",
            ),
            // What is no option is left to clap.
            ("nc --version create", "nc --version create"),
            ("nc --fly create", "nc --fly create"),
            ("nc --force --fly create", "nc --fly --force create"),
            ("nc --flake", "nc --flake"),
            ("nc -x create", "nc -x create"),
            ("nc", "nc"),
        ] {
            assert_eq!(ordered(line), expected, "{line}");
        }
    }

    #[test]
    fn an_option_takes_as_many_values_in_all_commands() {
        let arguments = arguments();
        for argument in arguments.iter().filter(|arg| arg.get_long().is_some()) {
            let long = argument.get_long();
            let same = arguments.iter().filter(|arg| arg.get_long() == long);
            for other in same {
                assert_eq!(values(argument), values(other), "{long:?}");
            }
        }
    }
}
