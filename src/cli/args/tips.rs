//! Tips beside clap's error about a wrong command line.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// The error with one tip at most, and without misleading ones.
pub fn with_best_tip(mut error: Error) -> Error {
    // clap sorts them; the likeliest is the last.
    if let Some(ContextValue::Strings(similar)) = error.get(ContextKind::SuggestedSubcommand)
        && let Some(likeliest) = similar.last().cloned()
    {
        let likeliest = ContextValue::String(likeliest);
        error.insert(ContextKind::SuggestedSubcommand, likeliest);
    }
    // clap's tip to put a wrong option behind `--` would make it an argument.
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    /// The tips about a wrong command line.
    fn tips(line: &str) -> Vec<String> {
        let words = ["nixos-container"].into_iter().chain(line.split(' '));
        let error = with_best_tip(Cli::<Command>::try_parse_from(words).expect_err(line));
        let text = error.to_string();
        let tips = text.lines().filter_map(|line| line.strip_prefix("  tip: "));
        tips.map(str::to_owned).collect()
    }

    #[test]
    fn a_misspelled_command_gets_the_likeliest_tip() {
        for (line, word) in [
            ("crate foo", "create"),
            ("strat foo", "start"),
            ("ls", "list"),
            ("udpate foo", "update"),
        ] {
            let tip = format!("a similar subcommand exists: '{word}'");
            assert_eq!(tips(line), [tip], "{line}");
        }
        assert_eq!(tips("xyz"), [""; 0]);
        let tip = "a similar argument exists: '--config'";
        assert_eq!(tips("create foo --confg x"), [tip]);
    }

    #[test]
    fn a_wrong_option_is_not_advised_as_an_argument() {
        for line in ["start foo --forse", "run --forse foo", "list foo"] {
            assert_eq!(tips(line), [""; 0], "{line}");
        }
    }
}
