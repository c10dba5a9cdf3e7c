//! Finding and removing what a killed predecessor left, and seeing what the
//! host uses already.

#![allow(missing_docs)]

mod common;
mod observe;

use std::net::Ipv4Addr;

use netns::{HostLink, Pool, Step};

use common::{World, name, spec, veth4};
use observe::observe;

const LONG: &str = "a-long-container-name";

#[test]
fn nothing_to_remove() {
    let world = World::new();
    for container in ["web", LONG] {
        let link = HostLink::veth(&name(container));
        assert!(!world.host.run(|| netns::link_exists(&link)).expect("look"));
        assert!(
            !world
                .host
                .run(|| netns::remove_link(&link))
                .expect("remove")
        );
    }
}

#[test]
fn both_ends_are_removed() {
    for container in ["web", LONG] {
        let world = World::new();
        let veth = veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32"));
        world.apply(&spec(container, veth)).expect("apply");
        let link = HostLink::veth(&name(container));
        assert!(world.host.run(|| netns::link_exists(&link)).expect("look"));
        assert!(
            world
                .host
                .run(|| netns::remove_link(&link))
                .expect("remove")
        );
        assert!(!world.host.run(|| netns::link_exists(&link)).expect("look"));
        assert_eq!(world.host.run(observe).links, ["lo down"]);
        assert_eq!(world.container.run(observe).links, ["lo up"]);
    }
}

#[test]
fn a_removed_link_can_be_made_anew() {
    let world = World::new();
    let spec = spec(LONG, veth4(Some("10.233.1.1/32"), Some("10.233.1.2/32")));
    world.apply(&spec).expect("apply");
    let link = HostLink::veth(&spec.container);
    world
        .host
        .run(|| netns::remove_link(&link))
        .expect("remove");
    world.apply(&spec).expect("apply once more");
    world.assert_traffic("10.233.1.1", "10.233.1.2");
}

/// Killed between making the link and naming it.
#[test]
fn a_long_link_without_its_altname_is_removed() {
    let world = World::new();
    let link = HostLink::veth(&name(LONG));
    let created = [Step::CreateVeth {
        host: link.interface().to_owned(),
        peer: "eth0".to_owned(),
    }];
    world
        .host
        .run(|| netns::apply(&created, world.container.fd()))
        .expect("apply");
    assert!(
        world
            .host
            .run(|| netns::remove_link(&link))
            .expect("remove")
    );
}

/// A link whose shortened name is ours but which says that it is another's, and
/// one that has our name among its others.
#[test]
fn links_of_others_stay() {
    let world = World::new();
    let long = HostLink::veth(&name(LONG));
    let steps = [
        create(long.interface(), "eth0"),
        altname(long.interface(), "ve-somebody-elses-name"),
        create("other", "eth1"),
        altname("other", "ve-web"),
    ];
    world
        .host
        .run(|| netns::apply(&steps, world.container.fd()))
        .expect("apply");
    for link in [long, HostLink::veth(&name("web"))] {
        assert!(!world.host.run(|| netns::link_exists(&link)).expect("look"));
        assert!(
            !world
                .host
                .run(|| netns::remove_link(&link))
                .expect("remove")
        );
    }
    assert_eq!(world.host.run(observe).links.len(), 3);
}

fn create(host: &str, peer: &str) -> Step {
    Step::CreateVeth {
        host: host.to_owned(),
        peer: peer.to_owned(),
    }
}

fn altname(link: &str, altname: &str) -> Step {
    Step::AddAltname {
        link: link.to_owned(),
        altname: altname.to_owned(),
    }
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

    // The host's own address, and a route alone.
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

/// In the container the default route is the widest of all.
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
