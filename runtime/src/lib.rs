//! A [`Spec`] in, a running container out.
//!
//! The way of the data: a [`Spec`] says what the container is, [`plan`] turns
//! it into a list of [`Step`]s without touching the system, and
//! [`launch`](launch::launch) clones a child into fresh namespaces that
//! performs exactly that list and ends in the container's init.
//!
//! Knows namespaces, mounts, devices and cgroups; knows nothing of NixOS,
//! configuration files, the command line or network links.

pub mod capabilities;
pub mod cgroup;
pub mod console;
mod device_filter;
pub mod enter;
mod handshake;
pub mod launch;
mod mount;
pub mod notify;
mod passwd;
mod perform;
mod plan;
pub mod process;
pub mod rooted;
pub mod seccomp;
mod spec;
mod step;

pub use plan::{CONTAINER_MANAGER, Plan, plan};
pub use spec::{Bind, Content, Directory, Id128, Init, Mount, Network, ResolvConf, Spec};
pub use step::{Attributes, Namespace, Origin, Propagation, Step};
