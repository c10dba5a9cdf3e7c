//! What a wrong command line is told besides what is wrong.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// The error with one tip at most, and none that leads astray.
pub fn with_the_best(mut error: Error) -> Error {
    // clap sorts them, the likeliest last.
    if let Some(ContextValue::Strings(similar)) = error.get(ContextKind::SuggestedSubcommand)
        && let Some(likeliest) = similar.last().cloned()
    {
        let likeliest = ContextValue::String(likeliest);
        error.insert(ContextKind::SuggestedSubcommand, likeliest);
    }
    if error.kind() == ErrorKind::UnknownArgument {
        // That a word with a dash could come after `--`: none is asked for there
        // but a command's.
        error.remove(ContextKind::Suggested);
        if let Some(tip) = dashes_before_a_command(&error) {
            let tip = ContextValue::StyledStrs(vec![tip.into()]);
            error.insert(ContextKind::Suggested, tip);
        }
    }
    error
}

/// For `run foo uname`, as other programs have it.
fn dashes_before_a_command(error: &Error) -> Option<String> {
    let usage = error.get(ContextKind::Usage)?.to_string();
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let command_expected = usage.contains("-- <COMMAND>");
    (command_expected && !word.starts_with('-'))
        .then(|| format!("put -- before the command: -- {word} …"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    /// The tips for a wrong command line.
    fn tips(line: &str) -> Vec<String> {
        let words = ["nixos-container"].into_iter().chain(line.split(' '));
        let error = with_the_best(Cli::<Command>::try_parse_from(words).expect_err(line));
        let text = error.to_string();
        let tips = text.lines().filter_map(|line| line.strip_prefix("  tip: "));
        tips.map(str::to_owned).collect()
    }

    #[test]
    fn a_misspelled_word_gets_the_likeliest() {
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
    fn dashes_are_advised_where_a_command_is_expected_and_nowhere_else() {
        for line in ["run foo uname -a", "enter foo uname"] {
            let tip = "put -- before the command: -- uname …";
            assert_eq!(tips(line), [tip], "{line}");
        }
        for line in ["start foo --forse", "run --forse foo", "list foo"] {
            assert_eq!(tips(line), [""; 0], "{line}");
        }
    }
}
