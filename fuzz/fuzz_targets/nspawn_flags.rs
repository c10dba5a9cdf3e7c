//! `EXTRA_NSPAWN_FLAGS`.

#![no_main]

mod command;

use command::{config, container};
use config::{ContainerConfig, FlagError, nspawn_flags};
use libfuzzer_sys::fuzz_target;

fn parse(text: &str) -> Result<ContainerConfig, FlagError> {
    let mut config = ContainerConfig::default();
    nspawn_flags::apply(&mut config, nspawn_flags::words(text)).map(|()| config)
}

fuzz_target!(|text: &str| {
    // The number of blanks between words does not matter.
    let spread = text.replace([' ', '\t', '\n'], "\n  ");
    assert_eq!(parse(&spread), parse(text));
});
