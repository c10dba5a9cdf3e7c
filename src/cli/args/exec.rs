//! The arguments of commands that execute a program in a container.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use runtime::spec::accounts::User;

use super::Name;
use crate::container::name::ContainerName;

#[derive(Debug, Subcommand)]
pub enum Exec {
    /// Run a command in a container as root, in root's login shell
    #[command(after_help = "Example: nixos-container run foo -- systemctl status sshd")]
    Run(Run),
    /// Open a login prompt of a container; any user of the host may do so
    #[command(after_help = "Example: nixos-container login foo

After a logout, the prompt appears again. To leave, press ^] three times within a second.")]
    Login(Name),
    /// Log in to a container as root, without a password
    #[command(after_help = "Example: nixos-container root-login foo")]
    RootLogin(Name),
    /// Open a shell in a container, or run a command, as the calling user
    #[command(after_help = "Examples:
  sudo nixos-container enter foo                      as the container's user of your name
  nixos-container enter foo --root -- /bin/bash
  nixos-container enter foo --user git --set-env LANG=C -- git gc")]
    Enter(Enter),
    /// Serve a login prompt; the supervisor starts this for `login`
    #[command(hide = true, after_help = "Example: nixos-container serve-login foo")]
    ServeLogin(Name),
}

#[derive(Debug, Args)]
pub struct Run {
    /// The container
    pub name: ContainerName,
    /// The command and its arguments, with or without -- before them
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Enter {
    /// The container
    pub name: ContainerName,
    /// Enter as root, not as the container's user of the caller's name
    #[arg(long, conflicts_with = "user")]
    pub root: bool,
    /// Enter as this user of the container, a name or a number
    #[arg(long)]
    pub user: Option<User>,
    /// Set an environment variable; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub set_env: Vec<(String, String)>,
    /// The command and its arguments, with or without -- before them [default: a login shell]
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Parses an assignment to a variable with a name that is valid in every shell
/// (POSIX, XBD 3.216 Name).
fn assignment(text: &str) -> Result<(String, String), String> {
    let well_named = |key: &str| {
        key.bytes().all(|c| c == b'_' || c.is_ascii_alphanumeric())
            && key.bytes().next().is_some_and(|c| !c.is_ascii_digit())
    };
    match text.split_once('=') {
        Some((key, value)) if well_named(key) => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, the key of letters, digits and _".to_owned()),
    }
}
