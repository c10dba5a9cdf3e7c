//! A [`Spec`] in, a running container out.
//!
//! The way of the data: a [`Spec`] describes the container, [`plan()`] turns it into
//! a list of [`Step`]s without touching the system, and
//! [`spawn`](process::launch::spawn) clones a child into new namespaces that performs
//! exactly that list and becomes the container's init.
//!
//! The rooms, from the ground up; each imports only those above it in this list:
//!
//! - [`sys`]: the kernel's interfaces beside file systems;
//! - [`spec`]: the specification, plain data;
//! - [`mod@plan`]: from the specification to steps, pure;
//! - [`rootfs`]: paths inside a root, mounts, owners;
//! - [`process`]: the processes that perform steps or enter later.
//!
//! The crate knows namespaces, mounts, devices and cgroups. It knows nothing of NixOS,
//! configuration files, command lines and network links.

#![warn(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

pub mod plan;
pub mod process;
pub mod rootfs;
pub mod spec;
pub mod sys;

pub use plan::host_step::HostStep;
pub use plan::step::{FileStep, MountStep, Namespace, ProcessStep, StartStep, Step};
pub use plan::{
    CONTAINER_MANAGER, Plan, USER_RECORDS, has_device_node, home_of_bound_user, plan, plan_program,
};
pub use spec::idmap::{DEFAULT_COUNT, IdMap};
pub use spec::mount_attributes::{Attributes, Layer, Origin, Owners, Propagation, Upper};
pub use spec::{
    Bind, BoundUser, CgroupSetting, Content, Credential, Device, DeviceAccess, DeviceKind,
    Directory, Id128, Init, LocalTime, Mount, Network, Privileges, Program, ResolvConf, Resources,
    Root, RootTree, RunFile, Secret, Selection, Spec, Streams,
};
