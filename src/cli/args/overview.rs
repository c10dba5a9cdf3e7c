//! Help that concerns all commands: examples, exit codes, environment variables and
//! files.

/// Sections separated by empty lines: each has a heading, and then lines of commands
/// or of names with their meanings.
const OVERVIEW: &str = include_str!("../../../docs/man/overview.txt");

/// The end of `--help`: all sections but the last, the files.
pub fn help() -> &'static str {
    OVERVIEW.rsplit_once("\n\n").unwrap_or_default().0
}

/// The names and meanings in the section with this heading.
pub fn meanings(heading: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let section = OVERVIEW
        .split("\n\n")
        .find_map(|section| section.strip_prefix(heading));
    let lines = section.unwrap_or_default().lines();
    lines
        .filter_map(|line| line.trim_start().split_once("  "))
        .map(|(name, meaning)| (name, meaning.trim_start()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::report::exit_codes;

    /// The variables of this project that a source file names, tests aside.
    fn variables(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                variables(&path, found);
            } else {
                let source = fs::read_to_string(&path).unwrap_or_default();
                let code = source
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
                let names = code.split('"').filter(|text| {
                    text.starts_with("NIXOS_CONTAINER_")
                        && text.bytes().all(|c| c == b'_' || c.is_ascii_uppercase())
                });
                found.extend(names.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_environment_variable_is_documented() {
        let mut read = BTreeSet::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        variables(&root.join("src"), &mut read);
        let documented = meanings("Environment variables:").map(|(name, _)| name.to_owned());
        assert_eq!(read, documented.collect());
    }

    #[test]
    fn every_exit_code_has_a_meaning() {
        for code in [
            exit_codes::FAILURE,
            exit_codes::NO_SUCH_CONTAINER,
            exit_codes::EXISTS,
            exit_codes::MISCONFIGURED,
            exit_codes::REBOOTED,
        ] {
            let code = code.to_string();
            let mut documented = meanings("Exit codes:");
            assert!(documented.any(|(text, _)| text == code), "{code}");
        }
    }
}
