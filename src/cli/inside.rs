//! The words of commands that run something in a container.

use std::ffi::OsString;

use clap::Args;

use crate::name::ContainerName;

#[derive(Debug, Args)]
pub struct Run {
    /// The container
    pub name: ContainerName,
    /// The command and its words
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
