//! What a supervisor tells the host's systemd (`man 3 sd_notify`).

use sd_notify::NotifyState;

use crate::control::State;

/// Tells the host's systemd how far the container has come; nothing where
/// there is none (`man 3 sd_notify`).
pub fn tell_state(state: State, status: Option<&str>) {
    let mut words = Vec::new();
    match state {
        State::Starting => {}
        State::Up => words.push(NotifyState::Ready),
        State::Stopping => words.push(NotifyState::Stopping),
    }
    let status = status.unwrap_or(match state {
        State::Starting => "starting",
        State::Up => "up",
        State::Stopping => "stopping",
    });
    words.push(NotifyState::Status(status));
    tell(&words);
}

/// Tells the host's systemd why the container cannot go on, for `systemctl
/// status` to show.
pub fn tell_failure(why: &str) {
    tell(&[NotifyState::Status(why)]);
}

fn tell(words: &[NotifyState<'_>]) {
    // Who does not listen has no use for it.
    let _ = sd_notify::notify(words);
}
