//! Notifications of a supervisor to the host's systemd (`man 3 sd_notify`). Without
//! `$NOTIFY_SOCKET` they do nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::control::State;

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

fn send(states: &[NotifyState<'_>]) {
    // The container runs on if the manager does not receive them.
    let _ = sd_notify::notify(states);
}
