//! The host's systemd: units of containers, machined, notifications.

pub mod generator;
pub mod machined;
pub mod manager;
pub mod notify;
