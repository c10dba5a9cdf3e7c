//! Lines of `/proc/PID/mountinfo` (`man 5 proc_pid_mountinfo`).

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

/// The mount point of a line, with its octal escapes decoded.
pub fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut path = Vec::new();
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| byte == b'\\');
        let escaped = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        path.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() {
            &after[3..]
        } else {
            after
        };
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// The type of a line's file system.
fn file_system(line: &[u8]) -> Option<String> {
    // After a varying number of optional fields and a dash.
    let mut fields = line.split(|byte| *byte == b' ').skip_while(|f| *f != b"-");
    fields
        .nth(1)
        .map(|name| String::from_utf8_lossy(name).into_owned())
}

/// The type of the file system that a path is on, for messages.
pub fn file_system_of(path: &Path) -> String {
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let name = mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| Some((mount_point(line)?, line)))
        .filter(|(point, _)| path.starts_with(point))
        // The last of several mounts at one place is on top.
        .max_by_key(|(point, _)| point.as_os_str().len())
        .and_then(|(_, line)| file_system(line));
    name.unwrap_or_else(|| "its file system".to_owned())
}

/// Whether setuid files and file capabilities have an effect in the mount that a path is
/// in and that can be written; if `recursive`, also in those below it.
pub fn may_give_privileges(path: &Path, recursive: bool) -> io::Result<bool> {
    let flags = rustix::fs::statvfs(path)?.f_flag;
    if !flags.intersects(harmless()) {
        return Ok(true);
    }
    let path = std::fs::canonicalize(path)?;
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    let is_below = |line: &[u8]| {
        mount_point(line).is_some_and(|point| point != path && point.starts_with(&path))
    };
    let mut lines = mounts.split(|byte| *byte == b'\n');
    Ok(recursive && lines.any(|line| is_below(line) && !is_harmless(line)))
}

/// The attributes with which a file that is made in a mount gives no privileges.
fn harmless() -> StatVfsMountFlags {
    StatVfsMountFlags::NOSUID | StatVfsMountFlags::NOEXEC | StatVfsMountFlags::RDONLY
}

/// Whether a line has one of these attributes.
fn is_harmless(line: &[u8]) -> bool {
    let attributes = line.split(|byte| *byte == b' ').nth(5).unwrap_or_default();
    let mut attributes = attributes.split(|byte| *byte == b',');
    attributes.any(|name| matches!(name, b"nosuid" | b"noexec" | b"ro"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_point_is_unescaped() {
        let line =
            br"36 35 98:0 /mnt1 /var/lib/a\040b\134c rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/var/lib/a b\c")));
        assert_eq!(mount_point(b""), None);
        assert_eq!(file_system(line).as_deref(), Some("ext3"));
        assert_eq!(file_system(b"1 2 3"), None);
        assert!(!is_harmless(line) && !is_harmless(b""));
        assert!(is_harmless(
            br"36 35 98:0 / /mnt rw,nosuid,relatime - ext3 /dev/root rw"
        ));
    }
}
