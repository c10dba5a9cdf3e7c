//! Times in the format of commands' output.

use std::mem::MaybeUninit;

/// A time in the local time zone, from seconds since 1970:
/// `2026-11-22 00:54:50`.
pub fn local(seconds: i64) -> String {
    let time = broken_down(seconds);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        i64::from(time.tm_year) + 1900,
        time.tm_mon + 1,
        time.tm_mday,
        time.tm_hour,
        time.tm_min,
        time.tm_sec
    )
}

/// The fields of a time; those of 1970 if its year does not fit.
fn broken_down(seconds: i64) -> libc::tm {
    let mut parts = MaybeUninit::zeroed();
    // SAFETY: both pointers are valid for the call. A zeroed `tm` is valid, too:
    // it has numbers, and a pointer that may be null.
    unsafe {
        if libc::localtime_r(&seconds, parts.as_mut_ptr()).is_null() {
            libc::localtime_r(&0, parts.as_mut_ptr());
        }
        parts.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_the_same_length() {
        let length = "2026-11-22 00:54:50".len();
        assert_eq!(local(0).len(), length);
        assert_eq!(local(i64::MAX).len(), length);
        // The day depends on the time zone.
        let local = local(1_795_308_890);
        assert!(local.starts_with("2026-11-2"), "{local}");
    }
}
