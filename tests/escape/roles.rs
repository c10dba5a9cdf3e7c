//! The parts that this program plays beside that of the tests: each needs a process
//! without threads, which that of the tests is not.

use std::env;
use std::path::Path;
use std::process::exit;

use crate::{attack, canary, inside, table, weakened};

/// Runs before `main`, which belongs to the harness of the tests and takes every
/// word for the name of a test.
#[ctor::ctor(unsafe)]
fn play() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // No name of a test begins so.
    let Some((&"--as", words)) = words.split_first() else {
        return;
    };
    let status = match words {
        ["canary", token] => canary::keep(token),
        ["attacker", names @ ..] => attack::attack(names),
        ["watcher"] => inside::watch(),
        ["weakened", root, names @ ..] => weakened::start(Path::new(root), names),
        ["table"] => table::print(),
        _ => {
            eprintln!("there is no such part: {words:?}");
            2
        }
    };
    exit(status);
}
