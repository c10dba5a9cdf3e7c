//! Notices about changes of the host's rules.

#![allow(missing_docs)]

mod common;
mod firewall_world;

use firewall_world::{World, nft_script};
use netns::firewall::{Forward, Protocol, Spec, Watch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn watch(world: &World) -> Watch {
    world.host.run(|| Watch::open().expect("a socket"))
}

/// Whether there is something to read. The kernel sends notices of a change before
/// it answers the process that made it.
fn is_woken(watch: &Watch) -> bool {
    let mut fds = [PollFd::new(watch, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).expect("poll") > 0
}

fn are_lost(watch: &Watch) -> bool {
    watch.rules_are_lost().expect("read")
}

#[test]
fn a_loss_of_the_rules_is_noticed_and_applying_brings_them_back() {
    let world = World::new();
    let web = world.container("web", 1);
    let other = world.container("other", 2);
    let watch = watch(&world);
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    let rules = world.state().rules;
    world.apply(&other.forwarding(9090, 80)).expect("apply");
    assert!(world.remove("other"));
    assert!(!are_lost(&watch), "other containers come and go");

    // The beginning of Debian's /etc/nftables.conf.
    world
        .host
        .run(|| nft_script("flush ruleset; add table inet filter"));
    assert!(are_lost(&watch));
    assert!(!are_lost(&watch), "once is enough");
    world.host.run(|| nft_script("delete table inet filter"));
    assert!(!are_lost(&watch), "others' rules");
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    assert_eq!(world.state().rules, rules);

    // More changes than fit into the socket's buffer.
    world.host.run(|| {
        for _ in 0..10 {
            nft_script(&"add table ip x; delete table ip x;".repeat(100));
        }
    });
    assert!(are_lost(&watch), "the loss is not noticed");
}

#[test]
fn starts_and_ends_of_others_wake_no_watch() {
    let world = World::new();
    let (web, other) = (world.container("web", 1), world.container("other", 2));
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    let watch = watch(&world);
    // More changes than fit into one datagram.
    let many = Spec {
        forwards: (10_000..10_100)
            .map(|port| Forward {
                protocol: Protocol::Tcp,
                host_port: port,
                container_port: 80,
            })
            .collect(),
        ..other.with_nat()
    };
    world.apply(&many).expect("apply");
    world.apply(&other.forwarding(9090, 80)).expect("apply");
    assert!(world.remove("other"));
    assert!(!is_woken(&watch));
    assert!(world.remove("web"));
    assert!(is_woken(&watch), "the table goes with the last");
    assert!(are_lost(&watch));
}

#[test]
fn every_removal_of_the_table_is_noticed() {
    let world = World::new();
    let web = world.container("web", 1);
    let watch = watch(&world);
    for script in [
        "flush ruleset",
        "flush ruleset inet",
        "delete table inet nixos-containers",
        // As in files that can be loaded twice.
        "add table inet nixos-containers; delete table inet nixos-containers",
        "add table inet filter; add set inet filter s { type mark; }; \
         add element inet filter s { 1 }; delete table inet filter; flush ruleset",
    ] {
        world.apply(&web.forwarding(8080, 80)).expect("apply");
        assert!(!are_lost(&watch), "before {script}");
        world.host.run(|| nft_script(script));
        assert!(are_lost(&watch), "{script}");
    }

    // With its elements, as saved by `nft list ruleset`.
    world.apply(&web.forwarding(8080, 80)).expect("apply");
    world.host.run(|| {
        let saved = firewall_world::ruleset();
        nft_script(&format!("flush ruleset\n{saved}"));
    });
    assert!(are_lost(&watch));
    assert!(world.has(&web.forwarding(8080, 80)));
    assert!(!world.has(&web.forwarding(8081, 80)));
    world.host.run(|| nft_script("flush ruleset"));
    assert!(!world.has(&web.forwarding(8080, 80)));
}

/// Only after our own elements nothing else follows.
#[test]
fn elements_of_others_pass() {
    let world = World::new();
    for table in [
        "ip nixos-containers",
        "inet nixos-container",
        "inet nixos-containers2",
        "inet x",
    ] {
        let add = |what: &str| world.host.run(|| nft_script(what));
        add(&format!(
            "add table {table}; add set {table} s {{ type mark; }}"
        ));
        let watch = watch(&world);
        add(&format!("add element {table} s {{ 1 }}"));
        assert!(is_woken(&watch), "{table}");
        assert!(!are_lost(&watch), "{table}");
    }
}
