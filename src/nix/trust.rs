//! Whose words a configuration is: the host's root's, or the container's.
//!
//! The host's root gives a configuration by `--config`, `--config-file` or `--flake`.
//! It is evaluated as root, and may refer to any file of the host. The container's
//! configuration file remembers its hash. Root inside can change `/etc/nixos`
//! afterwards: then the configuration is evaluated in a sandbox ([`super::sandbox`]).

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use super::configuration::Configuration;
use super::configuration::Snapshot;
use crate::config::ContainerConfig;
use crate::config::flake::FlakeRef;
use crate::container::Container;

/// A configuration to be evaluated.
#[derive(Debug)]
pub struct Judged {
    /// A copy, which stays as it is.
    pub snapshot: Snapshot,
    /// Whether it is the host's root's.
    pub trusted: bool,
}

impl Judged {
    /// The hash of the configuration, if it is trusted from now on.
    pub fn record(&self) -> Result<Option<String>> {
        if !self.trusted {
            return Ok(None);
        }
        self.snapshot.hash()
    }
}

/// A configuration that the host's root gives.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Its text.
    pub text: &'a str,
    /// Whether it can refer to files beside it, which are the container's.
    pub refers_beside: bool,
}

/// Judges the configuration of a container.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// The container.
    pub container: &'a Container,
    /// Its configuration file.
    pub config: &'a ContainerConfig,
    /// Whether the host's root vouches for the configuration in it (`--trusted`).
    pub vouched: bool,
}

impl Judge<'_> {
    /// Judges the configuration that is in the container; `None` if there is none. The
    /// copy goes to `directory`.
    pub fn present(
        self,
        configuration: &Configuration,
        directory: PathBuf,
    ) -> Result<Option<Judged>> {
        let Some(snapshot) = configuration.snapshot(directory)? else {
            return Ok(None);
        };
        let trusted =
            self.vouched || self.trusts_file() && self.is_recorded(snapshot.hash()?.as_ref());
        Ok(Some(Judged { snapshot, trusted }))
    }

    /// Judges a configuration that is given, with the files beside it in the container.
    pub fn given(
        self,
        given: Given<'_>,
        configuration: &Configuration,
        directory: PathBuf,
    ) -> Result<Judged> {
        let snapshot = configuration.snapshot_beside(directory)?;
        let files_are_trusted = !given.refers_beside
            || snapshot.is_alone()?
            || self.is_recorded(snapshot.hash()?.as_ref());
        let trusted = self.vouched || files_are_trusted;
        snapshot.set_text(given.text)?;
        Ok(Judged { snapshot, trusted })
    }

    /// Judges a flake: a copy to evaluate in the sandbox, if it is the container's.
    pub fn flake(
        self,
        flake: &FlakeRef,
        configuration: &Configuration,
        directory: PathBuf,
    ) -> Result<Option<Snapshot>> {
        match flake.path() {
            Some(path) if !self.vouched && self.container.can_write(self.config, path) => {
                match configuration.snapshot_tree(path, directory)? {
                    Some(snapshot) => Ok(Some(snapshot)),
                    None => Err(self.changeable(path)),
                }
            }
            _ => Ok(None),
        }
    }

    /// Fails if the container can change this file or flake, whose contents are about to
    /// be taken for the host's.
    pub fn require_hosts(self, path: &Path) -> Result<()> {
        if !self.vouched && self.container.can_write(self.config, path) {
            return Err(self.changeable(path));
        }
        Ok(())
    }

    fn changeable(self, path: &Path) -> anyhow::Error {
        anyhow!(
            "containers can change {}; copy it to a directory of the host, or take it as it is \
             with `nixos-container update {} --trusted`",
            path.display(),
            self.container.name()
        )
    }

    fn is_recorded(self, hash: Option<&String>) -> bool {
        hash.is_some() && hash == self.config.trusted_configuration.as_ref()
    }

    /// Whether the container cannot change the file that its configuration imports.
    fn trusts_file(self) -> bool {
        let file = self.config.config_file.as_ref();
        !file.is_some_and(|file| self.container.can_write(self.config, file))
    }
}
