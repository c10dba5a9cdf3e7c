//! Waits for what happens without an event that reaches a test.

use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// Waits until this holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until there are exactly these lines.
pub fn until_lines(what: &str, expected: &[String], lines: impl Fn() -> Vec<String>) {
    let start = Instant::now();
    loop {
        let found = lines();
        if found == expected {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{what}: too much: {:#?}\ntoo little: {:#?}",
            without(&found, expected),
            without(expected, &found)
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn without<'a>(lines: &'a [String], others: &[String]) -> Vec<&'a String> {
    let lines = lines.iter();
    lines.filter(|line| !others.contains(line)).collect()
}
