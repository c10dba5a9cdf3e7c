//! What the container's child can do: one [`Step`] is one thing.
//!
//! Each kind of step has a file here, with the words and the manual page of its
//! steps, and one of the same name in `process/child/`, which performs them.

use derive_more::{Display, From};
use serde::Serialize;

mod file;
mod mount;
mod namespace;
mod process;
mod start;

pub use file::FileStep;
pub use mount::MountStep;
pub(crate) use mount::{INACCESSIBLE_DIRECTORY, INACCESSIBLE_FILE};
pub use namespace::Namespace;
pub use process::ProcessStep;
pub use start::StartStep;

/// One thing that the child does. Its words for people are behind "cannot" in an error.
#[derive(Debug, Clone, PartialEq, Display, From, Serialize)]
#[serde(untagged)]
pub enum Step {
    /// A change of the container's files.
    File(FileStep),
    /// A change of the mounts that the child sees.
    Mount(MountStep),
    /// A change of the child itself.
    Process(ProcessStep),
    /// A part of the start that other processes, or the container's users and
    /// terminals, have a share in.
    Start(StartStep),
}

impl Step {
    /// The page that describes the system call behind the step.
    pub fn manual(&self) -> &'static str {
        match self {
            Self::File(step) => step.manual(),
            Self::Mount(step) => step.manual(),
            Self::Process(step) => step.manual(),
            Self::Start(step) => step.manual(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::mount_attributes::{Attributes, Origin, Owners};

    #[test]
    fn a_step_is_one_flat_object_in_json() {
        let json = |step: Step| serde_json::to_string(&step).expect("serializable");
        let (path, mode) = ("/run".into(), 0o755);
        assert_eq!(
            json(Step::File(FileStep::Directory { path, mode })),
            r#"{"step":"directory","path":"/run","mode":493}"#
        );
        assert_eq!(
            json(Step::Mount(MountStep::PivotRoot)),
            r#"{"step":"pivot_root"}"#
        );
        assert_eq!(
            json(Step::Process(ProcessStep::ResetSignals)),
            r#"{"step":"reset_signals"}"#
        );
        assert_eq!(
            json(Step::Start(StartStep::AwaitSupervisor)),
            r#"{"step":"await_supervisor"}"#
        );
        let bind = MountStep::Bind {
            origin: Origin::RootDirectory,
            source: "/usr".into(),
            target: "/usr".into(),
            recursive: true,
            attributes: Attributes::READ_ONLY,
            owners: Owners::RootIsOwner,
            optional: false,
        };
        assert_eq!(
            json(Step::Mount(bind)),
            r#"{"step":"bind","origin":"root_directory","source":"/usr","target":"/usr","recursive":true,"attributes":{"read_only":true,"no_suid":false,"no_devices":false,"no_exec":false},"owners":"root_is_owner","optional":false}"#
        );
    }
}
