//! Nix on the host: systems, their profiles and their configurations.

pub mod build;
pub mod configuration;
pub mod install;
mod merge;
pub mod options;
pub mod profile;
mod results;
mod roots;
mod sandbox;
pub mod shared;
mod store_path;
pub mod system;
pub mod trust;
