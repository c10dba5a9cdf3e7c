//! Files that the child makes in the container. Paths inside are resolved in the
//! container's root, whatever links lead out of it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::spec::Secret;

/// One change of the container's files.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum FileStep {
    /// Makes a directory if it is missing.
    Directory {
        /// Path inside.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// Makes an empty file if nothing has the path.
    EmptyFile {
        /// Path inside.
        path: PathBuf,
    },
    /// Puts a regular file in the place of any file at the path.
    File {
        /// Path inside.
        path: PathBuf,
        /// The text of the file.
        contents: String,
        /// Permission bits.
        mode: u32,
    },
    /// Removes a file or link, if there is one.
    RemoveFile {
        /// Path inside.
        path: PathBuf,
    },
    /// Puts a copy of a file of the host in the place of any file at the path.
    CopyFile {
        /// Path on the host.
        source: PathBuf,
        /// Path inside.
        path: PathBuf,
    },
    /// Puts a file that only root inside can read in the place of any file at the
    /// path.
    Credential {
        /// Path inside.
        path: PathBuf,
        /// The bytes of the file.
        contents: Secret,
    },
    /// Makes a symbolic link where nothing is.
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
            Self::Symlink { .. } => "symlink(2)",
        }
    }
}

impl fmt::Display for FileStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, mode } => {
                write!(f, "make directory {} ({mode:04o})", path.display())
            }
            Self::EmptyFile { path } => write!(f, "make empty file {} if missing", path.display()),
            Self::File { path, mode, .. } => {
                write!(f, "write file {} ({mode:04o})", path.display())
            }
            Self::RemoveFile { path } => write!(f, "remove file {}", path.display()),
            Self::CopyFile { source, path } => {
                let (source, path) = (source.display(), path.display());
                write!(f, "copy the host's {source} to {path}")
            }
            Self::Credential { path, contents } => {
                write!(f, "write {contents} to {}", path.display())
            }
            Self::Symlink { path, target } => {
                let (path, target) = (path.display(), target.display());
                write!(f, "make symbolic link {path} to {target}")
            }
        }
    }
}
