//! The attacks by programs inside, on the weakened runtime and on a container of
//! each kind.

use std::collections::BTreeSet;

use crate::attack::{Attack, Outcome, Without, attacks, named};
use crate::canary::{DROP, DROP_INSIDE, SHARED, SHARED_INSIDE, SHARED_TWICE};
use crate::common::{Host, succeed};
use crate::stage::{ATTACKER, Stage, program};

/// The attacks of which the machine's kernel has what they abuse.
fn possible(stage: &Stage) -> Vec<&'static Attack> {
    let (possible, not): (Vec<_>, Vec<_>) = stage
        .on_the_host_itself()
        .into_iter()
        .partition(|outcome| outcome.succeeded(&stage.secret));
    for outcome in &not {
        println!("not possible on this kernel: {outcome:?}");
    }
    assert!(possible.len() >= 40, "{not:#?}");
    let possible = possible.iter().map(|outcome| named(&outcome.name));
    possible.collect()
}

#[test]
fn names_of_attacks_are_theirs_alone() {
    let names: BTreeSet<_> = attacks().map(|attack| attack.name).collect();
    assert_eq!(names.len(), attacks().count());
    assert!(attacks().all(|attack| !attack.class.is_empty() && !attack.aim.is_empty()));
}

#[test]
fn every_attack_succeeds_without_the_parts_that_stop_it_and_fails_with_them() {
    let stage = Stage::new();
    let possible = possible(&stage);
    let root = "/run/throwaway/weakened";
    stage.arm(root);
    let output = succeed(
        stage
            .host
            .command(program())
            .args(["--as", "weakened", root]),
    );
    let mut wrong = Vec::new();
    for attack in possible {
        for (runtime, expected) in [("whole", false), ("weakened", true)] {
            let lines: Vec<_> = output
                .lines()
                .filter_map(|line| line.strip_prefix(runtime)?.strip_prefix(' '))
                .collect();
            let outcomes = Outcome::read(&lines.join("\n"));
            let outcome = outcomes.into_iter().find(|one| one.name == attack.name);
            let outcome = outcome.unwrap_or_else(|| panic!("{}: {output}", attack.name));
            if outcome.succeeded(&stage.secret) != expected {
                wrong.push((runtime, outcome));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Starts a container that is armed, with these lines of configuration.
fn start(stage: &Stage, name: &str, lines: &str) {
    let host: &Host = &stage.host;
    host.create(name);
    host.append_conf(
        name,
        &format!(
            "{lines}\nEXTRA_NSPAWN_FLAGS='--bind-ro={SHARED}:{SHARED_INSIDE} --bind-ro={SHARED}:{SHARED_TWICE} \
             --bind={DROP}:{DROP_INSIDE}'"
        ),
    );
    stage.arm(&format!("/run/throwaway/state/{name}"));
    host.run(&["start", name]);
}

/// The attacks that are not answered as the table has it.
fn wrong(stage: &Stage, name: &str, is_open: impl Fn(&Attack) -> bool) -> Vec<Outcome> {
    let possible = possible(stage);
    let words = [&["run", name, "--"], &ATTACKER[..], &["attacker"]].concat();
    let output = stage.host.run(&words);
    let outcomes = Outcome::read(&output);
    assert_eq!(outcomes.len(), attacks().count(), "{output}");
    let tried = outcomes
        .into_iter()
        .filter(|outcome| possible.iter().any(|attack| attack.name == outcome.name));
    tried
        .filter(|outcome| outcome.succeeded(&stage.secret) != is_open(named(&outcome.name)))
        .collect()
}

#[test]
fn no_attack_succeeds_in_a_container_with_users_of_its_own() {
    let stage = Stage::new();
    start(&stage, "foo", "PRIVATE_USERS=pick");
    let wrong = wrong(&stage, "foo", |_| false);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_attack_succeeds_in_an_untrusted_container() {
    let stage = Stage::new();
    start(&stage, "foo", "UNTRUSTED=1");
    let wrong = wrong(&stage, "foo", |_| false);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn attacks_in_a_container_without_users_of_its_own_come_to_what_the_table_says() {
    let stage = Stage::new();
    start(&stage, "foo", "PRIVATE_USERS=no");
    let wrong = wrong(&stage, "foo", |attack| {
        matches!(attack.without_users, Without::Open(_))
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}
