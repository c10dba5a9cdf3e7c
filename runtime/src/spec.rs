//! The specification of a container: plain data, resolved, without defaults left
//! to guess.

use std::path::PathBuf;

use derive_more::Display;
use serde::Serialize;
use uuid::Uuid;

use crate::sys::cgroup_v1::LegacyCgroup;
use idmap::IdMap;

pub mod accounts;
mod bound_user;
mod credentials;
mod devices;
pub mod idmap;
pub mod mount_attributes;
mod mounts;
mod process;
mod program;
mod root;

pub use bound_user::BoundUser;
pub use credentials::{Credential, Secret};
pub(crate) use devices::DEFAULT_DEVICES;
pub use devices::{Device, DeviceAccess, DeviceKind};
pub use mounts::{Bind, Content, Mount, Selection};
pub use process::{CgroupSetting, Init, Privileges, Resources, Streams};
pub use program::Program;
pub use root::{Root, RootTree};

/// Everything that the runtime needs to start one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The container's `/`.
    pub root: Root,
    /// The ids of the container's user namespace; `None`: it has the host's users.
    pub ids: Option<IdMap>,
    /// The host's user that owns this user namespace: its processes may do everything
    /// inside, and the kernel charges it for what the container takes
    /// (`man 7 user_namespaces`; `kernel/ucount.c` of Linux).
    pub owner: u32,
    /// The supervisor's groups in hierarchies of cgroup version 1.
    pub legacy_cgroups: Vec<LegacyCgroup>,
    /// Directories that must exist below the root before init runs.
    pub directories: Vec<Directory>,
    /// Files that must exist below the root, made empty if they are missing.
    pub empty_files: Vec<PathBuf>,
    /// Files of `/run`, which is empty at each start.
    pub run_files: Vec<RunFile>,
    /// Mounts beside those of every Linux system, in this order.
    pub mounts: Vec<Mount>,
    /// The container's first process.
    pub init: Init,
    /// Host name, at most 64 bytes (`man 2 sethostname`).
    pub hostname: String,
    /// `$container_uuid` of init, from which systemd makes a missing
    /// `/etc/machine-id` (Container Interface).
    pub machine_id: Id128,
    /// Replaces the host's boot id, so that the container's journal tells its own
    /// boots apart.
    pub boot_id: Id128,
    /// The network that the container sees.
    pub network: Network,
    /// The privileges of init.
    pub privileges: Privileges,
    /// The resources of init.
    pub resources: Resources,
    /// Devices that can be used beside those of every container.
    pub devices: Vec<Device>,
    /// Secrets for init.
    pub credentials: Vec<Credential>,
    /// Users of the host with an account inside. They need a user namespace.
    pub bound_users: Vec<BoundUser>,
    /// Group that owns terminals inside.
    pub tty_gid: u32,
    /// The change to the container's `/etc/resolv.conf`.
    pub resolv_conf: ResolvConf,
    /// The change to the container's `/etc/localtime`.
    pub local_time: LocalTime,
    /// Host path of the datagram socket on which init reports its readiness.
    pub notify_socket: PathBuf,
}

/// A directory of the container's root, made if it is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Directory {
    /// Absolute path inside.
    pub path: PathBuf,
    /// Permission bits, set even where the directory exists.
    pub mode: u32,
}

/// A file below `/run` that every user inside can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFile {
    /// Absolute path inside.
    pub path: PathBuf,
    /// Its contents.
    pub contents: String,
}

/// The change that a start makes to the container's `/etc/resolv.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ResolvConf {
    /// Nothing.
    #[default]
    Leave,
    /// Puts a file with these contents in its place.
    Write(String),
    /// Removes the file or link.
    Remove,
}

/// The change that a start makes to the container's `/etc/localtime`
/// (`man 5 localtime`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LocalTime {
    /// Nothing.
    #[default]
    Leave,
    /// Copies this file of the host.
    Copy(PathBuf),
    /// Shows this file of the host while the container runs.
    Bind(PathBuf),
    /// Makes it a link to this path inside.
    Symlink(PathBuf),
    /// Removes it.
    Remove,
}

/// The network namespace of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The host's own.
    Host,
    /// A new one, which the supervisor sets up while the child waits.
    Private,
    /// One that exists, by the host path that holds it.
    Namespace(PathBuf),
}

/// The 128-bit id of a machine or a boot (`man 5 machine-id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Serialize)]
#[display("{}", _0.simple())]
#[serde(into = "String")]
pub struct Id128(Uuid);

impl Id128 {
    /// An id from random bytes, marked as a version 4 UUID (RFC 9562, section
    /// 5.4), as `man 5 machine-id` asks for.
    pub fn from_random_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Reads 32 hexadecimal digits, as in `/etc/machine-id`. All zeros are not an
    /// id.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let id = Uuid::try_parse(text).ok().map(Self)?;
        (id.to_string().eq_ignore_ascii_case(text) && !id.0.is_nil()).then_some(id)
    }

    /// The bytes in the order of the digits.
    pub fn bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The form with dashes, as `/proc/sys/kernel/random/boot_id` has it.
    pub fn hyphenated(self) -> String {
        self.0.to_string()
    }
}

impl From<Id128> for String {
    fn from(id: Id128) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_ids_are_read_as_systemd_writes_them() {
        let id = Id128::parse("0123456789abcdef0123456789abcdef\n").expect("valid");
        assert_eq!(id.to_string(), "0123456789abcdef0123456789abcdef");
        assert_eq!(id.hyphenated(), "01234567-89ab-cdef-0123-456789abcdef");
        for bad in [
            "",
            "uninitialized\n",
            "+123456789abcdef0123456789abcdef",
            "00000000000000000000000000000000",
            "0123456789abcdef0123456789abcdef0",
        ] {
            assert_eq!(Id128::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn random_ids_are_version_4() {
        let id = Id128::from_random_bytes([0xff; 16]);
        assert_eq!(id.hyphenated(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
