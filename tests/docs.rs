//! The documents: `docs/commands.md` has a row for each command and option of
//! the program, each test that a row names exists, links lead somewhere, the
//! README's figures are those of `docs/benchmarks.md`, and the crates that it names
//! are in use.

use std::path::{Path, PathBuf};
use std::process::Command;

const README: &str = include_str!("../README.md");
const BENCHMARKS: &str = include_str!("../docs/benchmarks.md");
const COMMANDS: &str = include_str!("../docs/commands.md");
const HEAD: &str = "| command | source | proven by, in `tests/` |";

/// A row of the table of commands.
struct Row {
    commands: Vec<String>,
    options: Vec<String>,
    /// File and function of each test.
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

    /// Whether the row is about this option. A row without commands is about all
    /// commands.
    fn has(&self, command: &str, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
            && (self.commands.is_empty() || self.commands.iter().any(|known| known == command))
    }
}

/// The pieces between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the table below this head.
fn table<'a>(document: &'a str, head: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = document.lines().skip_while(move |line| *line != head);
    lines.skip(2).take_while(|line| line.starts_with('|'))
}

fn rows() -> Vec<Row> {
    let rows: Vec<_> = table(COMMANDS, HEAD).map(Row::new).collect();
    assert!(
        !rows.is_empty(),
        "docs/commands.md has no table with {HEAD}"
    );
    rows
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nixos-container"));
    let output = command.args(arguments).arg("--help").output();
    String::from_utf8(output.expect("it runs").stdout).expect("text")
}

/// The commands that the program's help lists, except `help`.
fn commands() -> Vec<String> {
    let help = help(&[]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    // Further lines of a description are indented more.
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
            let path = repository().join("tests").join(format!("{file}.rs"));
            let source = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let definition = format!("\nfn {function}(");
            assert!(source.contains(&definition), "no {file}::{function}");
        }
    }
}

/// The Markdown files of the repository, outside of what is built.
fn documents() -> Vec<PathBuf> {
    let directories = [
        "",
        "docs",
        "examples",
        "fuzz",
        "tests",
        "tests/mini-nixpkgs",
        "vm-tests",
    ];
    let files = directories.iter().flat_map(|directory| {
        let directory = repository().join(directory);
        let entries = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        entries.map(|entry| entry.expect("readable").path())
    });
    files
        .filter(|file| file.extension().is_some_and(|end| end == "md"))
        .collect()
}

/// The targets of a document's links, without those to other hosts.
fn links(document: &str) -> impl Iterator<Item = &str> {
    let targets = document.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

#[test]
fn every_link_leads_to_a_file() {
    let documents = documents();
    assert!(documents.len() > 8, "{documents:?}");
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("readable");
        let directory = document.parent().expect("a directory");
        for link in links(&text) {
            let target = directory.join(link);
            assert!(target.exists(), "{}: {link}", document.display());
        }
    }
}

#[test]
fn the_figures_of_the_readme_are_those_of_the_benchmarks() {
    let measured: Vec<_> = BENCHMARKS.split('|').map(str::trim).collect();
    let words: Vec<_> = README.split_whitespace().collect();
    let pairs = words.windows(2);
    let figures = pairs.filter(|pair| ["ms", "MiB"].contains(&pair[1]));
    let figures: Vec<_> = figures.map(|pair| pair[0]).collect();
    assert_eq!(figures.len(), 6, "{figures:?}");
    for figure in figures {
        assert!(measured.contains(&figure), "{figure}");
    }
}

/// The Rust sources of the command and its two crates.
fn sources(directory: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            texts.push(std::fs::read_to_string(&path).expect("readable"));
        }
    }
    texts
}

#[test]
fn every_crate_that_the_readme_names_is_used() {
    let rows: Vec<_> = table(README, "| crate | what it does here |").collect();
    assert_eq!(rows.len(), 8, "{rows:?}");
    let directories = ["src", "runtime/src", "netns/src"];
    let directories = directories.map(|directory| repository().join(directory));
    let sources = directories.iter().flat_map(|directory| sources(directory));
    let sources = sources.collect::<String>();
    for row in rows {
        let name = row.split(['[', ']']).nth(1).expect("a link");
        let name = name.replace('-', "_");
        let used = sources.lines().any(|line| {
            let path = line.trim_start().strip_prefix("use ");
            let path = path.map(|path| path.trim_start_matches("::"));
            path.is_some_and(|path| path.starts_with(&format!("{name}::")))
        });
        assert!(used, "{name} is not used");
    }
}
