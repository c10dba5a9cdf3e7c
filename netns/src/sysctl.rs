//! Files below `/proc/sys/net`, which show the settings of the calling thread's
//! network namespace. All paths are relative to `/proc/sys`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Cause;

const ROOT: &str = "/proc/sys";

/// The absolute path of a setting.
pub fn absolute(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

/// The names in a directory; none if the directory is missing, as without IPv6.
pub fn list(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(absolute(directory));
    let names = entries.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The value of a setting without the newline at its end; `None` if it cannot be
/// read: its link or address family is missing, or it is a secret that is not
/// set.
pub fn read(path: &str) -> Option<String> {
    let value = fs::read_to_string(absolute(path)).ok()?;
    Some(value.trim_end().to_owned())
}

/// Sets a setting, which has to exist.
pub fn write(path: &str, value: &str) -> io::Result<()> {
    let mut file = File::options().write(true).open(absolute(path))?;
    file.write_all(value.as_bytes())
}

/// Has the host ignore router advertisements from a link, so that what is at the
/// link's other end cannot become the host's router (`accept_ra` in
/// Documentation/networking/ip-sysctl.rst of the kernel).
pub fn refuse_advertisements(link: &str) -> Result<(), Cause> {
    match write(&format!("net/ipv6/conf/{link}/accept_ra"), "0") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
