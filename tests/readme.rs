//! The README's table of commands and tests: each command and option of the
//! program has a row, and each test that a row names is there.

use std::path::PathBuf;
use std::process::Command;

const README: &str = include_str!("../README.md");
const HEAD: &str = "| command | source | proven by, in `tests/` |";

/// A row of the table.
struct Row {
    commands: Vec<String>,
    options: Vec<String>,
    /// Of each test its file and its function.
    tests: Vec<(String, String)>,
}

impl Row {
    fn new(line: &str) -> Self {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let words = quoted(cells[0]).flat_map(str::split_whitespace);
        let (options, commands) = words
            .map(str::to_owned)
            .partition(|word| word.starts_with("--"));
        let tests = quoted(cells[2]).filter_map(|test| test.split_once("::"));
        Self {
            commands,
            options,
            tests: tests.map(|(f, t)| (f.to_owned(), t.to_owned())).collect(),
        }
    }

    /// Options without a command are those of all.
    fn has(&self, command: &str, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
            && (self.commands.is_empty() || self.commands.iter().any(|known| known == command))
    }
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn rows() -> Vec<Row> {
    let table = README.lines().skip_while(|line| *line != HEAD).skip(2);
    let rows: Vec<_> = table
        .take_while(|line| line.starts_with('|'))
        .map(Row::new)
        .collect();
    assert!(!rows.is_empty(), "the README has no table with {HEAD}");
    rows
}

fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nixos-container"));
    let output = command.args(arguments).arg("--help").output();
    String::from_utf8(output.expect("it runs").stdout).expect("text")
}

/// The commands that the program's help lists, but for the help itself.
fn commands() -> Vec<String> {
    let help = help(&[]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    // Further lines of a description begin further right.
    let list = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let list = list.filter(|command| !command.is_empty() && *command != "help");
    list.map(str::to_owned).collect()
}

/// The long options that the help of a command lists.
fn options(command: &str) -> Vec<String> {
    let help = help(&[command]);
    let lines = help.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with('-'));
    let words = lines.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")));
    words.map(str::to_owned).collect()
}

#[test]
fn every_command_and_option_has_a_row() {
    let rows = rows();
    let mut missing = Vec::new();
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        if !rows.iter().any(|row| row.commands.contains(&command)) {
            missing.push(command.clone());
        }
        let options = options(&command);
        assert!(
            options.contains(&"--help".to_owned()),
            "{command}: {options:?}"
        );
        for option in options {
            if !rows.iter().any(|row| row.has(&command, &option)) {
                missing.push(format!("{command} {option}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_test_that_a_row_names_is_there() {
    for row in rows() {
        let subject = (&row.commands, &row.options);
        assert!(!row.tests.is_empty(), "no test for {subject:?}");
        for (file, function) in &row.tests {
            let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", &format!("{file}.rs")]
                .iter()
                .collect();
            let source = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let definition = format!("\nfn {function}(");
            assert!(source.contains(&definition), "no {file}::{function}");
        }
    }
}
