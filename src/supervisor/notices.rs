//! Notices: sentences about the host or the configuration for the administrator.

use std::fs::File;
use std::io::Write;

use super::clients::Clients;
use crate::control::{Connection, Event};

/// Sends notices to the command that starts the container, or prints them in the
/// foreground. The console's log gets those that could not be sent: no setting of
/// the host is changed silently.
pub fn tell(notices: Vec<String>, report: Option<&Connection>, mut log: Option<&mut File>) {
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

/// Sends notices to every client after the container's end, and writes them to the
/// console's log: the clients that listen may wait for something else.
pub fn tell_of_the_end(
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

/// As with the console's own lines, a full disk stops nothing.
fn write_note(log: Option<&mut File>, notice: &str) {
    if let Some(log) = log {
        let _ = writeln!(log, "nixos-container: {notice}");
    }
}
