//! The parts that this program plays beside that of the tests: each needs a process
//! without threads, which that of the tests is not.

use std::env;
use std::path::Path;
use std::process::exit;

use crate::{attack, canary, inside, weakened};

/// Runs before `main`, which belongs to the harness of the tests and takes every
/// word for the name of a test.
#[ctor::ctor(unsafe)]
fn play() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let status = match words[..] {
        ["canary", token] => canary::keep(token),
        ["attack", ref names @ ..] => attack::attack(names),
        ["watch"] => inside::watch(),
        ["weakened", root, ref names @ ..] => weakened::start(Path::new(root), names),
        _ => return,
    };
    exit(status);
}
