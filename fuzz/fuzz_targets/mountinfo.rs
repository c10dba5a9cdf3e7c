//! A line of `/proc/self/mountinfo`.

#![no_main]

mod command;

use std::os::unix::ffi::OsStrExt;

use command::{config, container};
use container::mountinfo;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &[u8]| {
    let _ = mountinfo::mount_point(path);
    // As the kernel writes a path: `mangle` in its fs/seq_file.c.
    let mut line = b"36 35 98:0 / ".to_vec();
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => line.extend(format!("\\{byte:03o}").bytes()),
            byte => line.push(*byte),
        }
    }
    line.extend(b" rw - ext4 /dev/root rw");
    let read = mountinfo::mount_point(&line).expect("a mount point");
    assert_eq!(read.as_os_str().as_bytes(), path);
});
