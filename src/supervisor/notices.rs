//! What a supervisor has to say of the host.

use std::fs::File;
use std::io::Write;

use super::clients::Clients;
use crate::control::{Connection, Event};

/// Nothing that holds for the whole host is changed silently: whoever starts
/// the container is told, or else its log.
pub fn tell(notices: Vec<String>, report: Option<&Connection>, log: &mut File) {
    for notice in notices {
        let Some(report) = report else {
            say!("note: {notice}");
            continue;
        };
        let event = Event::Notice(notice.clone());
        if report.send_event(&event, &[]).is_err() {
            write_note(log, &notice);
        }
    }
}

/// What is not as it was before the container came. Whoever listens, if anybody
/// does, may be interested in something else, so the log has it in any case.
pub fn tell_of_the_end(
    notices: Vec<String>,
    report: Option<&Connection>,
    clients: &mut Clients,
    log: &mut File,
) {
    for notice in notices {
        write_note(log, &notice);
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

/// As with the console's own lines, a full disk stops nobody.
fn write_note(log: &mut File, notice: &str) {
    let _ = writeln!(log, "nixos-container: {notice}");
}
