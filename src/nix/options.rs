//! Options that are passed to Nix unchanged.

use clap::Args;

/// Options that are passed to Nix unchanged.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options for Nix (man nix-build, nix3-build)")]
pub struct NixArguments {
    /// Set an option of nix.conf
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"])]
    pub option: Vec<String>,
    /// The format of Nix' log: raw, bar, bar-with-logs, internal-json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Let a flake read files and variables outside of it
    #[arg(long)]
    pub impure: bool,
    /// Refuse flakes with uncommitted changes
    #[arg(long)]
    pub no_allow_dirty: bool,
    /// Override an input of the flake
    #[arg(long, num_args = 2, value_names = ["INPUT", "FLAKE"])]
    pub override_input: Vec<String>,
    /// Update an input of the flake
    #[arg(long, value_name = "INPUT")]
    pub update_input: Vec<String>,
    /// Update all inputs of the flake
    #[arg(long)]
    pub recreate_lock_file: bool,
    /// Commit the flake's lock file if it changes
    #[arg(long)]
    pub commit_lock_file: bool,
    /// Fail if the flake's lock file would change
    #[arg(long)]
    pub no_update_lock_file: bool,
    /// Do not write the flake's lock file
    #[arg(long)]
    pub no_write_lock_file: bool,
    /// Do not look up flakes in registries
    #[arg(long)]
    pub no_registries: bool,
    /// Treat cached downloads as stale
    #[arg(long)]
    pub refresh: bool,
}
