//! Commands that change a container's system.
//!
//! They build the new system first, and change the container after that: each
//! file and link as a whole, the profile last. If the command is killed in between,
//! the container has its old system, and the next `update` gives it the new one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::activation;
use super::sources::{self, Chosen};
use crate::cli::args::{PullConfig, Update};
use crate::cli::date;
use crate::config::ContainerConfig;
use crate::config::flake::FlakeRef;
use crate::container::{self, Container};
use crate::nix::build::{self, Flags};
use crate::nix::configuration::{self, Configuration, Options, Replaced};
use crate::nix::profile::{Generation, Profile};
use crate::nix::shared;
use crate::nix::system::require_init;
use crate::nix::system::{self, Built, Source};

/// `update NAME`
pub fn update(container: &Container, arguments: &Update, show_trace: bool) -> Result<ExitCode> {
    container.require_imperative()?;
    let flags = Flags::new(&arguments.nix, show_trace);
    let chosen = sources::chosen(&arguments.system)?;
    let _update_lock = container.lock_for_update()?;
    let config = config_with_profile(container)?;
    change(container, chosen_change(container, config, chosen)?, &flags)?;
    activation::activate(container)
}

/// A change of a container's system.
#[derive(Default)]
struct Change {
    /// The flake to build from, if not from the container's `configuration.nix`.
    flake: Option<FlakeRef>,
    /// The NixOS expression to build the configuration with; `<nixpkgs/nixos>` if none.
    nixos: Option<PathBuf>,
    configuration: Replacement,
    /// The file and the flake that its configuration file is to remember.
    record: Option<(Option<PathBuf>, Option<FlakeRef>)>,
}

/// The change of the container's `configuration.nix`.
#[derive(Default)]
enum Replacement {
    #[default]
    None,
    Overwrite(String),
    /// The earlier file is kept under another name.
    Keep(String),
    /// `/etc/nixos` becomes a copy of this directory; the earlier directory is
    /// kept under another name.
    KeepTree(PathBuf),
}

/// The change that an `update` makes with this choice.
fn chosen_change(container: &Container, config: ContainerConfig, chosen: Chosen) -> Result<Change> {
    let mut change = Change::default();
    let record = chosen.record();
    match chosen {
        Chosen::Configuration {
            options: Options::None,
            nixos,
        } => {
            change.flake = config.flake.filter(|_| nixos.is_none());
            change.nixos = nixos;
            return Ok(change);
        }
        Chosen::Configuration { options, nixos } => {
            let text = configuration::text(container.name(), &options)?;
            change.configuration = Replacement::Overwrite(text);
            change.nixos = nixos;
        }
        Chosen::Flake(flake) => change.flake = Some(flake),
    }
    change.record = Some(record);
    Ok(change)
}

/// The container's configuration; fails if its system is not the profile's.
fn config_with_profile(container: &Container) -> Result<ContainerConfig> {
    let config = container.config()?;
    if let Some(system) = &config.system_path {
        bail!(
            "the system of {container} is {}, set by SYSTEM_PATH in {}; change or remove that \
             line",
            system.display(),
            container.places().conf(container.name()).display()
        );
    }
    Ok(config)
}

/// Builds the new system, then changes the container.
fn change(container: &Container, change: Change, flags: &Flags) -> Result<()> {
    let root = container.places().root(container.name());
    container.create_directories(root.clone())?;
    let configuration = Configuration::in_root(&root)?;
    let built = build(container, &change, &configuration, flags)?;
    commit(container, &change, &configuration, &built)
}

fn build(
    container: &Container,
    change: &Change,
    configuration: &Configuration,
    flags: &Flags,
) -> Result<Built> {
    let snapshot;
    let source = if let Some(flake) = &change.flake {
        Source::Flake(flake.clone())
    } else {
        let directory = container.places().updating(container.name());
        snapshot = match &change.configuration {
            Replacement::Overwrite(text) | Replacement::Keep(text) => {
                configuration.snapshot_with(text, directory)?
            }
            _ => configuration.snapshot(directory)?.with_context(|| {
                format!(
                    "{container} has no {} to build its system from; give one with --config, \
                     --config-file or --flake",
                    configuration::PLACE
                )
            })?,
        };
        Source::Configuration {
            file: snapshot.file().to_owned(),
            nixos: change.nixos.clone(),
        }
    };
    system::build(container, &source, flags)
}

fn commit(
    container: &Container,
    change: &Change,
    configuration: &Configuration,
    built: &Built,
) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    // The container cannot be removed or replaced while this lock is held.
    let _lock = container::registry::lock_registry(places)?;
    if !container.exists() || !configuration.is_of(&places.root(name)) {
        bail!("{container} was removed while its system was being built");
    }
    replace(configuration, &change.configuration)?;
    if let Some((file, flake)) = &change.record {
        container.record_source(file.as_deref(), flake.as_ref())?;
    }
    // Before, so that the new system is the newest generation, and after, to reach the
    // container.
    shared::take_over_profile(container)?;
    profile(container)?
        .set(built.system())
        .with_context(|| format!("cannot change the profile of {container}"))?;
    shared::take_over_profile(container)?;
    system::protect(container, built)
}

fn replace(configuration: &Configuration, replacement: &Replacement) -> Result<()> {
    let replaced = match replacement {
        Replacement::None => return Ok(()),
        Replacement::Overwrite(text) => return configuration.write(text),
        Replacement::Keep(text) => configuration.replace_with_backup(text)?,
        Replacement::KeepTree(source) => configuration.replace_directory_with_backup(source)?,
    };
    match replaced {
        Replaced::Nothing => {}
        Replaced::Same => say!("the configuration is up to date"),
        Replaced::Other(kept) => say!("the earlier configuration is kept as {kept}"),
    }
    Ok(())
}

fn profile(container: &Container) -> Result<Profile> {
    let directory = container.places().profiles(container.name());
    Profile::open(&directory).with_context(|| format!("cannot open {}", directory.display()))
}

/// All generations, and the number of the current one.
fn read_profile(
    container: &Container,
    profile: &Profile,
) -> Result<(Vec<Generation>, Option<u64>)> {
    let generations = profile.generations();
    generations
        .and_then(|generations| Ok((generations, profile.current()?)))
        .with_context(|| format!("cannot read the profile of {container}"))
}

/// `pull-config NAME`
pub fn pull_config(
    container: &Container,
    arguments: &PullConfig,
    show_trace: bool,
) -> Result<ExitCode> {
    let _update_lock = container.lock_for_update()?;
    let config = container.config()?;
    if let Some(system) = &config.system_path {
        say!(
            "the system of {container} is set by the host's configuration: {}",
            system.display()
        );
    } else {
        let flags = Flags::new(&arguments.nix, show_trace);
        let pulled = pulled_change(container, &config, &flags)?;
        if arguments.switch {
            change(container, pulled, &flags)?;
        } else {
            let root = container.places().root(container.name());
            replace(&Configuration::in_root(&root)?, &pulled.configuration)?;
        }
    }
    if arguments.switch {
        return activation::activate(container);
    }
    Ok(ExitCode::SUCCESS)
}

/// The change to the file or flake on the host that a container was made from.
fn pulled_change(container: &Container, config: &ContainerConfig, flags: &Flags) -> Result<Change> {
    let name = container.name();
    let mut change = Change::default();
    if let Some(flake) = &config.flake {
        change.configuration = Replacement::KeepTree(build::fetch(flake, flags)?.path);
        change.flake = Some(flake.clone());
    } else if let Some(file) = &config.config_file {
        let text = configuration::text(name, &configuration::read_copy(file)?)?;
        change.configuration = Replacement::Keep(text);
    } else {
        bail!(
            "{container} was not created from a file or flake of the host; give one with \
             `nixos-container update {name} --config-file PATH`"
        );
    }
    Ok(change)
}

/// `rollback NAME`
pub fn rollback(container: &Container) -> Result<ExitCode> {
    let _update_lock = container.lock_for_update()?;
    config_with_profile(container)?;
    shared::take_over_profile(container)?;
    let profile = profile(container)?;
    let (generations, current) = read_profile(container, &profile)?;
    let earlier = generations
        .iter()
        .rfind(|generation| current.is_some_and(|current| generation.number < current));
    let Some(earlier) = earlier else {
        bail!("{container} has no earlier system to go back to");
    };
    require_init(&earlier.system)
        .with_context(|| format!("cannot go back to generation {}", earlier.number))?;
    profile
        .switch(earlier.number)
        .with_context(|| format!("cannot change the profile of {container}"))?;
    shared::take_over_profile(container)?;
    say!("{container} is back at generation {}", earlier.number);
    activation::activate(container)
}

/// `generations NAME`, in the format of `nix-env --list-generations`.
pub fn generations(container: &Container) -> Result<()> {
    container.require()?;
    // A user of the host sees those that have been taken over.
    if rustix::process::geteuid().is_root() {
        shared::take_over_profile(container)?;
    }
    let profile = profile(container)?;
    let (generations, current) = read_profile(container, &profile)?;
    for generation in generations {
        let mark = if current == Some(generation.number) {
            "   (current)"
        } else {
            ""
        };
        answer!(
            "{:4}   {}{mark}",
            generation.number,
            date::local(generation.created)
        )?;
    }
    Ok(())
}
