//! Notifications of a supervisor to the host's systemd (`man 3 sd_notify`). Without
//! `$NOTIFY_SOCKET` they do nothing.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::control::State;

/// How long systemd waits for the next notification of long work, at least the time of
/// the boot that follows (`TimeoutStartSec=`, at least the default of nixpkgs' unit).
const EXTENSION: Duration = Duration::from_secs(60);

/// Sends the state of the container.
pub fn send_state(state: State, status: Option<&str>) {
    let mut states = Vec::new();
    match state {
        State::Starting => {}
        State::Up => states.push(NotifyState::Ready),
        State::Stopping => states.push(NotifyState::Stopping),
    }
    let status = status.unwrap_or(match state {
        State::Starting => "starting",
        State::Up => "up",
        State::Stopping => "stopping",
    });
    states.push(NotifyState::Status(status));
    send(&states);
}

/// Sends what the start waits for, and that it may take this much longer than the unit's
/// `TimeoutStartSec=`.
pub fn send_waiting(status: &str, longer: Duration) {
    let extend = format!("EXTEND_TIMEOUT_USEC={}", longer.as_micros());
    send(&[NotifyState::Status(status), NotifyState::Custom(&extend)]);
}

/// Sends the reason of a failure, which `systemctl status` shows.
pub fn send_failure(why: &str) {
    send(&[NotifyState::Status(why)]);
}

/// Does long work of a start. Meanwhile, systemd shows `status`, and does not count the
/// time of the start.
pub fn during_long_work<T>(status: &str, work: impl FnOnce() -> T) -> T {
    let (end, ended) = mpsc::channel::<()>();
    let extend = move || {
        loop {
            send_waiting(status, EXTENSION);
            if ended.recv_timeout(EXTENSION / 2) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    };
    thread::scope(move |scope| {
        scope.spawn(extend);
        let result = work();
        drop(end);
        result
    })
}

fn send(states: &[NotifyState<'_>]) {
    // The container runs on if the manager does not receive them.
    let _ = sd_notify::notify(states);
}
