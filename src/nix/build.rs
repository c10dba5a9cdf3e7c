//! Running the programs of Nix.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde::Deserialize;

use super::options::NixArguments;
use crate::config::flake::FlakeRef;
use crate::report::progress::Progress;

/// Options that enable flakes, regardless of the host's `nix.conf`.
pub const WITH_FLAKES: [&str; 2] = ["--extra-experimental-features", "nix-command flakes"];

/// The user's options for Nix, as arguments.
#[derive(Debug, Default)]
pub struct Flags {
    /// Arguments for `nix-build` and `nix build`.
    for_all: Vec<OsString>,
    /// Arguments for `nix build` only.
    for_flakes: Vec<OsString>,
    /// Options of nix.conf, as arguments.
    options: Vec<String>,
}

impl Flags {
    /// Translates the user's options to arguments.
    pub fn new(arguments: &NixArguments, show_trace: bool) -> Self {
        let mut for_all = Vec::new();
        let mut for_flakes = Vec::new();
        let switch = |words: &mut Vec<OsString>, flag: &str, set: bool| {
            words.extend(set.then(|| flag.into()));
        };
        let pairs = |words: &mut Vec<OsString>, flag: &str, values: &[String]| {
            for pair in values.chunks(2) {
                words.push(flag.into());
                words.extend(pair.iter().map(OsString::from));
            }
        };
        switch(&mut for_all, "--show-trace", show_trace);
        switch(&mut for_all, "--impure", arguments.impure);
        switch(&mut for_all, "--no-allow-dirty", arguments.no_allow_dirty);
        pairs(&mut for_all, "--option", &arguments.option);
        if let Some(format) = &arguments.log_format {
            for_all.extend(["--log-format".into(), format.into()]);
        }
        for input in &arguments.update_input {
            for_flakes.extend(["--update-input".into(), input.into()]);
        }
        pairs(
            &mut for_flakes,
            "--override-input",
            &arguments.override_input,
        );
        for (flag, set) in [
            ("--commit-lock-file", arguments.commit_lock_file),
            ("--no-registries", arguments.no_registries),
            ("--no-update-lock-file", arguments.no_update_lock_file),
            ("--no-write-lock-file", arguments.no_write_lock_file),
            ("--recreate-lock-file", arguments.recreate_lock_file),
            ("--refresh", arguments.refresh),
        ] {
            switch(&mut for_flakes, flag, set);
        }
        let mut options = Vec::new();
        for pair in arguments.option.chunks(2) {
            options.push("--option".to_owned());
            options.extend_from_slice(pair);
        }
        Self {
            for_all,
            for_flakes,
            options,
        }
    }

    /// The arguments for a `nix-daemon`.
    pub fn for_daemon(&self) -> Vec<String> {
        self.options.clone()
    }

    /// The arguments for `nix build` of a flake.
    pub fn for_flakes(&self) -> impl Iterator<Item = OsString> {
        self.for_all.iter().chain(&self.for_flakes).cloned()
    }

    /// The arguments for `nix-build` of a configuration.
    ///
    /// # Errors
    ///
    /// The user has given an option that only flakes have.
    pub fn for_configurations(&self) -> Result<impl Iterator<Item = OsString>> {
        if let Some(flag) = self.for_flakes.first() {
            bail!(
                "{} is for flakes, but this system is built from a configuration; leave it out",
                flag.display()
            );
        }
        Ok(self.for_all.iter().cloned())
    }
}

/// Runs a program that builds, and makes `link` point to the result. Returns whether
/// the build succeeded. On a terminal, the log is one line that changes, and is shown
/// as a whole if the build fails; otherwise it goes to standard error directly.
pub fn build(program: &str, arguments: &[OsString], link: &Path, what: String) -> Result<bool> {
    // With a chosen format, the user wants to see the log.
    let shorten = std::io::stderr().is_terminal() && !arguments.iter().any(|a| a == "--log-format");
    let progress = Progress::new(what);
    let mut child = command(program)
        .args(arguments)
        .arg("--out-link")
        .arg(link)
        .stdout(Stdio::null())
        .stderr(if shorten {
            Stdio::piped()
        } else {
            Stdio::inherit()
        })
        .spawn()
        .map_err(|error| cannot_run(program, error))?;
    let log = match child.stderr.take() {
        Some(stderr) => follow(stderr, &progress)?,
        None => String::new(),
    };
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for {program}"))?;
    drop(progress);
    if !status.success() {
        say!("{}", log.trim_end());
    }
    Ok(status.success())
}

/// Makes `link` point to a store path, as a root of Nix' garbage collector.
pub fn add_root(link: &Path, path: &Path) -> Result<()> {
    let status = command("nix-store")
        .arg("--realise")
        .arg(path)
        .args(["--indirect", "--add-root"])
        .arg(link)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| cannot_run("nix-store", error))?;
    if !status.success() {
        bail!(
            "Nix cannot keep {} from its garbage collector; see Nix's output above",
            path.display()
        );
    }
    Ok(())
}

/// The names in the store of a path and of all that it needs (`man 1 nix-store`,
/// `--query --requisites`).
pub fn requisites(path: &Path) -> Result<Vec<OsString>> {
    let mut query = command("nix-store");
    query.args(["--query", "--requisites"]).arg(path);
    let output = output("nix-store", &mut query)?;
    let lines = output.split(|byte| *byte == b'\n');
    let names = lines.filter_map(|line| Path::new(OsStr::from_bytes(line)).file_name());
    Ok(names.map(OsStr::to_owned).collect())
}

/// The search path that Nix has by default, as JSON.
pub fn search_path() -> Result<Vec<u8>> {
    output(
        "nix-instantiate",
        command("nix-instantiate").args([
            "--eval",
            "--strict",
            "--json",
            "--expr",
            "builtins.nixPath",
        ]),
    )
}

/// The hash of a tree: of its names, the contents of its files, the targets of its
/// links, and whether files are executable (`man 1 nix-hash`).
pub fn hash(tree: &Path) -> Result<String> {
    let arguments = ["--type", "sha256", "--base32"];
    let hash = output("nix-hash", command("nix-hash").args(arguments).arg(tree))?;
    Ok(format!(
        "sha256:{}",
        String::from_utf8_lossy(&hash).trim_end()
    ))
}

/// The output of a program, which must succeed.
fn output(program: &str, command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_run(program, error))?;
    if !output.status.success() {
        bail!("{program} failed; see its output above");
    }
    Ok(output.stdout)
}

/// Whether Nix finds `<nixpkgs>`, in channels or in `$NIX_PATH`.
pub fn finds_nixpkgs() -> bool {
    command("nix-instantiate")
        .args(["--find-file", "nixpkgs/nixos"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A copy of a flake's files in the store (`man 1 nix3-flake-metadata`).
#[derive(Debug, Deserialize)]
pub struct FlakeSource {
    /// The store path.
    pub path: PathBuf,
}

/// Fetches a flake.
pub fn fetch(flake: &FlakeRef, flags: &Flags) -> Result<FlakeSource> {
    let output = command("nix")
        .args(["flake", "metadata", "--json"])
        .args(WITH_FLAKES)
        .args(flags.for_flakes())
        .arg(flake.reference())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_run("nix", error))?;
    if !output.status.success() {
        let what = format!("Nix cannot fetch the flake {flake}; see Nix's output above");
        return Err(flake_error(flake, &what));
    }
    serde_json::from_slice(&output.stdout).context("cannot understand `nix flake metadata`")
}

/// A tip for a flake that Nix could not read, if it is in a git repository of another
/// user, which git refuses to read (`man 1 git-config`, `safe.directory`).
fn ownership_tip(flake: &FlakeRef) -> Option<String> {
    let path = flake.path().filter(|_| !flake.is_plain_path())?;
    let mut above = path.ancestors();
    let repository = above.find(|directory| directory.join(".git").exists())?;
    let owner = std::fs::metadata(repository).ok()?.uid();
    // Below sudo, git trusts its caller, too.
    let caller = std::env::var("SUDO_UID").ok();
    let is_trusted =
        owner == rustix::process::geteuid().as_raw() || caller == Some(owner.to_string());
    (!is_trusted).then(|| {
        format!(
            "{0} belongs to user {owner}, and git refuses repositories of others; either allow it \
             with `git config --global --add safe.directory {0}`, or name the flake as path:{1}",
            repository.display(),
            path.display()
        )
    })
}

/// The error of a program of Nix that has failed with a flake.
pub fn flake_error(flake: &FlakeRef, what: &str) -> anyhow::Error {
    let tip = ownership_tip(flake).map(|tip| format!("; {tip}"));
    anyhow::anyhow!("{what}{}", tip.unwrap_or_default())
}

/// A program of Nix that is killed when this process ends. Otherwise it could create
/// its link after another process has taken the container's name. Nix can be killed at
/// any moment.
fn command(program: &str) -> Command {
    let mut nix = Command::new(program);
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec, the child makes two system calls and nothing else.
    unsafe { nix.pre_exec(move || end_with(parent)) };
    // NixOS' expression would build the configuration in this variable.
    nix.env_remove("NIXOS_CONFIG").stdin(Stdio::null());
    nix
}

fn end_with(parent: Pid) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the signal was requested.
    if getppid() == Some(parent) {
        return Ok(());
    }
    Err(std::io::Error::other("the parent is gone"))
}

fn cannot_run(program: &str, error: std::io::Error) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return not_installed(program);
    }
    anyhow::Error::new(error).context(format!("cannot run {program}"))
}

/// The error for a program of Nix that is missing.
pub fn not_installed(program: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "Nix is not installed: `{program}` is not in $PATH; install it with \
         `apt install nix-bin` or your distribution's package manager"
    )
}

/// Reads a log to its end, and shows its latest line meanwhile.
fn follow(log: impl Read, progress: &Progress) -> Result<String> {
    let mut all = String::new();
    let mut reader = BufReader::new(log);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader
            .read_until(b'\n', &mut line)
            .context("cannot read Nix's log")?;
        if length == 0 {
            return Ok(all);
        }
        let text = String::from_utf8_lossy(&line);
        progress.say(Some(text.trim_end()));
        all.push_str(&text);
    }
}
