//! The words of commands that run something in a container.

use std::ffi::OsString;

use clap::{Args, Subcommand};
use runtime::spec::accounts::User;

use super::Name;
use crate::container::name::ContainerName;

#[derive(Debug, Subcommand)]
pub enum Inside {
    /// Run a command in a container as root, with root's login environment
    #[command(after_help = "Example: nixos-container run foo -- systemctl status sshd")]
    Run(Run),
    /// Get a login prompt of a container; every user of the host may
    #[command(after_help = "Example: nixos-container login foo
It goes on after a logout; to leave, press ^] three times within a second.")]
    Login(Name),
    /// Log in to a container as root, without a password
    #[command(after_help = "Example: nixos-container root-login foo")]
    RootLogin(Name),
    /// Get a shell in a container, or run a command, as the user who calls
    #[command(after_help = "Examples:
  sudo nixos-container enter foo                      as the user of foo with your name
  nixos-container enter foo --root -- /bin/bash
  nixos-container enter foo --user git --set-env LANG=C -- git gc")]
    Enter(Enter),
    /// Look after a login prompt: what a supervisor starts for `login`
    #[command(hide = true, after_help = "Example: nixos-container serve-login foo")]
    ServeLogin(Name),
}

#[derive(Debug, Args)]
pub struct Run {
    /// The container
    pub name: ContainerName,
    /// The command and its words
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Enter {
    /// The container
    pub name: ContainerName,
    /// As root, not as the container's user with the caller's name
    #[arg(long, conflicts_with = "user")]
    pub root: bool,
    /// As this user of the container, by name or number
    #[arg(long)]
    pub user: Option<User>,
    /// Set a variable of the environment; can be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub set_env: Vec<(String, String)>,
    /// The command and its words; else a login shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// A variable whose name every shell takes for one (POSIX, XBD 3.216 Name).
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
