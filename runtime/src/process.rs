//! The processes of a container: those of its start, and those that enter it later.

pub(crate) mod child;
mod device_filter;
pub mod enter;
mod handshake;
mod host;
pub mod launch;
pub mod pty;
pub mod sealed;
mod stub_init;
mod user_namespace;
