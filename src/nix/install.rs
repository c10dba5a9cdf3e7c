//! Giving a container the system that was built for it.

use anyhow::{Context, Result};

use super::build::Flags;
use super::configuration::Configuration;
use super::profile::Profile;
use super::shared;
use super::system::{self, Built, Source};
use super::trust::Judge;
use crate::config::ContainerConfig;
use crate::config::flake::FlakeRef;
use crate::container::Container;

/// Makes a system the container's: the newest generation of its profile.
pub fn set(container: &Container, built: &Built) -> Result<()> {
    // Before, so that the new system is the newest generation, and after, to reach the
    // container.
    shared::take_over_profile(container)?;
    let directory = container.places().profiles(container.name());
    Profile::open(&directory)
        .and_then(|profile| profile.set(built.system()))
        .with_context(|| format!("cannot change the profile of {container}"))?;
    shared::take_over_profile(container)?;
    system::protect(container, built)
}

/// Builds a container's system from a flake, in a sandbox if the container could have
/// written the flake.
pub fn build_flake(
    judge: Judge<'_>,
    flake: &FlakeRef,
    configuration: &Configuration,
    flags: &Flags,
) -> Result<Built> {
    let container = judge.container;
    let directory = container.places().updating(container.name());
    let sandboxed = judge.flake(flake, configuration, directory)?;
    let source = Source::Flake(flake.clone());
    system::build(container, &source, flags, sandboxed.as_ref())
}

/// The flake from which the container's system must be built before it can start: the
/// configuration of a NixOS host declares the flake alone.
pub fn unbuilt<'a>(container: &Container, config: &'a ContainerConfig) -> Option<&'a FlakeRef> {
    let profile = container.places().system_profile(container.name());
    let flake = config.flake.as_ref();
    flake.filter(|_| config.system_path.is_none() && !profile.exists())
}

/// Builds the system of a container that has a flake and no system yet. A failure can
/// pass, such as that of a network, so it is none of the configuration.
pub fn build_unbuilt(container: &Container) -> Result<()> {
    let config = container.config()?;
    if unbuilt(container, &config).is_none() {
        return Ok(());
    }
    let _update_lock = container.lock_for_update()?;
    // Another process may have built it meanwhile.
    let Some(flake) = unbuilt(container, &config) else {
        return Ok(());
    };
    let root = container.places().root(container.name());
    container.create_directories(root.clone())?;
    let judge = Judge {
        container,
        config: &config,
        vouched: false,
    };
    let configuration = Configuration::in_root(&root)?;
    let built = build_flake(judge, flake, &configuration, &Flags::default())?;
    set(container, &built)
}
