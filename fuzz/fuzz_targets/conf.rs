//! `NAME.conf`.

#![no_main]

mod command;

use std::path::Path;

use command::{config, container};
use libfuzzer_sys::fuzz_target;

use config::ContainerConfig;

fuzz_target!(|text: &str| {
    let path = Path::new("foo.conf");
    if let Ok(config) = ContainerConfig::parse(path, text) {
        // What is written says the same as what was read.
        let written = config.to_text();
        let again = ContainerConfig::parse(path, &written).map(|config| config.to_text());
        assert_eq!(again.as_ref(), Ok(&written));
    }
});
