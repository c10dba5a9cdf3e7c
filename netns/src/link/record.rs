//! The file with what the interfaces were that have moved into a container.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::files::Files;
use super::settings::Settings;
use crate::{Cause, ContainerName};

/// Writes the file whole or not at all.
pub fn write(path: &Path, interfaces: &[Settings]) -> Result<(), Cause> {
    let text = serde_json::to_vec(interfaces).map_err(io::Error::from)?;
    let unfinished = path.with_extension("json.new");
    let mut file = File::create(&unfinished)?;
    file.write_all(&text)?;
    file.sync_all()?;
    Ok(fs::rename(unfinished, path)?)
}

/// What the file says, if there is one.
pub fn read(path: &Path) -> Result<Option<Vec<Settings>>, Cause> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let interfaces = serde_json::from_slice(&text).map_err(io::Error::from)?;
    Ok(Some(interfaces))
}

/// The container that an interface has moved into, by the records of all.
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

/// Removes the file, unless there is none.
pub fn remove(path: &Path) -> Result<(), Cause> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
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
