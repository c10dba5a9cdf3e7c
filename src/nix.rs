//! Nix on the host: building systems, their profiles, their configurations.

pub mod build;
pub mod configuration;
pub mod options;
pub mod profile;
pub mod system;
