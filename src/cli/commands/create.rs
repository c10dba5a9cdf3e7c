//! `create`: making a container completely, or not at all.
//!
//! While its system is built, a container is a reservation: a hidden file with
//! its name and addresses, locked by the process that creates it. Renamed to
//! `NAME.conf`, the file is the container's configuration. An unlocked
//! reservation was left by a killed process; the next creation removes it, or a
//! `destroy` of its name. With `--force` there may be a container already: see
//! [`crate::lifecycle::replacement`].

mod addresses;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::sources;
use crate::cli::args::Create;
use crate::config::{ContainerConfig, RecordedSource, RootConfig};
use crate::container::files;
use crate::container::lock::Lock;
use crate::container::name::ContainerName;
use crate::container::paths::{Places, Trees};
use crate::container::registry;
use crate::container::{self, Container, create_dir};
use crate::lifecycle::destroy::{self, Kept};
use crate::lifecycle::{self, replacement};
use crate::nix::build::Flags;
use crate::nix::configuration::{self, Configuration, Options};
use crate::nix::profile::Profile;
use crate::nix::system::{self, Built, Source};
use crate::nix::trust::{Given, Judge};
use crate::report::exit_codes::{self, CodedError};

/// `create NAME`
pub fn create(places: &Places, arguments: &Create, show_trace: bool) -> Result<()> {
    let system_source = system_source(arguments)?;
    let flags = Flags::new(&arguments.nix, show_trace);
    let mut reservation = reserve(places, arguments, &system_source)?;
    let container = reservation.container.clone();
    let built =
        build(&mut reservation, system_source, &flags).inspect_err(|_| reservation.give_up())?;
    reservation.confirm()?;
    system::protect(&container, &built)?;
    let printed = if arguments.ensure_unique_name {
        answer!("{}", container.name())
    } else {
        Ok(())
    };
    if arguments.auto_start {
        super::lifecycle::start(&container)?;
    }
    printed
}

/// The source of the new container's system.
enum SystemSource {
    /// A system to build.
    Chosen(sources::Chosen),
    /// A system that is built already.
    Built(PathBuf),
}

/// Fails before anything is changed if the source does not exist.
fn system_source(arguments: &Create) -> Result<SystemSource> {
    if let Some(system) = &arguments.system_path {
        let system = absolute(system)?;
        system::check(&system)?;
        note_unused(arguments);
        return Ok(SystemSource::Built(system));
    }
    sources::chosen(&arguments.system).map(SystemSource::Chosen)
}

/// Names the arguments that a system which is built already leaves without effect.
/// nixpkgs' tool accepts them, too.
fn note_unused(arguments: &Create) {
    let system = &arguments.system;
    let given = [
        (system.config.is_some(), "--config"),
        (system.config_file.is_some(), "--config-file"),
        (system.nixos_path.is_some(), "--nixos-path"),
    ];
    for (_, option) in given.into_iter().filter(|(is_given, _)| *is_given) {
        say!("note: {option} is not used: the system is that of --system-path");
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

/// A name and addresses, reserved for a container.
struct Reservation {
    container: Container,
    config: ContainerConfig,
    lock: Lock,
    /// What stays if the creation fails.
    kept: Kept,
    /// The container replaces one of the same name.
    replaces: bool,
}

fn reserve(
    places: &Places,
    arguments: &Create,
    system_source: &SystemSource,
) -> Result<Reservation> {
    create_dir(places.conf_dir(), 0o755)?;
    // Two creations at once must not choose the same name or addresses.
    let registry_lock = registry::lock_registry(places)?;
    for name in registry::names(places, Places::name_of_reservation)? {
        destroy::clear_away_killed_creation(&Container::new(places, name), &registry_lock)?;
    }
    let name = choose_name(places, arguments)?;
    let container = Container::new(places, name);
    destroy::finish_destruction(&container, &registry_lock)?;
    let old = replaced(&container)?;
    let config = configure(places, arguments, system_source, &container, old.as_ref())?;
    let (text, config) = with_settings(&container, &config, arguments)?;
    let replaces = old.is_some();
    let kept = if replaces {
        Kept::Nothing
    } else {
        kept(&container, arguments.reuse_root)?
    };
    let path = places.reservation(container.name());
    let mut lock = Lock::try_lock(&path)
        .with_context(|| format!("cannot make {}", path.display()))?
        .with_context(|| format!("{container} is being created already"))?;
    let text = format!("{}{text}", kept.mark());
    lock.file()
        .write_all(text.as_bytes())
        .and_then(|()| lock.file().sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    if let (Some(host), Some(local)) = (config.host_address, config.local_address) {
        say!(
            "host IP is {}, container IP is {}",
            host.addr(),
            local.addr()
        );
    }
    Ok(Reservation {
        container,
        config,
        lock,
        kept,
        replaces,
    })
}

/// The contents of the configuration file with the settings that options make, and its
/// meaning. Fails if they exclude each other.
fn with_settings(
    container: &Container,
    config: &ContainerConfig,
    arguments: &Create,
) -> Result<(String, ContainerConfig)> {
    let conf = container.places().conf(container.name());
    let cannot = || format!("cannot create {container}");
    let text = config.to_text();
    let text = ContainerConfig::with_settings(&conf, &text, &arguments.settings.0);
    let text = text.with_context(cannot)?;
    let config = ContainerConfig::parse(&conf, &text).with_context(cannot)?;
    Ok((text, config))
}

/// The configuration of the container that is replaced; `None` if there is none.
/// Fails if it may not be replaced.
fn replaced(container: &Container) -> Result<Option<ContainerConfig>> {
    if !container.exists() {
        return Ok(None);
    }
    container.require_imperative()?;
    // A container with an unreadable configuration may be replaced, too.
    Ok(Some(container.config().unwrap_or_default()))
}

fn choose_name(places: &Places, arguments: &Create) -> Result<ContainerName> {
    let name = &arguments.name;
    let container = Container::new(places, name.clone());
    if !arguments.ensure_unique_name && container.is_supervised() {
        // One that runs without a configuration cannot be replaced.
        container.require_configured()?;
    }
    let is_taken = |name: &ContainerName| is_taken(places, name, arguments);
    if !is_taken(name)? {
        return Ok(name.clone());
    }
    if !arguments.ensure_unique_name {
        let message = format!(
            "container '{name}' exists already; choose another name, or replace it with --force"
        );
        return Err(CodedError::new(exit_codes::EXISTS, message).into());
    }
    for number in 0.. {
        let numbered = format!("{name}-{number}")
            .parse()
            .map_err(anyhow::Error::msg)?;
        if !is_taken(&numbered)? {
            return Ok(numbered);
        }
    }
    bail!("no name is free")
}

/// Whether a name cannot be had. Files of a container that is gone are an error of their
/// own, unless another name can be chosen.
fn is_taken(places: &Places, name: &ContainerName, arguments: &Create) -> Result<bool> {
    if arguments.force {
        return Ok(false);
    }
    let container = Container::new(places, name.clone());
    let exists = places.conf(name).exists()
        || places.reservation(name).exists()
        || container.is_supervised();
    let avoids_files = arguments.ensure_unique_name && !arguments.reuse_root;
    Ok(exists || (avoids_files && container.left_files()?.is_some()))
}

/// What is there of a container that does not exist.
///
/// # Errors
///
/// There are files, and they are not to be taken over.
fn kept(container: &Container, reuse: bool) -> Result<Kept> {
    match container.left_files()? {
        Some(_) if reuse => Ok(Kept::Files),
        Some(directory) => {
            let message = format!(
                "{container} does not exist, but has left its files in {}; --reuse-root takes \
                 them over, `nixos-container destroy {}` removes them",
                directory.display(),
                container.name()
            );
            Err(CodedError::new(exit_codes::EXISTS, message).into())
        }
        None if container.places().root(container.name()).exists() => Ok(Kept::Root),
        None => Ok(Kept::Nothing),
    }
}

fn configure(
    places: &Places,
    arguments: &Create,
    system_source: &SystemSource,
    container: &Container,
    old: Option<&ContainerConfig>,
) -> Result<ContainerConfig> {
    // In a bridge, the network's own server gives addresses.
    let is_given = arguments.host_address.is_some() || arguments.local_address.is_some();
    let has_others = arguments.use_host_network || arguments.bridge.is_some();
    let addresses = if has_others && !is_given {
        None
    } else {
        let others = addresses::in_use(places, container.name())?;
        Some(addresses::choose(arguments, old, others)?)
    };
    let has_address = addresses.is_some() || arguments.local_address6.is_some();
    if arguments.bridge.is_some() && !arguments.port.is_empty() && !has_address {
        bail!(
            "cannot forward ports to a container in a bridge without an address; give one with \
             --host-address and --local-address"
        );
    }
    let recorded = match system_source {
        SystemSource::Chosen(chosen) => chosen.record(),
        SystemSource::Built(_) => RecordedSource::default(),
    };
    Ok(ContainerConfig {
        private_network: !arguments.use_host_network,
        host_address: addresses.map(|(host, _)| host),
        local_address: addresses.map(|(_, local)| local),
        host_address6: arguments.host_address6,
        local_address6: arguments.local_address6,
        host_bridge: arguments.bridge.clone(),
        host_ports: arguments.port.clone(),
        // As the manual page says, a private network reaches others through the
        // host.
        nat: !arguments.use_host_network && arguments.bridge.is_none(),
        copy_resolv_conf: (!arguments.use_host_network).then_some(true),
        auto_start: arguments.auto_start,
        config_file: recorded.file,
        root: RootConfig {
            ephemeral: arguments.ephemeral,
            ..RootConfig::default()
        },
        destroy_on_stop: arguments.ephemeral,
        untrusted: arguments.untrusted,
        flake: recorded.flake,
        ..ContainerConfig::default()
    })
}

/// Makes the root directory, builds the system and makes its profile.
fn build(
    reservation: &mut Reservation,
    system_source: SystemSource,
    flags: &Flags,
) -> Result<Built> {
    let container = reservation.container.clone();
    let trees = reservation.trees();
    container::create_trees(&trees)?;
    let configuration = Configuration::in_root(&trees.root)?;
    let directory = container.places().creating(container.name());
    let config = reservation.config.clone();
    let judge = Judge {
        container: &container,
        config: &config,
        vouched: false,
    };
    let judged;
    let mut sandboxed = None;
    let mut recordable = None;
    let source = match system_source {
        SystemSource::Built(system) => Source::System(system),
        SystemSource::Chosen(sources::Chosen::Flake(flake)) => {
            if let Some(path) = flake.path() {
                judge.require_hosts(path)?;
            }
            Source::Flake(flake)
        }
        SystemSource::Chosen(sources::Chosen::Configuration { options, nixos }) => {
            if let Options::Import(file) = &options {
                judge.require_hosts(file)?;
            }
            let text = configuration::text(container.name(), &options)?;
            configuration.write(&text)?;
            let given = Given {
                text: &text,
                refers_beside: options.refers_beside(),
            };
            judged = judge.given(given, &configuration, directory)?;
            sandboxed = (!judged.trusted).then_some(&judged.snapshot);
            recordable = Some(&judged);
            Source::Configuration {
                file: judged.snapshot.file().to_owned(),
                nixos,
            }
        }
    };
    let built = system::build(&container, &source, flags, sandboxed)?;
    if let Some(judged) = recordable
        && let Some(hash) = judged.record()?
    {
        reservation.trust(&hash)?;
    }
    Profile::open(&trees.profiles)
        .and_then(|profile| profile.set(built.system()))
        .with_context(|| format!("cannot change the profile in {}", trees.profiles.display()))?;
    Ok(built)
}

impl Reservation {
    /// Adds the hash of the configuration to the file that becomes the container's.
    fn trust(&mut self, hash: &str) -> Result<()> {
        let path = self.container.places().reservation(self.container.name());
        let line = ContainerConfig::with_source(&path, "", None, Some(hash))?;
        let file = self.lock.file();
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The directories of the new container.
    fn trees(&self) -> Trees {
        let (places, name) = (self.container.places(), self.container.name());
        if self.replaces {
            places.staged_trees(name)
        } else {
            places.trees(name)
        }
    }

    /// Turns the reservation into a container, in one step.
    fn confirm(self) -> Result<()> {
        let (places, name) = (self.container.places(), self.container.name());
        if !self.replaces {
            // A holder of the lock sees the one or the other.
            let _lock = registry::lock_registry(places)?;
            files::make_readable(&places.reservation(name))?;
            return files::rename(&places.reservation(name), &places.conf(name));
        }
        self.replace().inspect_err(|_| {
            // Without the reservation, the new container is in its place.
            if places.reservation(name).exists() {
                self.give_up();
            }
        })
    }

    fn replace(&self) -> Result<()> {
        let container = &self.container;
        let _update_lock = container.lock_for_update()?;
        let timeout = Duration::from_secs(lifecycle::DEFAULT_TIMEOUT_STOP);
        let _start_lock = lifecycle::stop(container, timeout)?;
        let registry_lock = registry::lock_registry(container.places())?;
        replacement::commit(container, &registry_lock)
    }

    /// Removes everything that was made but the lock.
    fn give_up(&self) {
        if let Err(error) = destroy::undo_creation(&self.container, self.kept) {
            crate::report::print_error(&error);
        }
    }
}
