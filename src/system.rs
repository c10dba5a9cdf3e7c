//! A container's system: built by Nix, kept in a profile.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use runtime::rooted::Root;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::name::ContainerName;
use crate::progress::Progress;
use crate::spec::require_init;

/// What a container's system is made from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A NixOS configuration.
    Configuration {
        /// Options for its `configuration.nix`.
        options: Options,
        /// The NixOS expression to build with; `<nixpkgs/nixos>` if none.
        nixos: Option<PathBuf>,
    },
    /// A system that is built already.
    System(PathBuf),
}

/// The part of a `configuration.nix` that the user chooses.
#[derive(Debug, Clone)]
pub enum Options {
    /// Nothing beyond what every container has.
    None,
    /// Definitions, as they stand.
    Text(String),
    /// A file to import, by its absolute path.
    Import(PathBuf),
}

/// Where a container keeps its configuration, as `nixos-rebuild` inside does.
const CONFIGURATION: &str = "/etc/nixos/configuration.nix";

/// Fails if the source cannot be built from, before anything is made for it.
pub fn check(source: &Source) -> Result<()> {
    match source {
        Source::System(system) => {
            if !system.exists() {
                bail!("the system {} does not exist", system.display());
            }
            require_init(system)
        }
        Source::Configuration { options, .. } => {
            if let Options::Import(file) = options
                && !file.exists()
            {
                bail!("the configuration file {} does not exist", file.display());
            }
            Ok(())
        }
    }
}

/// Builds the system and makes it the profile's newest generation. A build
/// that fails leaves the profile as it was.
pub fn build(name: &ContainerName, source: &Source, root: &Path, profile: &Path) -> Result<()> {
    let mut arguments: Vec<OsString> = vec!["-p".into(), profile.into()];
    match source {
        Source::System(system) => {
            arguments.extend(["--set".into(), system.into()]);
        }
        Source::Configuration { options, nixos } => {
            let mut include = OsString::from("nixos-config=");
            include.push(write_configuration(name, options, root)?);
            let nixos = nixos
                .as_deref()
                .map_or(OsStr::new("<nixpkgs/nixos>"), Path::as_os_str);
            arguments.extend(["-I".into(), include, "-f".into(), nixos.into()]);
            arguments.extend(["--set", "-A", "system"].map(OsString::from));
        }
    }
    if nix_env(&arguments, format!("building {name}"))? {
        return Ok(());
    }
    match source {
        Source::Configuration { nixos: None, .. } if !nix_finds_nixpkgs() => bail!(
            "Nix cannot find nixpkgs; say where it is, by NIX_PATH=nixpkgs=PATH or by \
             --nixos-path PATH/nixos"
        ),
        _ => bail!("Nix could not build the system, and says why above"),
    }
}

/// Nix itself is asked, because it knows channels beside `$NIX_PATH`.
fn nix_finds_nixpkgs() -> bool {
    Command::new("nix-instantiate")
        .args(["--find-file", "nixpkgs/nixos"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Writes the container's configuration; where Nix finds it. Nix follows links
/// in a path, which in a root that was there before may lead anywhere.
fn write_configuration(name: &ContainerName, options: &Options, root: &Path) -> Result<PathBuf> {
    let text = configuration(name, options)?;
    let file = Path::new(CONFIGURATION);
    Root::open(root)
        .and_then(|root| {
            root.replace_file(file, text.as_bytes(), 0o644)?;
            root.path_outside(file)
        })
        .with_context(|| format!("cannot write {CONFIGURATION} in {}", root.display()))
}

/// The `configuration.nix` of a container, as nixpkgs' tool writes it.
fn configuration(name: &ContainerName, options: &Options) -> Result<String> {
    let options = match options {
        Options::None => String::new(),
        Options::Text(text) => text.clone(),
        Options::Import(file) => {
            let Some(file) = file.to_str() else {
                bail!(
                    "the path {} is not UTF-8, which Nix demands",
                    file.display()
                );
            };
            // A string, because a path literal has no spaces.
            let quoted = file
                .replace('\\', r"\\")
                .replace('"', "\\\"")
                .replace("${", "\\${");
            format!("imports = [ (/. + \"{quoted}\") ];")
        }
    };
    let host_name = host_name(name);
    Ok(format!(
        "{{ config, lib, pkgs, ... }}:\n\n\
         with lib;\n\n\
         {{ boot.isContainer = true;\n  \
           networking.hostName = mkDefault \"{host_name}\";\n  \
           networking.useDHCP = false;\n  \
           {options}\n\
         }}\n"
    ))
}

/// The container's name as far as NixOS takes it for a host name: at most 63
/// characters, the last a letter or a digit (`networking.hostName` of nixpkgs).
fn host_name(name: &ContainerName) -> &str {
    let name = name.as_str();
    name[..name.len().min(63)].trim_end_matches(['-', '_'])
}

/// Runs `nix-env`. On a terminal its log is one line that changes, and is
/// shown whole if it fails; else it goes to standard error as it comes. Whether
/// it succeeded.
fn nix_env(arguments: &[OsString], what: String) -> Result<bool> {
    let on_terminal = std::io::stderr().is_terminal();
    let progress = Progress::new(what);
    let mut nix_env = Command::new("nix-env");
    let parent = rustix::process::getpid();
    // SAFETY: two system calls, which are all that happens in the child before
    // it executes nix-env.
    unsafe { nix_env.pre_exec(move || die_with(parent)) };
    let mut child = nix_env
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(if on_terminal {
            Stdio::piped()
        } else {
            Stdio::inherit()
        })
        .spawn()
        .map_err(cannot_run_nix)?;
    let log = match child.stderr.take() {
        Some(stderr) => follow(stderr, &progress)?,
        None => String::new(),
    };
    let status = child.wait().context("cannot wait for nix-env")?;
    drop(progress);
    if !status.success() {
        eprint!("{log}");
    }
    Ok(status.success())
}

/// Left alone, it could still change the profile when somebody else has taken
/// the container's name. Nix is made to be killed at any moment.
fn die_with(parent: Pid) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before it was asked for its signal.
    if getppid() == Some(parent) {
        return Ok(());
    }
    Err(std::io::Error::other("the parent is gone"))
}

fn cannot_run_nix(error: std::io::Error) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return anyhow::anyhow!(
            "Nix is not installed: there is no `nix-env` in $PATH; \
             install it with `apt install nix-bin` or as your distribution has it"
        );
    }
    anyhow::Error::new(error).context("cannot run nix-env")
}

/// Reads a log to its end, and shows its newest line.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: &Options) -> String {
        let name = "foo".parse().expect("valid");
        configuration(&name, options).expect("valid")
    }

    #[test]
    fn a_configuration_names_its_host_and_holds_the_options() {
        let text = text(&Options::Text("services.openssh.enable = true;".into()));
        assert!(text.contains("networking.hostName = mkDefault \"foo\";"));
        assert!(text.contains("  services.openssh.enable = true;\n}"));
    }

    #[test]
    fn every_name_gives_a_host_name_that_nixos_accepts() {
        for (name, host) in [
            ("a_b-c".to_owned(), "a_b-c".to_owned()),
            ("a-_-".to_owned(), "a".to_owned()),
            ("x".repeat(64), "x".repeat(63)),
        ] {
            assert_eq!(host_name(&name.parse().expect("valid")), host);
        }
    }

    #[test]
    fn the_path_of_an_import_is_no_code() {
        let text = text(&Options::Import("/a b/${x}\"c.nix".into()));
        assert!(
            text.contains(r#"imports = [ (/. + "/a b/\${x}\"c.nix") ];"#),
            "{text}"
        );
    }
}
