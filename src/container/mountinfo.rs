//! Lines of `/proc/PID/mountinfo` (`man 5 proc_pid_mountinfo`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

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
    }
}
