//! The source of a system, as the command line gives it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::cli::args::SystemArguments;
use crate::config::RecordedSource;
use crate::config::flake::FlakeRef;
use crate::nix::configuration::Options;

/// The source that the user chose.
pub enum Chosen {
    /// A `configuration.nix` with these options.
    Configuration {
        /// Its options.
        options: Options,
        /// The NixOS expression to build with; `<nixpkgs/nixos>` if none.
        nixos: Option<PathBuf>,
    },
    /// A flake.
    Flake(FlakeRef),
}

impl Chosen {
    /// Whether the user chose nothing, so that the container's source stays.
    pub fn is_none(&self) -> bool {
        matches!(
            self,
            Self::Configuration {
                options: Options::None,
                nixos: None,
            }
        )
    }

    /// The source that the container's configuration file remembers for later
    /// commands.
    pub fn record(&self) -> RecordedSource {
        let (file, flake) = match self {
            Self::Configuration {
                options: Options::Import(file),
                ..
            } => (Some(file.clone()), None),
            Self::Configuration { .. } => (None, None),
            Self::Flake(flake) => (None, Some(flake.clone())),
        };
        RecordedSource { file, flake }
    }
}

/// Reads the choice. Fails if its file does not exist.
pub fn chosen(arguments: &SystemArguments) -> Result<Chosen> {
    if let Some(flake) = &arguments.flake {
        let flake = flake.clone().absolute();
        return Ok(Chosen::Flake(flake.context("cannot resolve the flake")?));
    }
    let options = match (&arguments.config, &arguments.config_file) {
        // As with nixpkgs' tool, an empty text, as of an unset variable in a
        // script, is no change.
        (Some(text), _) if text.is_empty() => Options::None,
        (Some(text), _) => Options::Text(text.clone()),
        (None, Some(file)) => {
            let file = std::path::absolute(file)
                .with_context(|| format!("cannot resolve {}", file.display()))?;
            if !file.exists() {
                bail!("the configuration file {} does not exist", file.display());
            }
            Options::Import(file)
        }
        (None, None) => Options::None,
    };
    Ok(Chosen::Configuration {
        options,
        nixos: arguments.nixos_path.clone(),
    })
}
