//! The keys that leave a terminal in a container, whatever program runs there.

use std::time::{Duration, Instant};

/// The key `^]`, as for `machinectl login`.
const KEY: u8 = 0x1d;

/// Number of presses.
const PRESSES: usize = 3;

/// Longest time from the first press to the last.
const WITHIN: Duration = Duration::from_secs(1);

/// The instruction for the user.
pub const HINT: &str = "press ^] three times within 1 s to leave";

/// Counts presses of the key: the times of those that still matter.
#[derive(Debug, Default)]
pub struct EscapeKeys(Vec<Instant>);

impl EscapeKeys {
    /// Whether these keys, typed at this time, complete the presses.
    pub fn complete(&mut self, keys: &[u8], now: Instant) -> bool {
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

    /// Types keys at these times in milliseconds; whether the last ones leave.
    fn leaves(typed: &[(u64, &[u8])]) -> bool {
        let start = Instant::now();
        let mut escape_keys = EscapeKeys::default();
        let answers = typed
            .iter()
            .map(|(at, keys)| escape_keys.complete(keys, start + Duration::from_millis(*at)));
        let answers: Vec<_> = answers.collect();
        let (last, before) = answers.split_last().expect("keys were typed");
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
