//! The words of commands that change nothing.

use clap::Args;

use crate::name::ContainerName;

#[derive(Debug, Args)]
pub struct Logs {
    /// The container
    pub name: ContainerName,
    /// Go on while it runs
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The container
    pub name: ContainerName,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
