//! Notices: sentences about the host or the configuration for the administrator.

use std::fs::File;
use std::io::Write;

use super::clients::Clients;
use crate::control::{Connection, Event};

/// Sends notices to the command that starts the container, or prints them in the
/// foreground. A notice that cannot be sent goes to the console's log, so that no
/// setting of the host is changed silently.
pub fn send(notices: Vec<String>, report: Option<&Connection>, mut log: Option<&mut File>) {
    for notice in notices {
        log::warn!("{notice}");
        let Some(report) = report else {
            say!("note: {notice}");
            continue;
        };
        let event = Event::Notice(notice.clone());
        if report.send_event(&event, &[]).is_err() {
            write_note(log.as_deref_mut(), &notice);
        }
    }
}

/// Sends notices about the container's end to all clients, and writes them to the
/// console's log, in case no client prints them.
pub fn send_to_all(
    notices: Vec<String>,
    report: Option<&Connection>,
    clients: &mut Clients,
    mut log: Option<&mut File>,
) {
    for notice in notices {
        log::warn!("{notice}");
        write_note(log.as_deref_mut(), &notice);
        if report.is_none() {
            say!("note: {notice}");
        }
        let event = Event::Notice(notice);
        if let Some(report) = report {
            let _ = report.send_event(&event, &[]);
        }
        clients.announce(&event, &[]);
    }
}

/// Writes a notice to the console's log. An error, as of a full disk, is ignored, as it
/// is for the console's own lines.
fn write_note(log: Option<&mut File>, notice: &str) {
    if let Some(log) = log {
        let _ = writeln!(log, "nixos-container: {notice}");
    }
}
