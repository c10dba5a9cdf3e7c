//! `likeliest_mistakes.md`, word by word.

mod common;

use std::fmt::Write;
use std::path::PathBuf;

use common::{Host, minimal_system};

/// The command under test where every user of the host can reach it.
const PROGRAMS: &str = "/run/throwaway/bin";

/// An ordinary user of the host.
const AS_USER: &str = "setpriv --reuid=54321 --regid=54321 --clear-groups";

/// The host that the document tells of.
fn host() -> Host {
    let host = Host::new();
    let system = ["--system-path", minimal_system()];
    for (name, options) in [
        ("foo", &[][..]),
        ("web", &["--port", "8080:80"]),
        ("shop", &["--port", "8080:80"]),
        ("lan", &["--bridge", "br9"]),
        ("mail", &[]),
    ] {
        host.run(&[&["create", name], options, &system].concat());
    }
    host.shell(&format!(
        "sed -i /^NAT=/d $NIXOS_CONTAINER_CONF_DIR/*.conf
         mkdir {PROGRAMS}; touch {PROGRAMS}/nixos-container
         mount --bind {} {PROGRAMS}/nixos-container",
        env!("CARGO_BIN_EXE_nixos-container")
    ));
    host.run(&["start", "foo", "web", "mail"]);
    host.run(&["stop", "foo"]);
    // As NixOS has it, whose files are in the Nix store.
    let conf = host.place("CONF_DIR").join("mail.conf");
    let conf = conf.display();
    host.shell(&format!(
        "mount --bind {conf} {conf}; mount -o remount,bind,ro {conf}"
    ));
    host
}

/// A command line of the document, and what is printed.
#[derive(Debug)]
struct Entry {
    prompt: char,
    command: String,
    printed: String,
}

/// A piece of the document: prose, or commands in indented lines.
#[derive(Debug)]
enum Piece {
    Prose(String),
    Command(Entry),
}

fn pieces(document: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for line in document.lines() {
        let shown = line.strip_prefix("    ");
        let command = shown.and_then(|line| line.split_at_checked(2));
        match (command, shown, pieces.last_mut()) {
            (Some((prompt @ ("# " | "$ "), command)), _, _) => pieces.push(Piece::Command(Entry {
                prompt: prompt.chars().next().expect("two"),
                command: command.to_owned(),
                printed: String::new(),
            })),
            (_, Some(line), Some(Piece::Command(entry))) => entry.printed += &format!("{line}\n"),
            // Between lines of output; those after it are cut off below.
            (_, None, Some(Piece::Command(entry))) if line.is_empty() => entry.printed += "\n",
            (_, _, Some(Piece::Prose(text))) => *text += &format!("{line}\n"),
            _ => pieces.push(Piece::Prose(format!("{line}\n"))),
        }
    }
    for piece in &mut pieces {
        if let Piece::Command(entry) = piece {
            entry.printed.truncate(entry.printed.trim_end().len());
        }
    }
    pieces
}

fn document(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Prose(prose) => text += prose,
            Piece::Command(entry) => {
                writeln!(text, "    {} {}", entry.prompt, entry.command).expect("writable");
                for line in entry.printed.lines() {
                    let line = format!("    {line}");
                    writeln!(text, "{}", line.trim_end()).expect("writable");
                }
                if matches!(pieces.get(index + 1), Some(Piece::Prose(_))) {
                    text.push('\n');
                }
            }
        }
    }
    text
}

/// What a command prints, and how it ends.
fn printed(host: &Host, entry: &Entry) -> String {
    let user = if entry.prompt == '$' { AS_USER } else { "env" };
    let output = host
        .command("bash")
        .args(["-c", "PATH=$1:$PATH; exec $2 bash -c \"$3\"", "bash"])
        .args([PROGRAMS, user, &entry.command])
        .output()
        .expect("it runs");
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{entry:?}");
    match output.status.code() {
        Some(0) => {}
        code => write!(text, "[{}]", code.expect("an exit code")).expect("writable"),
    }
    text.trim_end()
        .replace("/run/throwaway/conf", "/etc/nixos-containers")
}

/// Whether these are the words, where a line `…` stands for any.
fn matches(expected: &str, printed: &str) -> bool {
    let parts: Vec<_> = expected.split("…\n").collect();
    let [start, middle @ .., end] = &parts[..] else {
        return printed == expected;
    };
    let after_start = printed.strip_prefix(start);
    let after_middle = middle.iter().fold(after_start, |rest, part| {
        rest?.split_once(part).map(|(_, rest)| rest)
    });
    after_middle.is_some_and(|rest| rest.ends_with(end))
}

/// `UPDATE_GOLDEN=1` writes down what is printed; read it as its reader would
/// before it is committed.
#[test]
fn each_mistake_is_answered_as_the_document_says() {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "likeliest_mistakes.md"]
        .iter()
        .collect();
    let expected = std::fs::read_to_string(&path).expect("the document");
    assert_eq!(expected.matches("\n## ").count(), 20);
    let mut pieces = pieces(&expected);
    assert_eq!(document(&pieces), expected);

    let host = host();
    let before = host.inventory();
    for piece in &mut pieces {
        if let Piece::Command(entry) = piece {
            let printed = printed(&host, entry);
            if !matches(&entry.printed, &printed) {
                entry.printed = printed;
            }
        }
    }
    let found = document(&pieces);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).expect("writable");
    }
    assert!(found == expected, "not as in {}:\n{found}", path.display());
    host.await_inventory(&before);
}
