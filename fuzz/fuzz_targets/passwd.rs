//! A line of a container's `/etc/passwd`.

#![no_main]

#[path = "../../runtime/src/passwd.rs"]
mod passwd;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    if let Some(root) = passwd::Account::parse_root(line) {
        assert!(root.name == "root" && !root.shell.as_os_str().is_empty());
        assert!(!root.home.as_os_str().as_encoded_bytes().contains(&b':'));
    }
});
