//! What an interface of the host was before it moved into a container, as a
//! file.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{Cause, ContainerName, files::Files};

/// An interface with all that a move takes from it and that a container can
/// change.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Its name on the host.
    pub name: String,
    /// Its index, which it keeps in the container.
    pub index: u32,
    /// What kind of virtual link it is; none for a physical one.
    pub kind: Option<String>,
    /// Whether it was up.
    pub up: bool,
    /// Its MTU, in bytes.
    pub mtu: Option<u32>,
    /// Its hardware address.
    pub hardware_address: Option<Vec<u8>>,
    /// Its alternative names.
    pub altnames: Vec<String>,
    /// The name of the bridge, bond or the like that it was a port of.
    pub master: Option<String>,
    /// Its addresses (`RTM_NEWADDR` in rtnetlink(7)).
    pub addresses: Vec<Message>,
    /// The routes that lead through it (`RTM_NEWROUTE`).
    pub routes: Vec<Message>,
    /// Values by file below `/proc/sys`.
    pub sysctls: BTreeMap<String, String>,
}

/// What the kernel said of an address or route, to be said to it in turn: so
/// nothing of it is lost.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What it is, for people.
    pub words: String,
    /// The message without its header, as this machine's kernel lays it out.
    pub bytes: Vec<u8>,
}

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
            let _ = serde_json::from_str::<Vec<super::Settings>>(&text);
        }
    }
}
