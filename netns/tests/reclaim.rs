//! Removing what a killed start left, and finding the networks that the host
//! uses.

#![allow(missing_docs)]

mod common;
mod observe;

use std::net::Ipv4Addr;

use netns::{
    Bridge, ContainerName, ExtraVeth, HostInterface, HostLink, Pool, Spec, Step, Veth, ZoneName,
};

use common::{
    RunDirectory, World, assert_becomes, everything, interface, ip, name, private_mounts, spec,
    veth4,
};
use observe::observe;

const LONG: &str = "a-long-container-name";

/// Reclaims on the host.
fn reclaim(world: &World, container: &ContainerName) {
    let directory = RunDirectory::new();
    let reclaimed = world
        .host
        .run(|| netns::reclaim(container, directory.path()));
    assert!(reclaimed.expect("reclaim").is_empty());
}

#[test]
fn nothing_to_remove() {
    let world = World::new();
    let before = world.host.run(everything);
    reclaim(&world, &name("web"));
    reclaim(&world, &name(LONG));
    assert_eq!(world.host.run(everything), before);
}

#[test]
fn both_ends_are_removed() {
    for container in ["web", LONG] {
        let world = World::new();
        let before = world.host.run(everything);
        let veth = veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32"));
        world.apply(&spec(container, veth)).expect("apply");
        reclaim(&world, &name(container));
        assert_eq!(world.host.run(everything), before);
        assert_eq!(world.container.run(observe).links, ["lo up"]);
    }
}

#[test]
fn a_removed_link_can_be_created_again() {
    let world = World::new();
    let spec = spec(LONG, veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32")));
    world.apply(&spec).expect("apply");
    reclaim(&world, &spec.container);
    world.apply(&spec).expect("apply once more");
    world.assert_traffic("10.233.1.1", "10.233.1.2");
}

/// A start was killed between creating the link and naming it.
#[test]
fn a_long_link_without_its_altname_is_removed() {
    let world = World::new();
    let plan = netns::plan(&spec(LONG, veth4(None, None)));
    let created = plan
        .iter()
        .position(|step| matches!(step, Step::CreateVeth { .. }));
    let until_created = &plan[..=created.expect("a pair")];
    world
        .host
        .run(|| netns::apply(until_created, world.container.fd()))
        .expect("apply");
    reclaim(&world, &name(LONG));
    assert_eq!(world.host.run(observe).links, ["lo down"]);
}

#[test]
fn further_pairs_are_removed_under_any_name() {
    let world = World::new();
    let before = world.host.run(everything);
    let extra = |name: &str, host_name: Option<&str>| ExtraVeth {
        name: interface(name),
        host_name: host_name.map(interface),
        veth: veth4(None, None),
    };
    let spec = Spec {
        extra_veths: vec![
            extra("lan", None),
            extra("dmz", Some("somewhere")),
            extra("a-long-name", None),
        ],
        ..spec("web", veth4(None, None))
    };
    world.apply(&spec).expect("apply");
    assert_eq!(world.host.run(observe).links.len(), 5);
    reclaim(&world, &name("another"));
    assert_eq!(world.host.run(observe).links.len(), 5);
    reclaim(&world, &spec.container);
    assert_eq!(world.host.run(everything), before);
}

/// A container with all kinds of links at once.
fn of_all_kinds(directory: &RunDirectory) -> Spec {
    let on = |name: &str| HostInterface {
        interface: interface(name),
        name: None,
    };
    let zone = ZoneName::new("lan").expect("a zone's name");
    let pair = veth4(Some("10.1.0.1/24"), Some("10.1.0.2/24"));
    Spec {
        veth: Some(Veth {
            bridge: Some(Bridge::Zone(zone)),
            ..pair.clone()
        }),
        extra_veths: vec![ExtraVeth {
            name: interface("extra"),
            host_name: None,
            veth: pair,
        }],
        macvlans: vec![on("parent")],
        interfaces: vec![on("lan0")],
        ..Spec::new(name(LONG), directory.path())
    }
}

/// A start is killed after each of its steps, while the container's namespace
/// stays.
#[test]
fn nothing_is_left_of_a_killed_start() {
    private_mounts();
    let directory = RunDirectory::with(LONG);
    let plan = netns::plan(&of_all_kinds(&directory));
    for performed in 0..=plan.len() {
        let plan = &plan[..performed];
        let world = World::new();
        world.host.run(|| {
            ip("link add lan0 type veth peer name other0");
            ip("link add parent type veth peer name other1");
        });
        let before = world.host.run(everything);
        world
            .host
            .run(|| netns::apply(plan, world.container.fd()))
            .expect("apply");
        let unfinished = plan.last().map(ToString::to_string);
        for _ in 0..2 {
            world
                .host
                .run(|| netns::reclaim(&name(LONG), directory.path()))
                .expect("reclaim");
        }
        // The next step would have marked its owner.
        let unmarked = matches!(
            plan.last(),
            Some(Step::CreateVeth { peer, .. }) if peer == "extra"
        );
        let World { host, container } = world;
        if unmarked {
            drop(container);
            assert_becomes(&before, || host.run(everything));
        } else {
            let after = host.run(everything);
            assert_eq!(after, before, "after {unfinished:?}");
        }
    }
}

/// A link that another program created under our name, such as systemd-nspawn for
/// a machine of the same name; a link of ours with the shortened name of another
/// container's; and one with our name as an alternative name.
#[test]
fn links_of_others_stay() {
    let world = World::new();
    let long = HostLink::veth(&name(LONG));
    world
        .apply(&spec("other", veth4(None, None)))
        .expect("apply");
    world.host.run(|| {
        ip("link add ve-web type veth peer name other-end");
        ip(&format!("link set ve-other name {long}"));
        ip(&format!(
            "link property add dev {long} altname ve-another-long-name"
        ));
        ip(&format!("link property add dev {long} altname ve-db"));
    });
    let before = world.host.run(everything);
    for container in ["web", LONG, "db"] {
        reclaim(&world, &name(container));
    }
    assert_eq!(world.host.run(everything), before);
}

/// The whole name of one container's link is the shortened name of another's.
#[test]
fn a_link_with_the_shortened_name_of_another_stays() {
    let world = World::new();
    let long = HostLink::veth(&name(LONG));
    let container = long.interface().strip_prefix("ve-").expect("a link");
    world
        .apply(&spec(container, veth4(None, None)))
        .expect("apply");
    let before = world.host.run(everything);
    reclaim(&world, &name(LONG));
    assert_eq!(world.host.run(everything), before);
    reclaim(&world, &name(container));
    assert_eq!(world.host.run(observe).links, ["lo down"]);
}

#[test]
fn a_pair_in_use_is_not_free() {
    let world = World::new();
    let first_free = || {
        let networks = netns::host_networks().expect("the host's networks");
        Pool::default().first_free(&networks).expect("a free pair")
    };
    assert_eq!(
        world.host.run(first_free).host,
        Ipv4Addr::new(10, 233, 1, 1)
    );

    // The host's own address, and a route without an address.
    world
        .apply(&spec("web", veth4(Some("10.233.1.1/32"), None)))
        .expect("apply");
    let second = world.with_another_container();
    second
        .apply(&spec("db", veth4(None, Some("10.233.2.2/32"))))
        .expect("apply");
    assert_eq!(
        second.host.run(first_free).host,
        Ipv4Addr::new(10, 233, 3, 1)
    );
}

/// The default route is the widest of all.
#[test]
fn a_default_route_leaves_pairs_free() {
    let world = World::new();
    let veth = veth4(Some("10.0.0.1/32"), Some("10.0.0.2/24"));
    world.apply(&spec("web", veth)).expect("apply");
    let networks = world
        .container
        .run(|| netns::host_networks().expect("networks"));
    let words: Vec<String> = networks.iter().map(ToString::to_string).collect();
    for expected in ["0.0.0.0/0", "10.0.0.0/24", "10.0.0.2/24"] {
        assert!(
            words.contains(&expected.to_owned()),
            "{expected} in {words:?}"
        );
    }
    assert!(Pool::default().first_free(&networks).is_some());
}
