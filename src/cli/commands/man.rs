//! `man`: the manual pages, made from the command line's help and the tables
//! beside it.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::args::overview::{ENVIRONMENT, EXAMPLES, FILES};
use crate::cli::args::{Cli, Command};
use crate::report::exit_codes;

/// The page about the configuration file of a container.
const CONF_PAGE: &str = include_str!("../../../docs/man/nixos-container.conf.5");

/// Writes a page for the program, one for each of its commands, and one for the
/// configuration file.
pub fn write(directory: &Path) -> Result<()> {
    write_pages(directory)
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))
}

fn write_pages(directory: &Path) -> io::Result<()> {
    let (commands, files) = (directory.join("man1"), directory.join("man5"));
    fs::create_dir_all(&commands)?;
    fs::create_dir_all(&files)?;
    fs::write(files.join("nixos-container.conf.5"), CONF_PAGE)?;
    for (name, text) in command_pages()? {
        fs::write(commands.join(name), text)?;
    }
    Ok(())
}

/// The names and texts of the pages of section 1.
fn command_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Cli::<Command>::command().disable_help_subcommand(true);
    program.build();
    let mut pages = vec![page(&program, &program_notes())?];
    for command in program.get_subcommands() {
        if !command.is_hide_set() {
            pages.push(page(command, &command_notes(command))?);
        }
    }
    Ok(pages)
}

/// The parts of a page that clap does not know.
struct Notes {
    /// Paragraphs of the description, behind the command's own.
    description: Vec<String>,
    /// Lines of a shell script.
    examples: Vec<String>,
    exit_codes: Vec<(&'static str, &'static str)>,
    environment: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    /// Names of pages with their sections.
    see_also: &'static str,
}

fn program_notes() -> Notes {
    Notes {
        description: Vec::new(),
        examples: split_examples(EXAMPLES).0,
        exit_codes: exit_codes::MEANINGS.to_vec(),
        environment: &ENVIRONMENT,
        files: &FILES,
        see_also: "nixos-container.conf(5), configuration.nix(5), nix-build(1), \
                   systemd-nspawn(1), namespaces(7)",
    }
}

fn command_notes(command: &clap::Command) -> Notes {
    let help = command.get_after_help().map(ToString::to_string);
    let (examples, description) = split_examples(&help.unwrap_or_default());
    let name = format!("`{}`", command.get_name());
    let concerns_it =
        |meaning: &str| !meaning.starts_with("For ") || meaning.contains(name.as_str());
    Notes {
        description,
        examples,
        exit_codes: exit_codes::MEANINGS
            .into_iter()
            .filter(|(_, meaning)| concerns_it(meaning))
            .collect(),
        environment: &[],
        files: &[],
        see_also: "nixos-container(1) for environment variables and files, \
                   nixos-container.conf(5)",
    }
}

/// Splits the end of a command's help into its examples, which come first, and
/// the paragraphs after them.
fn split_examples(help: &str) -> (Vec<String>, Vec<String>) {
    let mut paragraphs = help.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let examples = first
        .trim_start_matches("Examples:\n")
        .trim_start_matches("Example: ");
    let examples = examples.lines().map(|line| line.trim().to_owned());
    (
        examples.collect(),
        paragraphs.map(|text| text.replace('\n', " ")).collect(),
    )
}

/// The name of a command's page, and its text.
fn page(command: &clap::Command, notes: &Notes) -> io::Result<(String, Vec<u8>)> {
    let version = concat!("nixos-container ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(with_whole_usage(command.clone())).source(version);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut roff = Roff::new();
    for paragraph in &notes.description {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    roff.control("EX", []);
    for line in &notes.examples {
        roff.text([roman(line)]);
    }
    roff.control("EE", []);
    for (title, entries) in [
        ("EXIT STATUS", &notes.exit_codes[..]),
        ("ENVIRONMENT", notes.environment),
        ("FILES", notes.files),
    ] {
        if !entries.is_empty() {
            roff.control("SH", [title]);
        }
        for (name, meaning) in entries {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(notes.see_also)]);
    roff.to_writer(&mut page)?;
    Ok((man.get_filename(), page))
}

/// The command with a usage that has the arguments behind `--`, which
/// `clap_mangen` leaves out.
fn with_whole_usage(mut command: clap::Command) -> clap::Command {
    if !command.get_positionals().any(clap::Arg::is_last_set) {
        return command;
    }
    let usage = command.render_usage().to_string();
    command.override_usage(usage.trim_start_matches("Usage: ").to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::ContainerConfig;

    /// The conf page, with plain dashes.
    fn conf_page() -> String {
        CONF_PAGE.replace("\\-", "-")
    }

    /// The keys that the parser of configuration files knows: one arm of a `match`
    /// each, and the one that is read last.
    fn keys_of_parser() -> BTreeSet<String> {
        let source = include_str!("../../config/read.rs");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let arms = code.lines().filter_map(|line| {
            let (key, _) = line.trim().strip_prefix('"')?.split_once("\" =>")?;
            Some(key.to_owned())
        });
        arms.chain(["EXTRA_NSPAWN_FLAGS".to_owned()]).collect()
    }

    #[test]
    fn the_conf_page_has_every_key_of_the_parser_and_no_other() {
        let page = conf_page();
        let tags = page.split(".TP\n").skip(1);
        let tags = tags.filter_map(|entry| entry.lines().next());
        let documented: BTreeSet<_> = tags
            .flat_map(|tag| tag.split(", "))
            .map(str::to_owned)
            .collect();
        assert_eq!(documented, keys_of_parser());
        assert!(documented.contains("SYSTEM_PATH"), "{documented:?}");
    }

    #[test]
    fn the_conf_page_has_every_flag_of_the_parser_and_no_other() {
        let source = include_str!("../../config/nspawn_flags/table.rs");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let known: BTreeSet<_> = code
            .split('"')
            .filter(|text| text.starts_with('-') && !text.contains(' '))
            .collect();
        let page = conf_page();
        let (_, flags) = page.split_once("These flags are known:").expect("a list");
        let (flags, _) = flags.split_once(".SH").expect("a next section");
        let documented: BTreeSet<_> = flags
            .split_whitespace()
            .filter(|word| word.starts_with('-'))
            .collect();
        assert_eq!(documented, known);
        assert!(documented.contains("--bind-ro"), "{documented:?}");
    }

    #[test]
    fn the_example_of_the_conf_page_is_valid() {
        let page = conf_page();
        let (_, example) = page.split_once(".EX\n").expect("an example");
        let (example, _) = example.split_once(".EE").expect("its end");
        let config = ContainerConfig::parse(Path::new("example.conf"), example).expect("valid");
        assert_eq!(config.unknown_keys, [""; 0]);
        assert!(config.nat && config.auto_start);
    }

    #[test]
    fn every_page_has_the_sections_of_a_manual_page() {
        for (name, page) in command_pages().expect("pages") {
            let page = String::from_utf8(page).expect("text");
            let mut sections = vec![
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "EXAMPLES",
                "\"EXIT STATUS\"",
                "\"SEE ALSO\"",
            ];
            if name == "nixos-container.1" {
                sections.extend(["ENVIRONMENT", "FILES", "SUBCOMMANDS"]);
            }
            for section in sections {
                let line = format!(".SH {section}\n");
                assert_eq!(page.matches(&line).count(), 1, "{name}: {section}\n{page}");
            }
        }
    }
}
