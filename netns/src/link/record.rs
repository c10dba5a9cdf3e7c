//! What it takes to give interfaces back that have moved into a container: two
//! files in the container's directory below the run directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::settings::Settings;
use crate::{Cause, ContainerName, files};

/// The paths of the two files.
pub struct Files {
    /// The container's network namespace is mounted on this file.
    pub namespace: PathBuf,
    /// The settings that the interfaces had on the host.
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

/// Writes a record.
pub fn write(path: &Path, interfaces: &[Settings]) -> Result<(), Cause> {
    let text = serde_json::to_vec(interfaces).map_err(io::Error::from)?;
    Ok(files::replace(path, &text)?)
}

/// Reads a record; `None` if it is missing.
pub fn read(path: &Path) -> Result<Option<Vec<Settings>>, Cause> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let interfaces = serde_json::from_slice(&text).map_err(io::Error::from)?;
    Ok(Some(interfaces))
}

/// The container whose record says that an interface has moved into it.
pub fn holder(run_directory: &Path, interface: &str) -> Option<String> {
    let entries = fs::read_dir(run_directory).into_iter().flatten().flatten();
    let mut containers =
        entries.filter_map(|entry| ContainerName::new(entry.file_name().to_str()?).ok());
    let holder = containers.find(|container| {
        let record = read(&Files::new(run_directory, container).record);
        let moved = record.ok().flatten().unwrap_or_default();
        moved.iter().any(|moved| moved.name == interface)
    })?;
    Some(holder.as_str().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = serde_json::from_str::<Vec<crate::link::settings::Settings>>(&text);
        }
    }
}
