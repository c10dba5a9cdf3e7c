//! `EXTRA_NSPAWN_FLAGS`.

#![no_main]

mod command;

use command::{config, container};
use config::nspawn_flags;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let flags = nspawn_flags::parse(text);
    // How many blanks there are says nothing.
    let spread = text.replace([' ', '\t', '\n'], "\n  ");
    assert_eq!(nspawn_flags::parse(&spread), flags);
});
