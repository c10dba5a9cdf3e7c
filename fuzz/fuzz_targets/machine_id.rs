//! A container's `/etc/machine-id`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::Id128;

fuzz_target!(|text: &str| {
    if let Some(id) = Id128::parse(text) {
        assert_eq!(Id128::parse(&id.to_string()), Some(id));
    }
});
