//! Options that are handed to Nix unchanged.

use clap::Args;

/// What is handed to Nix as it is.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options for Nix (man nix-build, nix3-build)")]
pub struct NixArguments {
    /// Set an option of nix.conf
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"])]
    pub option: Vec<String>,
    /// The form of Nix' log: raw, bar, bar-with-logs, internal-json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Let a flake see what is outside of it
    #[arg(long)]
    pub impure: bool,
    /// Refuse flakes with changes that are not committed
    #[arg(long)]
    pub no_allow_dirty: bool,
    /// Take another flake for an input of the flake
    #[arg(long, num_args = 2, value_names = ["INPUT", "FLAKE"])]
    pub override_input: Vec<String>,
    /// Bring an input of the flake up to date
    #[arg(long, value_name = "INPUT")]
    pub update_input: Vec<String>,
    /// Bring all inputs of the flake up to date
    #[arg(long)]
    pub recreate_lock_file: bool,
    /// Commit the flake's lock file if it changes
    #[arg(long)]
    pub commit_lock_file: bool,
    /// Fail if the flake's lock file would have to change
    #[arg(long)]
    pub no_update_lock_file: bool,
    /// Leave the flake's lock file as it is on disk
    #[arg(long)]
    pub no_write_lock_file: bool,
    /// Look up no flakes in registries
    #[arg(long)]
    pub no_registries: bool,
    /// Take nothing that was downloaded earlier for up to date
    #[arg(long)]
    pub refresh: bool,
}
