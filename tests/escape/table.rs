//! The table of `docs/attacks.md`.
//!
//! `cargo test --test escape -- --as table` prints it, with the peers measured that
//! the machine has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::attack::{Attack, Outcome, Without, attacks};
use crate::peers::{self, Peer};
use crate::stage::Stage;

const DOCUMENT: &str = include_str!("../../docs/attacks.md");
const HEAD: &str = "| attack | of the kind of | would | without users | with users | untrusted |";
const OTHERS: &str = "| attack | would | tests, in `tests/escape/` |";

/// What a cell says.
const PREVENTED: &str = "prevented";
const POSSIBLE: &str = "**possible**";
/// The kernel that it was measured on lacks what the attack abuses.
const NOT_TRIED: &str = "–";

/// The cells of an attack that the tests know.
fn cells(attack: &Attack) -> String {
    let without_users = match attack.without_users {
        Without::Prevented => PREVENTED.to_owned(),
        Without::Open(why) => format!("{POSSIBLE}: {why}"),
    };
    let Attack {
        name, class, aim, ..
    } = attack;
    format!("| {name} | {class} | {aim} | {without_users} | {PREVENTED} | {PREVENTED} |")
}

/// The rows of the table below a head that begins so.
fn rows(head: &str) -> Vec<&'static str> {
    let lines = DOCUMENT.lines().skip_while(|line| !line.starts_with(head));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.collect()
}

#[test]
fn document_has_a_row_for_each_attack() {
    let rows = rows(HEAD);
    let missing: Vec<_> = attacks()
        .map(cells)
        .filter(|cells| !rows.iter().any(|row| row.starts_with(cells)))
        .collect();
    assert!(
        missing.is_empty() && rows.len() == attacks().count(),
        "docs/attacks.md lacks, or has others than (`cargo test --test escape -- --as table` \
         prints it): {missing:#?}"
    );
}

#[test]
fn tests_that_the_document_names_exist() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escape");
    let named = rows(OTHERS).into_iter().flat_map(|row| {
        let cell = row
            .trim_matches('|')
            .rsplit(" | ")
            .next()
            .unwrap_or_default();
        let names = cell.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    let named: BTreeSet<_> = named.collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let (module, function) = name.split_once("::").expect("module and function");
        let file = directory.join(format!("{module}.rs"));
        let text = fs::read_to_string(&file).expect("a module");
        assert!(text.contains(&format!("fn {function}()")), "{name}");
    }
}

/// Prints the table, measured on this machine.
pub fn print() -> i32 {
    let stage = Stage::new();
    let host = stage.on_the_host_itself();
    let peers = peers::measure(&stage);
    let names: String = peers
        .iter()
        .map(|peer| format!(" {} |", peer.name))
        .collect();
    for peer in &peers {
        let got = peer
            .outcomes
            .iter()
            .filter(|outcome| outcome.answer.is_ok());
        got.for_each(|outcome| eprintln!("{}: {outcome:?}", peer.name));
    }
    println!("{HEAD}{names}");
    println!("|---|---|---|---|---|---|{}", "---|".repeat(peers.len()));
    for attack in attacks() {
        let of = |outcomes: &[Outcome]| {
            let outcome = outcomes.iter().find(|outcome| outcome.name == attack.name);
            outcome.map(|outcome| outcome.succeeded(&stage.secret))
        };
        let possible = of(&host) == Some(true);
        let cell = |peer: &Peer| match of(&peer.outcomes) {
            _ if !possible => NOT_TRIED,
            Some(true) => POSSIBLE,
            Some(false) => PREVENTED,
            None => "?",
        };
        let measured: String = peers
            .iter()
            .map(|peer| format!(" {} |", cell(peer)))
            .collect();
        println!("{}{measured}", cells(attack));
    }
    0
}
