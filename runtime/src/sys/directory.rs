//! Entries of open directories.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, FileType};
use rustix::io::Result;

/// The names in a directory, without `.` and `..`, and the kinds of their files; of
/// [`FileType::Unknown`] where the file system does not tell them (`man 3 readdir`).
pub(crate) fn entries(
    directory: impl AsFd,
) -> Result<impl Iterator<Item = Result<(OsString, FileType)>>> {
    let entries = Dir::read_from(directory)?.map(|entry| {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        Ok((name.to_owned(), entry.file_type()))
    });
    Ok(entries.filter(|entry| !matches!(entry, Ok((name, _)) if name == "." || name == "..")))
}
