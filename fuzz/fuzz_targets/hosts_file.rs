//! The host's `/etc/hosts`.

#![no_main]

mod command;

use command::{config, container, spec};
use container::name::ContainerName;
use libfuzzer_sys::fuzz_target;
use spec::network::hosts_file::{self, Entry};

fuzz_target!(|text: &[u8]| {
    let container: ContainerName = "foo".parse().expect("valid");
    let entries = [Entry::new(&container, [10, 233, 1, 2].into())];
    let add = |text: &[u8]| hosts_file::with(text, &container, &entries, "machine").0;
    let before = hosts_file::without(text, &container);
    let added = add(text);
    assert_eq!(hosts_file::without(&added, &container), before);
    assert_eq!(add(&added), added);
});
