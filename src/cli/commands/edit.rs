//! `edit`: changing a container's configuration file by hand.
//!
//! The editor gets a copy, which replaces the file once it is valid.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail};
use signal_hook::consts::{SIGINT, SIGQUIT};

use super::lifecycle::would_not_start;
use crate::config::ContainerConfig;
use crate::container::files::remove_tree;
use crate::container::{Container, create_dir, registry};
use crate::report;
use crate::supervisor;

/// The editors that are tried without `$VISUAL` and `$EDITOR`; `editor` is Debian's
/// choice of the administrator.
const EDITORS: [&str; 4] = ["editor", "nano", "vim", "vi"];

/// `edit NAME`
pub fn edit(container: &Container) -> Result<()> {
    container.require_imperative()?;
    let conf = container.places().conf(container.name());
    let old = fs::read(&conf).with_context(|| format!("cannot read {}", conf.display()))?;
    let draft = Draft::make(container, &old)?;
    let (new, config) = loop {
        let new = draft.edit()?;
        if new == old {
            say!("note: nothing was changed");
            return Ok(());
        }
        match parse(&conf, &new) {
            Ok(config) => break (new, config),
            Err(error) if wants_to_go_on(&error)? => {}
            Err(error) => bail!("{error:#}; nothing was changed"),
        }
    };
    replace(container, &old, &new)?;
    if let Err(error) = supervisor::check_with(container, &config) {
        say!("note: {}: {error:#}", would_not_start(container));
    }
    let is_same = parse(&conf, &old).is_ok_and(|old| old.starts_like(&config));
    if !is_same && container.running()?.is_some() {
        say!(
            "note: {container} is running; `nixos-container restart {}` applies the change",
            container.name()
        );
    }
    Ok(())
}

fn parse(conf: &Path, contents: &[u8]) -> Result<ContainerConfig> {
    let text = std::str::from_utf8(contents)
        .with_context(|| format!("{} is not text in UTF-8", conf.display()))?;
    Ok(ContainerConfig::parse(conf, text)?)
}

/// Shows an error at a terminal, and asks whether to edit again. Otherwise the answer
/// is no.
fn wants_to_go_on(error: &anyhow::Error) -> Result<bool> {
    let (mut stdin, mut stderr) = (io::stdin().lock(), io::stderr().lock());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Ok(false);
    }
    report::print_error(error);
    write!(stderr, "Edit it again? [Y/n] ").context("cannot ask")?;
    let mut answer = String::new();
    let length = stdin.read_line(&mut answer).context("cannot ask")?;
    Ok(length > 0 && !answer.trim_start().starts_with(['n', 'N']))
}

/// Replaces the configuration file, unless another command has changed it.
fn replace(container: &Container, old: &[u8], new: &[u8]) -> Result<()> {
    let conf = container.places().conf(container.name());
    let _update_lock = container.lock_for_update()?;
    let _registry_lock = registry::lock_registry(container.places())?;
    if !fs::read(&conf).is_ok_and(|now| now == old) {
        bail!(
            "{} was changed or removed meanwhile; nothing was changed, edit it again",
            conf.display()
        );
    }
    netns::files::replace(&conf, new).with_context(|| format!("cannot write {}", conf.display()))
}

/// A copy of the configuration file, in a directory that is removed with it: editors put
/// files of their own beside.
struct Draft {
    directory: PathBuf,
    file: PathBuf,
}

impl Draft {
    fn make(container: &Container, contents: &[u8]) -> Result<Self> {
        let run = container.places().run_dir();
        let directory = run.join(format!(".{}.edit-{}", container.name(), std::process::id()));
        create_dir(run, 0o700)?;
        create_dir(&directory, 0o700)?;
        let file = directory.join(format!("{}.conf", container.name()));
        let draft = Self { directory, file };
        fs::write(&draft.file, contents)
            .with_context(|| format!("cannot write {}", draft.file.display()))?;
        Ok(draft)
    }

    /// Lets the user edit it. Returns its contents.
    fn edit(&self) -> Result<Vec<u8>> {
        let status = self.run_editor()?;
        if !status.success() {
            bail!("the editor ended with {status}; nothing was changed");
        }
        fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))
    }

    fn run_editor(&self) -> Result<ExitStatus> {
        // The keys that interrupt a program are the editor's. A handler, unlike an
        // ignored signal, is not inherited (man 2 execve).
        for signal in [SIGINT, SIGQUIT] {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
                .context("cannot handle signals")?;
        }
        let chosen = ["VISUAL", "EDITOR"].map(|variable| std::env::var(variable).ok());
        if let Some(editor) = chosen
            .into_iter()
            .flatten()
            .find(|editor| !editor.is_empty())
        {
            // A command line of a shell, as for git(1).
            let script = format!("exec {editor} \"$@\"");
            let mut shell = Command::new("sh");
            shell.args(["-c", &script, "sh"]).arg(&self.file);
            return shell.status().context("cannot run sh");
        }
        for editor in EDITORS {
            match Command::new(editor).arg(&self.file).status() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                ended => return ended.with_context(|| format!("cannot run {editor}")),
            }
        }
        Err(anyhow!("no editor is installed; name one in $EDITOR"))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.directory) {
            report::print_error(&error);
        }
    }
}
