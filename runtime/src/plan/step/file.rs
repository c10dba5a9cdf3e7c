//! Files that the child makes in the container. Paths inside are resolved in the
//! container's root, whatever links lead out of it.

use std::path::PathBuf;

use derive_more::Display;
use serde::Serialize;

use crate::spec::Secret;

/// One change of the container's files.
#[derive(Debug, Clone, PartialEq, Display, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum FileStep {
    /// Makes a directory if it is missing.
    #[display("make directory {} ({mode:04o})", path.display())]
    Directory {
        /// Path inside.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// Makes an empty file if nothing has the path.
    #[display("make empty file {} if missing", path.display())]
    EmptyFile {
        /// Path inside.
        path: PathBuf,
    },
    /// Puts a regular file in the place of any file at the path.
    #[display("write file {} ({mode:04o})", path.display())]
    File {
        /// Path inside.
        path: PathBuf,
        /// The text of the file.
        contents: String,
        /// Permission bits.
        mode: u32,
    },
    /// Removes a file or link, if there is one.
    #[display("remove file {}", path.display())]
    RemoveFile {
        /// Path inside.
        path: PathBuf,
    },
    /// Puts a copy of a file of the host in the place of any file at the path.
    #[display("copy the host's {} to {}", source.display(), path.display())]
    CopyFile {
        /// Path on the host.
        source: PathBuf,
        /// Path inside.
        path: PathBuf,
    },
    /// Puts a file that only root inside can read in the place of any file at the
    /// path.
    #[display("write {contents} to {}", path.display())]
    Credential {
        /// Path inside.
        path: PathBuf,
        /// The bytes of the file.
        contents: Secret,
    },
    /// Makes a character device that any user may open, where the host has one at
    /// the path. The host's own is bound, read-only, where none can be made.
    #[display("make device {} ({major}:{minor})", path.display())]
    Device {
        /// Path inside, and on the host.
        path: PathBuf,
        /// Number of the driver.
        major: u32,
        /// Number of the device.
        minor: u32,
    },
    /// Makes a symbolic link where nothing is.
    #[display("make symbolic link {} to {}", path.display(), target.display())]
    Symlink {
        /// Path inside.
        path: PathBuf,
        /// The path that the link holds.
        target: PathBuf,
    },
}

impl FileStep {
    pub(super) fn manual(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "mkdir(2)",
            Self::EmptyFile { .. } => "open(2)",
            Self::File { .. } | Self::CopyFile { .. } | Self::Credential { .. } => "rename(2)",
            Self::RemoveFile { .. } => "unlink(2)",
            Self::Device { .. } => "mknod(2)",
            Self::Symlink { .. } => "symlink(2)",
        }
    }
}
