#![no_main]

mod command;

use command::*;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::resolv_conf(input));
