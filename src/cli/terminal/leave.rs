//! How a person leaves a terminal inside, whatever runs there.

use std::time::{Duration, Instant};

/// The key `^]`, as `machinectl login` has it.
const KEY: u8 = 0x1d;

/// How often it is pressed.
const PRESSES: usize = 3;

/// In what time.
const WITHIN: Duration = Duration::from_secs(1);

/// What a person has to know.
pub const HINT: &str = "press ^] three times within 1 s to leave";

/// Keys that may be on the way to the last press.
#[derive(Debug, Default)]
pub struct Leave(Vec<Instant>);

impl Leave {
    /// Whether these keys, typed now, are the last that it takes.
    pub fn typed(&mut self, keys: &[u8], now: Instant) -> bool {
        for key in keys {
            if *key != KEY {
                self.0.clear();
                continue;
            }
            self.0.retain(|press| now.duration_since(*press) < WITHIN);
            self.0.push(now);
            if self.0.len() == PRESSES {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types keys at these milliseconds; whether the last was the one.
    fn leaves(typed: &[(u64, &[u8])]) -> bool {
        let start = Instant::now();
        let mut leave = Leave::default();
        let answers = typed
            .iter()
            .map(|(at, keys)| leave.typed(keys, start + Duration::from_millis(*at)));
        let answers: Vec<_> = answers.collect();
        let (last, before) = answers.split_last().expect("something is typed");
        assert!(!before.contains(&true), "{answers:?}");
        *last
    }

    #[test]
    fn three_presses_in_a_second_leave() {
        assert!(leaves(&[(0, b"\x1d\x1d\x1d")]));
        assert!(leaves(&[(0, b"ls\r\x1d"), (500, b"\x1d"), (999, b"\x1d")]));
        assert!(leaves(&[
            (0, b"\x1d"),
            (900, b"\x1d"),
            (1100, b"\x1d"),
            (1200, b"\x1d")
        ]));
    }

    #[test]
    fn fewer_slower_or_others_do_not() {
        assert!(!leaves(&[(0, b"\x1d\x1d")]));
        assert!(!leaves(&[(0, b"\x1d"), (500, b"\x1d"), (1000, b"\x1d")]));
        assert!(!leaves(&[(0, b"\x1d\x1dx\x1d")]));
        assert!(!leaves(&[(0, b"]]]")]));
    }
}
