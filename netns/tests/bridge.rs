//! Containers in existing bridges and in zones.

#![allow(missing_docs)]

mod common;
mod observe;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;
use std::thread;

use netns::{Bridge, BridgeWatch, Spec, Veth, ZoneName};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;

use common::{
    RunDirectory, World, assert_becomes, assert_traffic, everything, interface, ip, name, veth4,
    veth6,
};
use observe::observe;

const LONG: [&str; 2] = ["a-long-container-name-1", "a-long-container-name-2"];

/// A container in `bridge` with the addresses 10.0.0.N/24 and fd00::N/64.
fn in_bridge(container: &str, bridge: &Bridge, number: u8, directory: &RunDirectory) -> Spec {
    let v4 = veth4(Some("10.0.0.1/24"), Some(&format!("10.0.0.{number}/24")));
    let v6 = veth6(Some("fd00::1/64"), Some(&format!("fd00::{number}/64")));
    let veth = Veth {
        host_address6: v6.host_address6,
        local_address6: v6.local_address6,
        bridge: Some(bridge.clone()),
        ..v4
    };
    Spec {
        veth: Some(veth),
        ..Spec::new(name(container), directory.path())
    }
}

fn zone(name: &str) -> Bridge {
    Bridge::Zone(ZoneName::new(name).expect("a zone's name"))
}

/// Traffic between two containers, and with the host as their router.
fn assert_all_reach_each_other(first: &World, second: &World) {
    for [one, other, router] in [
        ["10.0.0.2", "10.0.0.3", "10.0.0.1"],
        ["fd00::2", "fd00::3", "fd00::1"],
    ] {
        assert_traffic((&first.container, one), (&second.container, other));
        assert_traffic((&first.container, one), (&first.host, router));
    }
}

#[test]
fn containers_in_a_bridge_reach_each_other_and_the_host() {
    for names in [["web", "db"], LONG] {
        let first = World::new();
        let second = first.with_another_container();
        let directory = RunDirectory::new();
        first.host.run(|| {
            ip("link add br0 mtu 1400 up type bridge");
            ip("address add 10.0.0.1/24 dev br0");
            ip("address add fd00::1/64 dev br0 nodad");
        });
        let bridge = Bridge::Existing(interface("br0"));
        for (world, container, number) in [(&first, names[0], 2), (&second, names[1], 3)] {
            let spec = in_bridge(container, &bridge, number, &directory);
            first.host.run(|| netns::check(&spec)).expect("check");
            world.apply(&spec).expect("apply");
        }
        assert_all_reach_each_other(&first, &second);

        let seen = first.container.run(observe);
        assert_eq!(
            seen.routes("eth0"),
            ["0.0.0.0/0 via 10.0.0.1", "::/0 via fd00::1"]
        );
        for link in ["br0", &format!("vb-{}", names[0])] {
            let words = first.host.run(|| ip(&format!("link show {link}")));
            assert!(words.contains(" mtu 1400 "), "{words}");
        }
    }
}

/// Waits until a watch has something to do.
fn await_change(watch: &BridgeWatch) {
    let mut readable = [PollFd::new(watch, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: 30,
        tv_nsec: 0,
    };
    let ready = retry_on_intr(|| poll(&mut readable, Some(&limit)));
    assert_eq!(ready, Ok(1));
}

#[test]
fn ports_return_to_a_bridge_that_is_made_anew() {
    let first = World::new();
    let second = first.with_another_container();
    let directory = RunDirectory::new();
    let make = || {
        ip("link add br0 up type bridge");
        ip("address add 10.0.0.1/24 dev br0");
        ip("address add fd00::1/64 dev br0 nodad");
    };
    first.host.run(make);
    let bridge = Bridge::Existing(interface("br0"));
    let mut watches = Vec::new();
    for (world, container, number) in [(&first, "web", 2), (&second, "db", 3)] {
        let plan = world.apply(&in_bridge(container, &bridge, number, &directory));
        let watch = first.host.run(|| BridgeWatch::open(&plan.expect("apply")));
        watches.extend(watch.expect("a watch"));
    }
    assert_eq!(watches.len(), 2);
    for is_seen_to_be_gone in [true, false] {
        first.host.run(|| ip("link delete br0"));
        if is_seen_to_be_gone {
            for watch in &mut watches {
                await_change(watch);
                first.host.run(|| watch.follow()).expect("followed");
            }
        }
        first.host.run(make);
        for watch in &mut watches {
            await_change(watch);
            first.host.run(|| watch.follow()).expect("followed");
        }
        assert_all_reach_each_other(&first, &second);
    }
    // A port that was taken out of its bridge stays out of it.
    first.host.run(|| ip("link set vb-web nomaster"));
    await_change(&watches[0]);
    first.host.run(|| watches[0].follow()).expect("followed");
    let port = first.host.run(|| ip("link show vb-web"));
    assert!(!port.contains(" master "), "{port}");
}

#[test]
fn an_existing_bridge_stays() {
    let world = World::new();
    let directory = RunDirectory::new();
    world.host.run(|| {
        ip("link add br0 address 02:00:00:00:00:01 type bridge");
        ip("link add vz-theirs address 02:00:00:00:00:02 type bridge");
    });
    let before = world.host.run(everything);
    for bridge in [Bridge::Existing(interface("br0")), zone("theirs")] {
        let spec = in_bridge("web", &bridge, 2, &directory);
        world.apply(&spec).expect("apply");
        world
            .host
            .run(|| netns::reclaim(&spec.container, directory.path()))
            .expect("reclaim");
        assert_eq!(world.host.run(everything), before);
        world.container.run(|| ip("link set lo down"));
    }
}

#[test]
fn a_missing_bridge_is_refused_before_anything_is_done() {
    let world = World::new();
    let directory = RunDirectory::new();
    let bridge = Bridge::Existing(interface("br0"));
    let spec = in_bridge("web", &bridge, 2, &directory);
    let error = world
        .host
        .run(|| netns::check(&spec))
        .expect_err("no bridge");
    assert_eq!(
        error.to_string(),
        "cannot put the container into bridge br0: the host has no such link"
    );
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("ip link add br0 up type bridge"), "{hint}");
}

#[test]
fn a_link_that_is_not_a_bridge_is_refused() {
    let world = World::new();
    let directory = RunDirectory::new();
    world.host.run(|| {
        ip("link add br0 type veth peer name other");
        ip("link add vz-lan type veth peer name another");
    });
    for (bridge, link) in [
        (Bridge::Existing(interface("br0")), "br0"),
        (zone("lan"), "vz-lan"),
    ] {
        let spec = in_bridge("web", &bridge, 2, &directory);
        let error = world
            .host
            .run(|| netns::check(&spec))
            .expect_err("no bridge");
        assert_eq!(
            error.to_string(),
            format!("cannot put the container into bridge {link}: it is a veth link, not a bridge")
        );
    }
}

#[test]
fn a_zone_exists_from_its_first_container_to_its_last() {
    let first = World::new();
    let second = first.with_another_container();
    let directory = RunDirectory::new();
    let before = first.host.run(everything);
    let specs = [
        in_bridge("web", &zone("lan"), 2, &directory),
        in_bridge(LONG[0], &zone("lan"), 3, &directory),
    ];
    for (world, spec) in [(&first, &specs[0]), (&second, &specs[1])] {
        first.host.run(|| netns::check(spec)).expect("check");
        world.apply(spec).expect("apply");
    }
    first.host.run(|| {
        ip("address add 10.0.0.1/24 dev vz-lan");
        ip("address add fd00::1/64 dev vz-lan nodad");
    });
    assert_all_reach_each_other(&first, &second);

    let release = |spec: &Spec| {
        let released = first
            .host
            .run(|| netns::release(&spec.container, directory.path()));
        assert!(released.expect("release").is_empty());
        first.host.run(observe).links
    };
    let left = release(&specs[0]);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&"vz-lan up".to_owned()), "{left:?}");
    // The port is removed with the namespace, a little later.
    for _ in 0..2 {
        let left = release(&specs[1]);
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(!left.contains(&"vz-lan up".to_owned()), "{left:?}");
    }
    first
        .host
        .run(|| netns::reclaim(&specs[1].container, directory.path()))
        .expect("reclaim");
    assert_eq!(first.host.run(everything), before);
}

/// The port may already have been removed with the container's namespace.
#[test]
fn a_zone_without_ports_is_removed() {
    let world = World::new();
    let directory = RunDirectory::new();
    let before = world.host.run(everything);
    let spec = in_bridge("web", &zone("lan"), 2, &directory);
    world.apply(&spec).expect("apply");
    let World { host, container } = world;
    drop(container);
    assert_becomes("lo down vz-lan up", || host.run(observe).links.join(" "));
    host.run(|| netns::release(&name("another"), directory.path()))
        .expect("release");
    assert_eq!(host.run(everything), before);
}

/// Containers join and leave zones one at a time.
#[test]
fn a_zone_is_joined_and_left_under_its_lock() {
    let world = World::new();
    let directory = RunDirectory::new();
    let spec = in_bridge("web", &zone("lan"), 2, &directory);
    let lock = File::create(directory.path().join("zones.lock")).expect("the lock file");
    let zone_is_there = || {
        let links = world.host.run(observe).links;
        links.contains(&"vz-lan up".to_owned())
    };
    let assert_waits = |work: &(dyn Fn() + Sync), there_meanwhile: bool| {
        flock(&lock, FlockOperation::LockExclusive).expect("the lock");
        thread::scope(|scope| {
            let worker = scope.spawn(work);
            assert_becomes("a waiter", || waiter(&lock));
            assert_eq!(zone_is_there(), there_meanwhile);
            flock(&lock, FlockOperation::Unlock).expect("unlocking");
            worker.join().expect("the work");
        });
        assert_eq!(zone_is_there(), !there_meanwhile);
    };
    let join = || drop(world.apply(&spec).expect("apply"));
    assert_waits(&join, false);
    let leave = || {
        let released = world
            .host
            .run(|| netns::release(&spec.container, directory.path()));
        released.expect("release");
    };
    assert_waits(&leave, true);
}

/// Whether a process waits for the lock of this file, by proc_locks(5).
fn waiter(file: &File) -> String {
    let inode = format!(":{} ", file.metadata().expect("metadata").ino());
    let locks = fs::read_to_string("/proc/locks").expect("the locks");
    let waits = |line: &str| line.contains("-> FLOCK") && line.contains(&inode);
    let found = locks.lines().any(waits);
    if found { "a waiter" } else { "none" }.to_owned()
}

/// Many containers start and end at once: each has its port in a bridge while it
/// runs, and the bridge is removed with the last.
#[test]
fn a_zone_survives_concurrent_starts_and_ends() {
    const CONTAINERS: usize = 4;
    const ROUNDS: usize = 6;
    let worlds: Vec<World> = {
        let first = World::new();
        let mut worlds: Vec<World> = (1..CONTAINERS)
            .map(|_| first.with_another_container())
            .collect();
        worlds.push(first);
        worlds
    };
    let directory = RunDirectory::new();
    let before = worlds[0].host.run(everything);
    let start = Barrier::new(CONTAINERS);
    thread::scope(|scope| {
        for (number, world) in worlds.iter().enumerate() {
            let (start, directory) = (&start, &directory);
            scope.spawn(move || {
                let container = format!("web-{number}");
                let spec = in_bridge(&container, &zone("lan"), 2, directory);
                start.wait();
                for _ in 0..ROUNDS {
                    world.apply(&spec).expect("apply");
                    let port = world.host.run(|| ip(&format!("link show vb-{container}")));
                    assert!(port.contains(" master vz-lan "), "{port}");
                    world
                        .host
                        .run(|| netns::reclaim(&spec.container, directory.path()))
                        .expect("reclaim");
                }
            });
        }
    });
    assert_eq!(worlds[0].host.run(everything), before);
}
