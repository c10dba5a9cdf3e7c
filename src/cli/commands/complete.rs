//! Completion in shells.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::CompletionCandidate;
use clap_complete::env::{Bash, EnvCompleter, Fish, Shells, Zsh};

use crate::container;
use crate::container::paths::Places;

/// The shells that the command writes scripts for.
pub const SHELLS: Shells<'static> = Shells(&[&Bash, &Fish, &AutoloadedZsh]);

/// The names of all containers; none if they cannot be read.
pub fn containers() -> Vec<CompletionCandidate> {
    let containers =
        Places::from_environment().and_then(|places| container::registry::all(&places));
    let containers = containers.unwrap_or_default();
    let names = containers.iter().map(|container| container.name().as_str());
    names.map(CompletionCandidate::new).collect()
}

/// zsh, with a script that works in its function path. There the script is the
/// body of the function `_nixos-container`, which zsh calls for the first
/// completion (`man 1 zshcompsys`, "Autoloaded files"): it has to complete at
/// once, beside registering the function for later completions.
struct AutoloadedZsh;

impl EnvCompleter for AutoloadedZsh {
    fn name(&self) -> &'static str {
        Zsh.name()
    }

    fn is(&self, name: &str) -> bool {
        Zsh.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        script: &mut dyn Write,
    ) -> io::Result<()> {
        Zsh.write_registration(var, name, bin, completer, script)?;
        writeln!(
            script,
            "[[ \"$funcstack[1]\" != _{name} ]] || \"$_comps[{name}]\" \"$@\""
        )
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        answer: &mut dyn Write,
    ) -> io::Result<()> {
        Zsh.write_complete(command, words, directory, answer)
    }
}
