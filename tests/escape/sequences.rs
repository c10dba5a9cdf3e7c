//! Escape sequences in text of a container that a command shows: they could make the
//! terminal type for its user (`man 4 console_codes`).

use crate::common::Host;
use crate::common::talk::{Talk, at_terminal};

/// Sets the title, asks for a report, clears; also with characters of eight bits.
const SEQUENCES: &str = r"\033]0;title\007\033[6n\033[2J\033P1$r\033\\\302\233c\b";

/// A container whose root has a login shell with such a name, or one that says such
/// things.
fn host_with_shell(shell: &str) -> Host {
    let host = Host::new();
    host.create("foo");
    host.append_conf("foo", "PRIVATE_USERS=pick");
    host.run(&["start", "foo"]);
    host.inside(
        "foo",
        &format!(
            "printf '#!/bin/sh\\nprintf \"{}\" >&2; exit 1\\n' >/says
             chmod +x /says
             shell=$(printf '{shell}')
             sed -i \"s|^\\(root:.*\\):[^:]*$|\\1:$shell|\" /etc/passwd",
            SEQUENCES.replace('\\', "\\\\\\\\")
        ),
    );
    host
}

fn assert_printable(text: &str) {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    assert!(!text.contains(steers), "{text:?}");
}

#[test]
fn a_name_inside_cannot_steer_the_terminal_that_an_error_is_shown_on() {
    let host = host_with_shell(&format!("/no{SEQUENCES}shell"));
    let stderr = host.fail(1, &["run", "foo", "--", "true"]);
    assert!(stderr.contains("execute the login shell /no"), "{stderr:?}");
    assert!(stderr.contains("shell: No such file"), "{stderr:?}");
    assert_printable(&stderr);
    let stderr = host.fail(1, &["--debug", "run", "foo", "--", "true"]);
    assert_printable(&stderr);
}

#[test]
fn programs_inside_cannot_steer_the_terminal_that_login_fails_on() {
    let host = host_with_shell("/says");
    let login = format!("{} login foo", env!("CARGO_BIN_EXE_nixos-container"));
    let talk = Talk::begin(&at_terminal(&host, &login));
    let (code, lines) = talk.end();
    let said = lines.join("\n");
    assert_eq!(code, Some(1), "{said:?}");
    assert!(said.contains("failed inside: "), "{said:?}");
    assert_printable(&said);
}

#[test]
fn the_console_of_a_supervisor_cannot_steer_its_terminal() {
    let host = Host::new();
    let script = format!("printf '{SEQUENCES}words\\n'");
    let system = host.system_with_init(&script);
    host.create_of("foo", &system);
    let supervise = format!("{} supervise foo", env!("CARGO_BIN_EXE_nixos-container"));
    let (_, lines) = Talk::begin(&at_terminal(&host, &supervise)).end();
    let said = lines.join("\n");
    assert!(said.contains("words"), "{said:?}");
    assert_printable(&said);
}

#[test]
fn an_activation_cannot_steer_the_terminal_of_a_reload() {
    let host = Host::new();
    host.create("foo");
    host.run(&["start", "foo"]);
    // It says something before the program that activates is executed.
    host.inside(
        "foo",
        &format!(
            "printf '#!/bin/sh\\nprintf \"words{}\"; exec /bin/sh \"$@\"\\n' >/says
             chmod +x /says
             sed -i 's|^\\(root:.*\\):[^:]*$|\\1:/says|' /etc/passwd",
            SEQUENCES.replace('\\', "\\\\\\\\")
        ),
    );
    let reload = format!("{} reload foo", env!("CARGO_BIN_EXE_nixos-container"));
    let (_, lines) = Talk::begin(&at_terminal(&host, &reload)).end();
    let said = lines.join("\n");
    assert!(said.contains("words"), "{said:?}");
    assert_printable(&said);
}
