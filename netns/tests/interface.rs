//! Interfaces of the host that move into a container and back.

#![allow(missing_docs)]

mod common;
mod observe;

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use netns::{HostInterface, Spec};

use common::{
    Namespace, RunDirectory, World, assert_becomes, assert_traffic, everything, interface, ip,
    move_link, name, private_mounts,
};
use observe::observe;

/// A host with the interface `lan0`, the other end of which is with a router.
struct Net {
    world: World,
    router: Namespace,
    directory: RunDirectory,
}

impl Net {
    /// A host with all settings that an interface can have.
    fn new() -> Self {
        private_mounts();
        let net = Self {
            world: World::new(),
            router: Namespace::new(),
            directory: RunDirectory::with("web"),
        };
        net.world.host.run(|| {
            ip("link add lan0 address 02:00:00:00:00:10 type veth peer name in");
            sysctl("ipv6/conf/lan0/accept_dad", "0");
            sysctl("ipv6/conf/lan0/accept_ra", "2");
            sysctl("ipv4/conf/lan0/rp_filter", "2");
            sysctl("ipv4/neigh/lan0/base_reachable_time_ms", "45000");
            ip("link set lan0 mtu 1420 up");
            ip("link property add dev lan0 altname the-office altname a-name-of-many-characters");
            ip("address add 10.0.0.2/24 brd + dev lan0 label lan0:first");
            ip("address add 10.0.0.3/24 dev lan0");
            ip("address add 10.9.9.1/32 peer 10.9.9.2/32 dev lan0");
            ip("address add fd00::2/64 dev lan0");
        });
        move_link(&net.world.host, "in", &net.router);
        net.router.run(|| {
            ip("link set in up");
            ip("address add 10.0.0.1/24 dev in");
            ip("address add 10.0.1.1/24 dev in");
            ip("address add fd00::1/64 dev in nodad");
            ip("address add fd01::1/64 dev in nodad");
        });
        net.world.host.run(|| {
            ip("route add default via 10.0.0.1 src 10.0.0.3 metric 7");
            ip("route add 10.0.1.0/24 dev lan0 scope link mtu 1300");
            ip("route add 10.77.0.0/16 via 10.0.1.1 table 77 onlink dev lan0");
            ip("route add default via fd00::1");
            ip("route add fd01::/64 dev lan0 metric 9");
        });
        net.assert_with_host();
        net
    }

    fn spec(&self) -> Spec {
        Spec {
            interfaces: vec![HostInterface {
                interface: interface("lan0"),
                name: None,
            }],
            ..Spec::new(name("web"), self.directory.path())
        }
    }

    fn start(&self, spec: &Spec) {
        self.world.host.run(|| netns::check(spec)).expect("check");
        self.world.apply(spec).expect("apply");
    }

    /// The state after the container's end, without a descriptor of its namespace.
    fn end(self) -> Ended {
        let Self {
            world,
            router,
            directory,
        } = self;
        let World { host, container } = world;
        drop(container);
        Ended(Self {
            world: World {
                host,
                container: Namespace::new(),
            },
            router,
            directory,
        })
    }

    fn assert_with_host(&self) {
        assert_addresses_settle(&self.world.host);
        for [host, router] in [["10.0.0.2", "10.0.0.1"], ["fd00::2", "fd00::1"]] {
            assert_traffic((&self.world.host, host), (&self.router, router));
        }
    }

    fn assert_with_container(&self, link: &str) {
        self.world.container.run(|| {
            sysctl(&format!("ipv6/conf/{link}/accept_dad"), "0");
            ip(&format!("link set {link} up"));
            ip(&format!("address add 10.0.0.9/24 dev {link}"));
            ip(&format!("address add fd00::9/64 dev {link}"));
        });
        assert_addresses_settle(&self.world.container);
        for [container, router] in [["10.0.0.9", "10.0.0.1"], ["fd00::9", "fd00::1"]] {
            assert_traffic((&self.world.container, container), (&self.router, router));
        }
    }
}

/// A container that has ended, before its interfaces are given back.
struct Ended(Net);

impl Ended {
    fn assert_given_back(&self, before: &str) {
        let net = &self.0;
        let release = || {
            let released = net
                .world
                .host
                .run(|| netns::release(&name("web"), net.directory.path()))
                .expect("release");
            assert!(released.is_empty(), "{released:?}");
        };
        release();
        assert_becomes(before, || net.world.host.run(everything));
        net.assert_with_host();
        net.assert_nothing_kept();
        release();
        assert_becomes(before, || net.world.host.run(everything));
    }
}

impl Net {
    fn assert_nothing_kept(&self) {
        let own = self.directory.path().join("web");
        let left: Vec<_> = fs::read_dir(own).expect("the directory").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Even without duplicate address detection, an IPv6 address becomes usable only
/// after the kernel's answer.
fn assert_addresses_settle(namespace: &Namespace) {
    assert_becomes("", || namespace.run(|| ip("-6 address show tentative")));
}

fn sysctl(file: &str, value: &str) {
    fs::write(format!("/proc/sys/net/{file}"), value).expect(file);
}

#[test]
fn it_comes_back_whole() {
    let net = Net::new();
    let before = net.world.host.run(everything);
    let spec = net.spec();
    net.start(&spec);
    assert_eq!(net.world.host.run(observe).links, ["lo down"]);
    assert_eq!(
        net.world.container.run(observe).links,
        ["lo up", "lan0 down"]
    );
    net.assert_with_container("lan0");
    net.end().assert_given_back(&before);
}

#[test]
fn it_can_move_again() {
    let net = Net::new();
    let before = net.world.host.run(everything);
    let spec = net.spec();
    net.start(&spec);
    let ended = net.end();
    ended.assert_given_back(&before);
    let net = ended.0;
    net.start(&spec);
    net.assert_with_container("lan0");
    net.end().assert_given_back(&before);
}

#[test]
fn a_name_of_its_own_in_the_container() {
    let net = Net::new();
    let before = net.world.host.run(everything);
    let mut spec = net.spec();
    spec.interfaces[0].name = Some(interface("eth7"));
    net.start(&spec);
    net.assert_with_container("eth7");
    net.end().assert_given_back(&before);
}

/// Root in the container changes it so that it would stay there, or would take a
/// name on the host.
#[test]
fn it_comes_back_after_any_change_by_the_container() {
    let net = Net::new();
    net.world.host.run(|| {
        ip("link add eth5 type bridge");
        ip("link property add dev eth5 altname the-bridge");
    });
    let before = net.world.host.run(everything);
    let spec = net.spec();
    net.start(&spec);
    net.world.container.run(|| {
        ip("link property del dev lan0 altname the-office");
        ip("link property add dev lan0 altname the-bridge");
        ip("link set lan0 name eth5 address 02:00:00:00:00:99 mtu 1280");
        ip("link add lan0 type bridge");
        ip("link set eth5 master lan0 up");
    });
    net.end().assert_given_back(&before);
}

/// A host with nothing but `lan0`, which is down, in a bridge.
fn in_bridge() -> (World, RunDirectory, Spec) {
    private_mounts();
    let world = World::new();
    let directory = RunDirectory::with("web");
    world.host.run(|| {
        ip("link add br0 address 02:00:00:00:00:01 type bridge");
        ip("link add lan0 type veth peer name other");
        ip("link set lan0 master br0");
    });
    let spec = Spec {
        interfaces: vec![HostInterface {
            interface: interface("lan0"),
            name: None,
        }],
        ..Spec::new(name("web"), directory.path())
    };
    (world, directory, spec)
}

#[test]
fn an_interface_that_was_down_and_in_a_bridge() {
    let (world, directory, spec) = in_bridge();
    let before = world.host.run(everything);
    world.apply(&spec).expect("apply");
    world.container.run(|| ip("link set lan0 up"));
    let reclaimed = world
        .host
        .run(|| netns::reclaim(&spec.container, directory.path()));
    assert!(reclaimed.expect("reclaim").is_empty());
    assert_becomes(&before, || world.host.run(everything));
}

#[test]
fn interfaces_come_back_after_a_failed_step() {
    let net = Net::new();
    let before = net.world.host.run(everything);
    let mut spec = net.spec();
    spec.macvlans.push(HostInterface {
        interface: interface("missing"),
        name: None,
    });
    net.world.apply(&spec).expect_err("no such link");
    assert_eq!(net.world.host.run(observe).links, ["lo down"]);
    net.end().assert_given_back(&before);
}

/// A start ends after each of its steps, and everything is given back.
#[test]
fn killed_after_any_step() {
    let steps = netns::plan(&Net::new().spec()).len();
    for performed in 0..=steps {
        let net = Net::new();
        let before = net.world.host.run(everything);
        let plan = netns::plan(&net.spec());
        net.world
            .host
            .run(|| netns::apply(&plan[..performed], net.world.container.fd()))
            .expect("apply");
        net.end().assert_given_back(&before);
    }
}

/// The variable with the run directory, set by the test below in its child, which
/// is the same program.
const HOLD: &str = "NETNS_TEST_HOLD";

/// A supervisor, as far as the network is concerned, moves the interface and is
/// killed, so that no process has the namespace any more.
#[test]
fn it_comes_back_when_its_holder_was_killed() {
    if let Some(directory) = env::var_os(HOLD) {
        hold(directory.into());
        return;
    }
    let net = Net::new();
    let before = net.world.host.run(everything);
    let mut holder = net.world.host.run(|| holder(net.directory.path().into()));
    assert_eq!(net.world.host.run(observe).links, ["lo down"]);
    holder.kill().expect("SIGKILL");
    holder.wait().expect("its end");
    net.end().assert_given_back(&before);
}

/// Starts this test once more, in the calling thread's namespaces, and returns
/// when the interface has moved.
fn holder(directory: PathBuf) -> Child {
    let mut holder = Command::new(env::current_exe().expect("this program"))
        .args([
            "--exact",
            "--nocapture",
            "it_comes_back_when_its_holder_was_killed",
        ])
        .env(HOLD, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program");
    let lines = BufReader::new(holder.stdout.take().expect("a pipe")).lines();
    let moved = lines
        .map_while(Result::ok)
        .any(|line| line.ends_with("moved"));
    assert!(moved, "the holder ended too early");
    holder
}

/// Moves the interface and waits to be killed.
fn hold(directory: PathBuf) {
    let container = Namespace::new();
    let spec = Spec {
        interfaces: vec![HostInterface {
            interface: interface("lan0"),
            name: None,
        }],
        ..Spec::new(name("web"), directory)
    };
    netns::apply(&netns::plan(&spec), container.fd()).expect("apply");
    println!("moved");
    let _ = std::io::stdin().lines().count();
}

#[test]
fn a_name_taken_meanwhile_is_reported_and_nothing_is_lost() {
    // With its own name in the container, and with another one.
    for rename in [None, Some("link set lan0 name other")] {
        let net = Net::new();
        let before = net.world.host.run(everything);
        let spec = net.spec();
        net.start(&spec);
        net.world.host.run(|| ip("link add lan0 type bridge"));
        net.world.container.run(|| rename.map(ip));
        let net = net.end().0;
        let error = net
            .world
            .host
            .run(|| netns::release(&spec.container, net.directory.path()))
            .expect_err("the name is taken");
        assert_eq!(
            error.to_string(),
            "cannot give interface lan0 back to the host: it exists already"
        );
        assert!(error.hint().expect("a hint").contains("ip link show lan0"));
        net.world.host.run(|| ip("link delete lan0"));
        Ended(net).assert_given_back(&before);
    }
}

#[test]
fn an_interface_that_the_container_destroyed_is_reported_once() {
    let net = Net::new();
    let spec = net.spec();
    net.start(&spec);
    net.world.container.run(|| ip("link delete lan0"));
    let net = net.end().0;
    let release = || {
        net.world
            .host
            .run(|| netns::release(&spec.container, net.directory.path()))
            .expect("release")
    };
    let lost: Vec<String> = release().iter().map(ToString::to_string).collect();
    assert_eq!(
        lost,
        [
            "cannot give interface lan0 back to the host: it is neither in the container's \
             network namespace nor on the host"
        ]
    );
    net.assert_nothing_kept();
    assert!(release().is_empty());
}

#[test]
fn settings_that_cannot_be_restored_are_reported() {
    let (world, directory, spec) = in_bridge();
    world.apply(&spec).expect("apply");
    world.host.run(|| ip("link delete br0"));
    let failed = world
        .host
        .run(|| netns::release(&spec.container, directory.path()))
        .expect("release");
    let words: Vec<String> = failed.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        ["cannot restore the master br0 of interface lan0: there is no such link"]
    );
    assert!(
        world
            .host
            .run(observe)
            .links
            .contains(&"lan0 down".to_owned())
    );
}

/// The source address of the route has been removed meanwhile.
#[test]
fn routes_that_cannot_be_restored_are_reported() {
    let net = Net::new();
    net.world.host.run(|| {
        ip("address add 10.4.4.4/32 dev lo");
        ip("route add 10.88.0.0/16 dev lan0 src 10.4.4.4");
    });
    let spec = net.spec();
    net.start(&spec);
    let net = net.end().0;
    net.world.host.run(|| ip("address flush dev lo"));
    let failed = net
        .world
        .host
        .run(|| netns::release(&spec.container, net.directory.path()))
        .expect("release");
    let words: Vec<String> = failed.iter().map(ToString::to_string).collect();
    let [words] = words.as_slice() else {
        panic!("{words:?}");
    };
    let expected = "cannot restore the route to 10.88.0.0/16 of interface lan0: ";
    assert!(words.starts_with(expected), "{words}");
    net.assert_with_host();
}

#[test]
fn an_unfit_interface_is_refused_before_anything_is_done() {
    let net = Net::new();
    let mut spec = net.spec();
    let check = |spec: &Spec| {
        let error = net
            .world
            .host
            .run(|| netns::check(spec))
            .expect_err("check");
        error.to_string()
    };
    spec.interfaces[0].interface = interface("missing");
    assert_eq!(
        check(&spec),
        "cannot move interface missing into the container: the host has no such link"
    );
    spec.interfaces[0].interface = interface("lo");
    assert_eq!(
        check(&spec),
        "cannot move interface lo into the container: it is the host's loopback"
    );
    spec = net.spec();
    spec.macvlans.clone_from(&spec.interfaces);
    assert_eq!(
        check(&spec),
        "cannot move interface lan0 into the container: it is also named for a macvlan link"
    );
}

#[test]
fn the_holder_of_an_interface_is_named() {
    let net = Net::new();
    let before = net.world.host.run(everything);
    let spec = net.spec();
    net.start(&spec);
    let second = Spec {
        container: name("db"),
        ..spec
    };
    let error = net
        .world
        .host
        .run(|| netns::check(&second))
        .expect_err("the other container has it");
    assert_eq!(
        error.to_string(),
        "cannot move interface lan0 into the container: container 'web' has it"
    );
    assert_eq!(error.hint().expect("a hint"), "stop container 'web' first");
    Ended(net).assert_given_back(&before);
}

/// Only the pin keeps the namespace: no process and no descriptor does.
#[test]
fn the_namespace_outlives_its_last_process() {
    let net = Net::new();
    let spec = net.spec();
    net.start(&spec);
    let pin = net.directory.path().join("web/netns");
    let net = net.end().0;
    let pinned = File::open(&pin).expect("the pinned namespace");
    let links = std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&pinned),
                Some(rustix::thread::LinkNameSpaceType::Network),
            )
            .expect("entering it");
            observe().links
        });
        look.join().expect("a look")
    });
    assert_eq!(links, ["lo up", "lan0 down"]);
    drop(pinned);
    net.world
        .host
        .run(|| netns::release(&spec.container, net.directory.path()))
        .expect("release");
}
