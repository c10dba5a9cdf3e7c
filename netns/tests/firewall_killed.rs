//! A start that is killed, and one that finds no nft: by a process of its own.

#![allow(missing_docs)]

mod common;
mod firewall_world;

use std::{
    env, fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use common::name;
use firewall_world::World;
use netns::firewall;

/// What the child is to do; without it, it is nobody's child.
const TASK: &str = "FIREWALL_TASK";
const DIRECTORY: &str = "FIREWALL_DIRECTORY";

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
            firewall::apply(&spec.container, &firewall::plan(&spec), directory).expect("apply");
        }
        "remove nothing" => {
            assert!(!firewall::remove(&name("web"), directory).expect("remove"));
            assert!(!firewall::remove(&name("other"), directory).expect("remove"));
            firewall::conflict(&spec).expect("no conflict");
            assert_eq!(firewall::obstacles(&spec).expect("obstacles"), [""; 0]);
        }
        other => panic!("unknown task {other}"),
    }
}

#[test]
fn a_killed_start_leaves_nothing_that_removal_does_not_find() {
    let world = World::new();
    let _web = world.container("web", 1);
    let before = world.state();
    let mut found = Vec::new();
    // From when nft begins until after all is done, in a few milliseconds.
    for round in 0..40 {
        let mut child = world
            .host
            .run(|| child(&world, "apply").spawn().expect("a child"));
        while child.try_wait().expect("wait").is_none() && !has_children(child.id()) {
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(400 * round));
        child.kill().expect("kill");
        child.wait().expect("wait");
        found.push(world.remove("web"));
        assert_eq!(world.state(), before, "after being killed in round {round}");
    }
    assert!(found.contains(&true), "some had begun");
}

fn has_children(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    threads.into_iter().flatten().flatten().any(|thread| {
        let children = fs::read_to_string(thread.path().join("children"));
        children.is_ok_and(|children| !children.is_empty())
    })
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
fn without_forwards_nft_is_not_started() {
    let world = World::new();
    let other = world.container("third", 3);
    for _ in 0..2 {
        let output = world.host.run(|| {
            let mut child = child(&world, "remove nothing");
            child.env("PATH", "/nonexistent").output().expect("a child")
        });
        assert!(output.status.success(), "{output:?}");
        world.apply(&other.with_nat()).expect("apply");
    }
}

#[test]
fn a_missing_nft_is_said() {
    let world = World::new();
    let _web = world.container("web", 1);
    let output = world.host.run(|| {
        let mut child = child(&world, "apply");
        child.env("PATH", "/nonexistent").output().expect("a child")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("NoNft"), "{said}");
}
