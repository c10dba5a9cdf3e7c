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
use crate::config::flake::FlakeRef;
use crate::config::{ContainerConfig, RecordedSource};
use crate::container::{self, Container};
use crate::nix::build::{self, Flags};
use crate::nix::configuration::{self, Configuration, Options, Replaced};
use crate::nix::install;
use crate::nix::profile::{Generation, Profile};
use crate::nix::shared;
use crate::nix::system::require_init;
use crate::nix::system::{self, Built, Source};
use crate::nix::trust::{Given, Judge};

/// `update NAME`
pub fn update(container: &Container, arguments: &Update, show_trace: bool) -> Result<ExitCode> {
    let flags = Flags::new(&arguments.nix, show_trace);
    let chosen = sources::chosen(&arguments.system)?;
    // The host's configuration declares the flake, and its system is the profile's.
    if !(chosen.is_none() && container.config()?.flake.is_some()) {
        container.require_imperative()?;
    }
    let _update_lock = container.lock_for_update()?;
    let config = config_with_profile(container)?;
    let judge = Judge {
        container,
        config: &config,
        vouched: arguments.trusted,
    };
    change(judge, chosen_change(judge, chosen)?, &flags)?;
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
    /// Whether the configuration can refer to files beside it in the container.
    refers_beside: bool,
    /// The source that its configuration file is to remember, if it is another one.
    record: Option<RecordedSource>,
}

impl Change {
    /// The configuration that it gives to the container.
    fn given(&self) -> Option<Given<'_>> {
        match &self.configuration {
            Replacement::Overwrite(text) | Replacement::Keep(text) => Some(Given {
                text,
                refers_beside: self.refers_beside,
            }),
            Replacement::None | Replacement::KeepTree(_) => None,
        }
    }
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
fn chosen_change(judge: Judge<'_>, chosen: Chosen) -> Result<Change> {
    let mut change = Change::default();
    let record = chosen.record();
    match chosen {
        Chosen::Configuration {
            options: Options::None,
            nixos,
        } => {
            let flake = judge.config.flake.clone();
            change.flake = flake.filter(|_| nixos.is_none());
            change.nixos = nixos;
            return Ok(change);
        }
        Chosen::Configuration { options, nixos } => {
            if let Options::Import(file) = &options {
                judge.require_hosts(file)?;
            }
            change.refers_beside = options.refers_beside();
            let text = configuration::text(judge.container.name(), &options)?;
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
fn change(judge: Judge<'_>, change: Change, flags: &Flags) -> Result<()> {
    let container = judge.container;
    let root = container.places().root(container.name());
    container.create_directories(root.clone())?;
    let configuration = Configuration::in_root(&root)?;
    let (built, trusted) = build(judge, &change, &configuration, flags)?;
    commit(container, &change, &configuration, &built, trusted)
}

/// Builds the system. Returns it with the hash of the configuration in the container that
/// is trusted from now on.
fn build(
    judge: Judge<'_>,
    change: &Change,
    configuration: &Configuration,
    flags: &Flags,
) -> Result<(Built, Option<String>)> {
    let container = judge.container;
    if let Some(flake) = &change.flake {
        let built = install::build_flake(judge, flake, configuration, flags)?;
        return Ok((built, None));
    }
    let directory = container.places().updating(container.name());
    let judged = match change.given() {
        Some(given) => judge.given(given, configuration, directory)?,
        None => judge.present(configuration, directory)?.with_context(|| {
            format!(
                "{container} has no {} to build its system from; give one with --config, \
                     --config-file or --flake",
                configuration::PLACE
            )
        })?,
    };
    let source = Source::Configuration {
        file: judged.snapshot.file().to_owned(),
        nixos: change.nixos.clone(),
    };
    let sandboxed = (!judged.trusted).then_some(&judged.snapshot);
    let built = system::build(container, &source, flags, sandboxed)?;
    Ok((built, judged.record()?))
}

fn commit(
    container: &Container,
    change: &Change,
    configuration: &Configuration,
    built: &Built,
    trusted: Option<String>,
) -> Result<()> {
    let (places, name) = (container.places(), container.name());
    // The container cannot be removed or replaced while this lock is held.
    let _lock = container::registry::lock_registry(places)?;
    if !container.exists() || !configuration.is_of(&places.root(name)) {
        bail!("{container} was removed while its system was being built");
    }
    replace(configuration, &change.configuration)?;
    container.record_source(change.record.as_ref(), trusted.as_deref())?;
    install::set(container, built)
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
        let judge = Judge {
            container,
            config: &config,
            vouched: false,
        };
        let pulled = pulled_change(judge, &flags)?;
        if arguments.switch {
            change(judge, pulled, &flags)?;
        } else {
            pull(judge, &pulled)?;
        }
    }
    if arguments.switch {
        return activation::activate(container);
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes the configuration without building from it.
fn pull(judge: Judge<'_>, pulled: &Change) -> Result<()> {
    let (places, name) = (judge.container.places(), judge.container.name());
    let configuration = Configuration::in_root(&places.root(name))?;
    let trusted = match pulled.given() {
        Some(given) => judge
            .given(given, &configuration, places.updating(name))?
            .record()?,
        None => None,
    };
    replace(&configuration, &pulled.configuration)?;
    judge.container.record_source(None, trusted.as_deref())
}

/// The change to the file or flake on the host that a container was made from.
fn pulled_change(judge: Judge<'_>, flags: &Flags) -> Result<Change> {
    let (container, config) = (judge.container, judge.config);
    let name = container.name();
    let mut change = Change::default();
    if let Some(flake) = &config.flake {
        if let Some(path) = flake.path() {
            judge.require_hosts(path)?;
        }
        change.configuration = Replacement::KeepTree(build::fetch(flake, flags)?.path);
        change.flake = Some(flake.clone());
    } else if let Some(file) = &config.config_file {
        judge.require_hosts(file)?;
        change.refers_beside = true;
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
