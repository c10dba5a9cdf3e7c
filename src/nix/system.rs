//! A container's system, and building it from its source.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::build::{self, Flags};
use super::configuration::Snapshot;
use super::profile::{Profile, link_name};
use super::sandbox::{self, Outcome, Task};
use super::store_path::StorePath;
use crate::config::flake::FlakeRef;
use crate::container::Container;
use crate::container::files::remove_file;
use crate::report::printable::plain;

/// The source of a container's system.
#[derive(Debug, Clone)]
pub enum Source {
    /// A NixOS configuration.
    Configuration {
        /// The path of its `configuration.nix` on the host.
        file: PathBuf,
        /// The NixOS expression to build with; `<nixpkgs/nixos>` if `None`.
        nixos: Option<PathBuf>,
    },
    /// A flake with a system for containers.
    Flake(FlakeRef),
    /// A system that is already built.
    System(PathBuf),
}

/// A system in the store. Until this is dropped, a link protects it from Nix' garbage
/// collector.
#[derive(Debug)]
pub struct Built {
    system: PathBuf,
    link: Option<PathBuf>,
}

impl Built {
    /// Its store path.
    pub fn system(&self) -> &Path {
        &self.system
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        if let Some(link) = &self.link
            && let Err(error) = remove_file(link)
        {
            crate::report::print_error(&error);
        }
    }
}

/// Builds a system for a container, in a sandbox if the source is a copy of what the
/// container could have written. Does not change the container.
pub fn build(
    container: &Container,
    source: &Source,
    flags: &Flags,
    sandboxed: Option<&Snapshot>,
) -> Result<Built> {
    let built = build_from(container, source, flags, sandboxed)
        .with_context(|| format!("cannot build the system of {container}"))?;
    if mounts_again(&built.system) {
        say!(
            "note: the system of {container} mounts /proc, /run and /dev again when it is \
             activated, because its configuration lacks `boot.isNspawnContainer = true;`, which \
             NixOS has since 25.11; add it, and run `nixos-container update {}`",
            container.name()
        );
    }
    Ok(built)
}

/// Whether the activation of a system mounts the file systems that a container has before
/// its init. NixOS' activation sources a script that mounts `boot.specialFileSystems`.
fn mounts_again(system: &Path) -> bool {
    let activation = read_regular(&system.join("activate")).unwrap_or_default();
    let sourced = activation.lines().filter_map(|line| {
        let line = line.trim_start();
        let path = line
            .strip_prefix("source ")
            .or_else(|| line.strip_prefix(". "))?;
        StorePath::exactly(Path::new(path.trim_end()))?;
        read_regular(Path::new(path.trim_end()))
    });
    let mounts_proc = |text: String| {
        let mut mounts = text
            .lines()
            .filter(|line| line.starts_with("specialMount "));
        mounts.any(|line| line.split(' ').any(|word| word == "\"/proc\""))
    };
    sourced.into_iter().any(mounts_proc)
}

/// The maximum size of an activation script in bytes.
const LONGEST: u64 = 4 << 20;

/// The text of a file in the store. What a container had built can be a link to any
/// file of the host.
fn read_regular(path: &Path) -> Option<String> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn build_from(
    container: &Container,
    source: &Source,
    flags: &Flags,
    sandboxed: Option<&Snapshot>,
) -> Result<Built> {
    let (program, mut words, operand) = match source {
        Source::System(system) => {
            let system = fs::canonicalize(system)
                .with_context(|| format!("cannot find the system {}", system.display()))?;
            require_init(&system)?;
            return Ok(Built { system, link: None });
        }
        Source::Configuration { file, nixos } => {
            let mut include = OsString::from("nixos-config=");
            include.push(file);
            let mut words = Vec::from(["-I".into(), include, "-A".into(), "system".into()]);
            words.extend(flags.for_configurations()?);
            let nixos = nixos.clone().unwrap_or_else(|| "<nixpkgs/nixos>".into());
            ("nix-build", words, nixos.into_os_string())
        }
        Source::Flake(flake) => {
            let mut words = Vec::from(["build".into()]);
            words.extend(build::WITH_FLAKES.map(OsString::from));
            words.extend(flags.for_flakes());
            ("nix", words, flake.toplevel().into())
        }
    };
    let link = container.places().building(container.name());
    let what = format!("building {}", container.name());
    let needs_nixpkgs = matches!(source, Source::Configuration { nixos: None, .. });
    let built = if let Some(snapshot) = sandboxed {
        let place = match source {
            Source::Flake(flake) => flake.path(),
            _ => None,
        };
        let task = Task {
            program,
            arguments: words,
            operand,
            directory: snapshot.directory(),
            configuration: (snapshot.copy(), place.unwrap_or(snapshot.copy())),
            given: given(container)?,
            what,
        };
        match sandbox::build(&task, flags)? {
            Outcome::Built(system) => {
                build::add_root(&link, &system)?;
                built_at(link)?
            }
            Outcome::Failed(outside) => {
                let error = build_error(needs_nixpkgs && outside.is_empty());
                return Err(error.context(sandboxed_error(container, &outside)));
            }
        }
    } else {
        words.push(operand);
        if !build::build(program, &words, &link, what)? {
            return Err(match source {
                Source::Flake(flake) => build::flake_error(flake, NOTHING_CHANGED),
                _ => build_error(needs_nixpkgs),
            });
        }
        built_at(link)?
    };
    require_init(&built.system)?;
    Ok(built)
}

/// The file of the host that its root has named as the configuration, unless the
/// container can put another one in its place.
fn given(container: &Container) -> Result<Option<PathBuf>> {
    let config = container.config()?;
    let is_hosts = |file: &&PathBuf| !container.can_write(&config, file);
    Ok(config.config_file.as_ref().filter(is_hosts).cloned())
}

/// The error of a build in the sandbox; `outside` are paths that the sandbox does not
/// show, but that Nix' output names.
fn sandboxed_error(container: &Container, outside: &[PathBuf]) -> String {
    let outside: Vec<_> = outside
        .iter()
        .map(|path| plain(&path.display().to_string()))
        .collect();
    let outside = if outside.is_empty() {
        "no other files of the host".to_owned()
    } else {
        format!("no {}", outside.join(", "))
    };
    format!(
        "the container could have changed its configuration, which was therefore evaluated \
         where it sees {outside}; if it may read the host's files and run programs as root, use \
         `nixos-container update {} --trusted`",
        container.name()
    )
}

/// The directory in which Nix' garbage collector finds profiles.
const PROFILES: &str = "/nix/var/nix/profiles";

/// Protects the container's system, which is in its profile, from Nix' garbage
/// collector. Profiles in their usual directory are protected without this.
pub fn protect(container: &Container, built: &Built) -> Result<()> {
    let directory = container.places().profiles(container.name());
    if directory.starts_with(PROFILES) {
        return Ok(());
    }
    let current = Profile::open(&directory)
        .and_then(|profile| profile.current())
        .with_context(|| format!("cannot read the profile in {}", directory.display()))?;
    match current {
        Some(number) => build::add_root(&directory.join(link_name(number)), built.system()),
        // The container has changed its profile meanwhile.
        None => Ok(()),
    }
}

fn built_at(link: PathBuf) -> Result<Built> {
    let system = fs::read_link(&link)
        .with_context(|| format!("cannot find the result of Nix at {}", link.display()))?;
    sync_store(&system)?;
    Ok(Built {
        system,
        link: Some(link),
    })
}

/// Waits until the system and Nix' database are on the disk. Nix leaves that to the
/// kernel by default (`fsync-store-paths`, `man 5 nix.conf`), and after a power cut a
/// profile would lead to files without contents.
fn sync_store(system: &Path) -> Result<()> {
    let store = fs::File::open(system)
        .with_context(|| format!("cannot open the system {}", system.display()))?;
    rustix::fs::syncfs(&store).context("cannot write the Nix store to its disk")
}

/// The end of an error of a build.
const NOTHING_CHANGED: &str = "see Nix's output above; nothing was changed";

fn build_error(needs_nixpkgs: bool) -> anyhow::Error {
    if needs_nixpkgs && !build::finds_nixpkgs() {
        return anyhow::anyhow!(
            "Nix cannot find nixpkgs; set NIX_PATH=nixpkgs=PATH or give --nixos-path \
             PATH/nixos"
        );
    }
    anyhow::anyhow!(NOTHING_CHANGED)
}

/// The names in the store of a system and of everything that it needs.
pub fn closure(system: &Path) -> Result<Vec<OsString>> {
    let cannot = || format!("cannot find what the system {} needs", system.display());
    let system = fs::canonicalize(system).with_context(cannot)?;
    build::requisites(&system).with_context(cannot)
}

/// Fails if there is no NixOS system at this path.
pub fn check(system: &Path) -> Result<()> {
    if !system.exists() {
        bail!("the system {} does not exist", system.display());
    }
    require_init(system)
}

/// Fails if `system` has no `init`, which every NixOS system has.
pub fn require_init(system: &Path) -> Result<()> {
    match std::fs::canonicalize(system) {
        Ok(real) if real.join("init").exists() => Ok(()),
        Ok(real) => bail!(
            "{} is not a NixOS system: it has no `init`; give the store path of a system's toplevel",
            real.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("the system {} does not exist", system.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot stat {}", system.display())),
    }
}
