//! Processes of their own: a start that is killed, and one without nft.

#![allow(missing_docs)]

mod common;
mod firewall_world;

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use common::name;
use firewall_world::{World, opened};
use netns::firewall;

/// The child's task; unset in the test itself.
const TASK: &str = "FIREWALL_TASK";
const DIRECTORY: &str = "FIREWALL_DIRECTORY";
/// The child's line before it begins.
const BEGINS: &str = "begins";

/// This test in a process of its own, in the host's network.
fn child(world: &World, task: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--exact", "as_child", "--nocapture"])
        .env(TASK, task)
        .env(DIRECTORY, &world.directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn as_child() {
    let (Ok(task), Some(directory)) = (env::var(TASK), env::var_os(DIRECTORY)) else {
        return;
    };
    let directory = directory.as_ref();
    let mut spec = firewall_world::detached("web", 1).forwarding(8080, 80);
    spec.nat = true;
    match task.as_str() {
        "apply" => {
            println!("{BEGINS}");
            opened()
                .apply(&spec.container, &firewall::plan(&spec), directory)
                .expect("apply");
        }
        "remove nothing" => {
            assert!(!opened().remove(&name("web"), directory).expect("remove"));
            assert!(!opened().remove(&name("other"), directory).expect("remove"));
            opened().conflict(&spec).expect("no conflict");
            assert_eq!(opened().diagnose(&spec), [""; 0]);
        }
        "diagnose" => println!("{:?}", opened().diagnose(&spec)),
        other => panic!("unknown task {other}"),
    }
}

#[test]
fn a_killed_start_leaves_nothing_that_removal_does_not_find() {
    let world = World::new();
    let _web = world.container("web", 1);
    let before = world.state();
    let mut found = Vec::new();
    // The kills are spread from the beginning to after the end, within a
    // millisecond.
    for round in 0..40 {
        let mut child = world
            .host
            .run(|| child(&world, "apply").spawn().expect("a child"));
        await_word(&mut child, BEGINS);
        thread::sleep(Duration::from_micros(25 * round));
        child.kill().expect("kill");
        child.wait().expect("wait");
        found.push(world.remove("web"));
        assert_eq!(world.state(), before, "after being killed in round {round}");
    }
    assert!(found.contains(&true), "some had begun");
}

fn await_word(child: &mut Child, word: &str) {
    let output = child.stdout.as_mut().expect("its output");
    let mut lines = BufReader::new(output).lines();
    let found = lines.any(|line| line.expect("a line").contains(word));
    assert!(found, "the child says {word:?}");
}

#[test]
fn another_process_removes() {
    let world = World::new();
    let _web = world.container("web", 1);
    let before = world.state();
    let output = world
        .host
        .run(|| child(&world, "apply").output().expect("a child"));
    assert!(output.status.success(), "{output:?}");
    assert_ne!(world.state(), before);
    assert!(world.remove("web"));
    assert_eq!(world.state(), before);
}

#[test]
fn nothing_is_removed_without_a_trace_of_the_container() {
    let world = World::new();
    let other = world.container("third", 3);
    for _ in 0..2 {
        let output = world
            .host
            .run(|| child(&world, "remove nothing").output().expect("a child"));
        assert!(output.status.success(), "{output:?}");
        world.apply(&other.with_nat()).expect("apply");
    }
}

#[test]
fn neither_a_start_nor_its_diagnosis_needs_nft() {
    let world = World::new();
    let web = world.container("web", 1);
    let without_nft = |task: &str| {
        let output = world.host.run(|| {
            let mut child = child(&world, task);
            child.env("PATH", "/nonexistent").output().expect("a child")
        });
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    without_nft("apply");
    web.serve(80)
        .reached_from(&world.outside, firewall_world::HOST, 8080);
    world.host.run(|| {
        firewall_world::nft_script(
            "table ip filter { chain forward { type filter hook forward priority 0; policy drop; }; }",
        );
    });
    let said = without_nft("diagnose");
    assert!(said.contains("chain ip filter forward drops"), "{said}");
}
