//! A [`Spec`] in, a running container out.
//!
//! The way of the data: a [`Spec`] says what the container is, [`plan`] turns
//! it into a list of [`Step`]s without touching the system, and
//! [`launch`](process::launch::launch) clones a child into fresh namespaces that
//! performs exactly that list and ends in the container's init.
//!
//! Knows namespaces, mounts, devices and cgroups; knows nothing of NixOS,
//! configuration files, the command line or network links.

pub mod plan;
pub mod process;
pub mod rootfs;
pub mod spec;
pub mod sys;

pub use plan::host_step::HostStep;
pub use plan::step::{FileStep, MountStep, Namespace, ProcessStep, StartStep, Step};
pub use plan::{CONTAINER_MANAGER, Plan, USER_RECORDS, home_of_bound_user, plan};
pub use spec::idmap::{DEFAULT_COUNT, IdMap};
pub use spec::mount_attributes::{Attributes, Layer, Origin, Owners, Propagation, Upper};
pub use spec::{
    Bind, BoundUser, CgroupSetting, Content, Credential, Device, DeviceAccess, DeviceKind,
    Directory, Id128, Init, LocalTime, Mount, Network, Privileges, ResolvConf, Resources, Root,
    RootTree, Secret, Spec, Streams,
};
