//! `man`: the manual pages, made from the command line's help and the overview
//! beside it.

use std::fs;
use std::io;
use std::iter;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::args::overview::meanings;
use crate::cli::args::{Cli, Command};

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
    let commands = program.get_subcommands();
    let documented = commands.filter(|command| !command.is_hide_set());
    iter::once(&program).chain(documented).map(page).collect()
}

/// The name of a command's page, and its text.
fn page(command: &clap::Command) -> io::Result<(String, Vec<u8>)> {
    let is_program = command.has_subcommands();
    let version = concat!("nixos-container ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(with_whole_usage(command.clone())).source(version);
    let help = command.get_after_help().map(ToString::to_string);
    let mut paragraphs = help.iter().flat_map(|help| help.split("\n\n"));
    let examples = paragraphs.next().unwrap_or_default();
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if is_program {
        man.render_options_section(&mut page)?;
        man.render_subcommands_section(&mut page)?;
    } else {
        let mut roff = Roff::new();
        for paragraph in paragraphs {
            roff.control("PP", []);
            roff.text([roman(paragraph.replace('\n', " "))]);
        }
        roff.to_writer(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    roff.control("EX", []);
    let examples = examples.trim_start_matches("Examples:\n");
    for line in examples.trim_start_matches("Example: ").lines() {
        roff.text([roman(line.trim())]);
    }
    roff.control("EE", []);
    let name = format!("`{}`", command.get_name());
    let exit_codes = meanings("Exit codes:").filter(|(_, meaning)| {
        is_program || !meaning.starts_with("For ") || meaning.contains(&name)
    });
    list(&mut roff, "EXIT STATUS", exit_codes);
    if is_program {
        list(&mut roff, "ENVIRONMENT", meanings("Environment variables:"));
        list(&mut roff, "FILES", meanings("Files:"));
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(if is_program {
        "nixos-container.conf(5), configuration.nix(5), nix-build(1), systemd-nspawn(1), \
         namespaces(7)"
    } else {
        "nixos-container(1) for environment variables and files, nixos-container.conf(5)"
    })]);
    roff.to_writer(&mut page)?;
    Ok((man.get_filename(), page))
}

/// A section with names and their meanings.
fn list<'a>(roff: &mut Roff, title: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    roff.control("SH", [title]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(meaning)]);
    }
}

/// The command with a usage that says where there may be several words, which
/// `clap_mangen` leaves out.
fn with_whole_usage(mut command: clap::Command) -> clap::Command {
    if !command
        .get_positionals()
        .any(clap::Arg::is_trailing_var_arg_set)
    {
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
