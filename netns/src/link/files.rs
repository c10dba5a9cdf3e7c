//! Where what a container's moved interfaces need is kept while it runs.

use std::path::{Path, PathBuf};

use crate::ContainerName;

/// The two files in a container's own directory below the run directory.
pub struct Files {
    /// On which the container's network namespace is mounted.
    pub namespace: PathBuf,
    /// With the settings that the interfaces had.
    pub record: PathBuf,
}

impl Files {
    pub fn new(run_directory: &Path, container: &ContainerName) -> Self {
        let own = run_directory.join(container.as_str());
        Self {
            namespace: own.join("netns"),
            record: own.join("interfaces.json"),
        }
    }
}
