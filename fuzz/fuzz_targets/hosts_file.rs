//! The host's `/etc/hosts`.

#![no_main]

#[path = "../../src/hosts_file.rs"]
#[allow(dead_code, reason = "the file itself is left alone")]
mod hosts_file;
#[path = "../../src/lock.rs"]
#[allow(dead_code, reason = "the file itself is left alone")]
mod lock;
#[path = "../../src/name.rs"]
#[allow(dead_code, reason = "the target calls some of it")]
mod name;

use hosts_file::Entry;
use libfuzzer_sys::fuzz_target;
use name::ContainerName;

fuzz_target!(|text: &[u8]| {
    let container: ContainerName = "foo".parse().expect("valid");
    let entries = [Entry::new(&container, [10, 233, 1, 2].into())];
    let add = |text: &[u8]| hosts_file::with(text, &container, &entries, "machine").0;
    let before = hosts_file::without(text, &container);
    let added = add(text);
    assert_eq!(hosts_file::without(&added, &container), before);
    assert_eq!(add(&added), added);
});
