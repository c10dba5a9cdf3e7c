//! Nix on the host: systems, their profiles and their configurations.

pub mod build;
pub mod configuration;
pub mod options;
pub mod profile;
pub mod system;
