//! A [`Spec`] in, a running container out.
//!
//! The way of the data: a [`Spec`] says what the container is, [`plan`] turns
//! it into a list of [`Step`]s without touching the system, and
//! [`launch`](launch::launch) clones a child into fresh namespaces that
//! performs exactly that list and ends in the container's init.
//!
//! Knows namespaces, mounts, devices and cgroups; knows nothing of NixOS,
//! configuration files, the command line or network links.

pub mod accounts;
mod acl;
pub mod capabilities;
pub mod cgroup;
pub mod console;
pub mod cpus;
mod device_filter;
pub mod enter;
mod handshake;
mod host_step;
mod idmap;
pub mod launch;
pub mod limits;
mod mount;
pub mod notify;
pub mod owners;
mod perform;
pub mod personality;
mod plan;
pub mod process;
mod root;
pub mod rooted;
pub mod seccomp;
mod spec;
mod step;
mod stub_init;
mod user_namespace;

pub use host_step::HostStep;
pub use idmap::{DEFAULT_COUNT, IdMap};
pub use plan::{CONTAINER_MANAGER, Plan, USER_RECORDS, home_of_bound_user, plan};
pub use spec::{
    Bind, BoundUser, CgroupSetting, Content, Credential, Device, DeviceAccess, DeviceKind,
    Directory, Id128, Init, LocalTime, Mount, Network, Privileges, ResolvConf, Resources, Root,
    RootTree, Secret, Spec, Streams,
};
pub use step::{
    Attributes, Layer, Namespace, Origin, Owners, ProcessStep, Propagation, Step, Upper,
};
