//! What the kernel offers beside file systems, a file for each interface.

pub mod capabilities;
pub mod cgroup;
pub mod cpus;
pub(crate) mod exec;
pub mod limits;
pub mod notify;
pub mod personality;
pub mod pidfd;
pub mod seccomp;
pub(crate) mod user_namespace;
