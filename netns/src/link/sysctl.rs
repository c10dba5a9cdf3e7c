//! Settings of links below `/proc/sys`, which shows those of the calling thread's
//! network namespace.

use std::path::Path;
use std::{fs, io};

use crate::Cause;

const ROOT: &str = "/proc/sys";

/// The names of the settings in a directory below `/proc/sys`; none if there is
/// no such directory, as without IPv6.
pub fn list(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join(directory));
    let names = entries.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// `None` for what cannot be read, such as a secret that is not set.
pub fn read(file: &str) -> Option<String> {
    fs::read_to_string(Path::new(ROOT).join(file)).ok()
}

pub fn write(file: &str, value: &str) -> Result<(), Cause> {
    Ok(fs::write(Path::new(ROOT).join(file), value)?)
}

/// Keeps whoever is on a link from becoming the host's router (`accept_ra` in
/// Documentation/networking/ip-sysctl.rst of the kernel).
pub fn refuse_advertisements(link: &str) -> Result<(), Cause> {
    match write(&format!("net/ipv6/conf/{link}/accept_ra"), "0") {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => answer,
    }
}
