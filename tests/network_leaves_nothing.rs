//! Each kind of network: what `explain` says of it, and that nothing of it is left
//! however the container ends.

mod common;

use common::Host;

/// A kind of network.
struct Mode {
    conf: &'static str,
    /// What `explain` says of it.
    steps: &'static [&'static str],
}

/// Links that are made for the container, and what leads to their addresses.
const MADE: &[Mode] = &[
    Mode {
        conf: "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2",
        steps: &[
            "create veth ve-foo, up, MTU 1480, with peer eth0, address ",
            "ignore router advertisements from ve-foo",
            "add address 10.233.7.1/32 to ve-foo",
            "add address 10.233.7.2/32 to eth0 inside the container",
            "add route to 10.233.7.2/32 through ve-foo",
            "add default route via 10.233.7.1 through eth0 inside the container",
            "add 10.233.7.2 foo foo.containers to /etc/hosts",
        ],
    },
    Mode {
        conf: "HOST_ADDRESS6=fd00:7::1\nLOCAL_ADDRESS6=fd00:7::2",
        steps: &[
            "add address fd00:7::1/128 to ve-foo",
            "add address fd00:7::2/128 to eth0 inside the container",
            "add route to fd00:7::2/128 through ve-foo",
            "add default route via fd00:7::1 through eth0 inside the container",
            "add fd00:7::2 foo foo.containers to /etc/hosts",
        ],
    },
    Mode {
        conf: "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\nHOST_ADDRESS6=fd00:7::1\n\
               LOCAL_ADDRESS6=fd00:7::2\nHOST_PORT=8080:80,udp:53\nNAT=1",
        steps: &[
            "drop packets from ve-foo that have an address of 127.0.0.0/8",
            "forward tcp 0.0.0.0:8080 to 10.233.7.2:80",
            "forward udp [::]:53 to [fd00:7::2]:53",
            "masquerade forwarded connections from 127.0.0.0/8 to 10.233.7.2",
            "masquerade packets from 10.233.7.2 through links other than those of containers",
            "masquerade packets from fd00:7::2 through links other than those of containers",
            "set net.ipv4.conf.ve-foo.route_localnet to 1",
            "add local route to ::1 through ve-foo",
            "set net.ipv4.ip_forward to 1 until the last container goes",
            "set net.ipv6.conf.all.forwarding to 1, and accept_ra to 2",
        ],
    },
    Mode {
        conf: "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\nHOST_ADDRESS6=fd00:7::1\n\
               LOCAL_ADDRESS6=fd00:7::2\nHOST_PORT=8080:80,udp:53\nBIND_HOST=127.0.0.1 ::1",
        steps: &[
            "forward tcp 127.0.0.1:8080 to 10.233.7.2:80",
            "forward udp [::1]:53 to [fd00:7::2]:53",
        ],
    },
    Mode {
        conf: "EXTRA_VETHS=lan,hostName=to-foo,hostBridge=br0 dmz,hostAddress=10.8.0.1,\
               localAddress=10.8.0.2",
        steps: &[
            "create veth to-foo, up, in bridge br0, with its MTU, with peer lan, address ",
            "with peer dmz, address ",
            "add address 10.8.0.1/32 to ve-foo.dmz",
        ],
    },
    Mode {
        conf: "PRIVATE_NETWORK=1",
        steps: &["set lo up inside the container"],
    },
];

/// What the host or others have, which the container uses or gets for a while.
const LENT: &[Mode] = &[
    Mode {
        conf: "HOST_BRIDGE=br0\nHOST_ADDRESS=10.0.0.1\nLOCAL_ADDRESS=10.0.0.2/24\n\
               HOST_ADDRESS6=fd01::1\nLOCAL_ADDRESS6=fd01::2/64\nHOST_PORT=8080:80",
        steps: &[
            "create veth vb-foo, up, in bridge br0, with its MTU, with peer eth0",
            "set net.ipv4.conf.br0.route_localnet to 1",
            "add local route to ::1 through br0",
            "add 10.0.0.2 foo foo.containers to /etc/hosts",
        ],
    },
    Mode {
        conf: "EXTRA_NSPAWN_FLAGS=--network-zone=inner",
        steps: &[
            "lock /run/nixos-containers/zones.lock",
            "create bridge vz-inner, up, MTU 1480, ignoring router advertisements, unless it \
             exists",
            "create veth vb-foo, up, in bridge vz-inner, with its MTU, with peer eth0",
        ],
    },
    Mode {
        conf: "INTERFACES=nic:lan0",
        steps: &[
            "mount the container's network namespace on /run/nixos-containers/foo/",
            "record the settings of nic in /run/nixos-containers/foo/",
            "move nic to lan0 inside the container",
        ],
    },
    Mode {
        conf: "MACVLANS=uplink",
        steps: &["create macvlan mv-uplink on uplink, address "],
    },
    Mode {
        conf: "NETWORK_NAMESPACE_PATH=/run/netns/outside",
        steps: &["join the network namespace /run/netns/outside"],
    },
    Mode {
        conf: "PRIVATE_NETWORK=0",
        steps: &["The network is the host's."],
    },
];

/// The command that comes after a supervisor was killed.
#[derive(Clone, Copy)]
enum Next {
    Start,
    Stop,
    Destroy,
}

fn leaves_nothing(modes: &[Mode]) {
    let host = Host::among_others();
    let failing = host.system_with_init("echo it cannot be; exit 3");
    let next = [Next::Start, Next::Stop, Next::Destroy].into_iter().cycle();
    for (Mode { conf, steps }, next) in modes.iter().zip(next) {
        host.configure("foo", conf);
        let before = host.network();
        let explanation = host.run(&["explain", "foo"]);
        for step in *steps {
            assert!(explanation.contains(step), "no {step:?} in {explanation}");
        }
        assert!(host.network() == before, "explaining changed something");

        host.start("foo");
        host.run(&["stop", "foo"]);
        host.await_network(&format!("stopped with {conf}"), &before);

        host.start("foo");
        host.kill_supervisor("foo");
        match next {
            Next::Start => {
                host.start("foo");
                host.run(&["stop", "foo"]);
            }
            Next::Stop => drop(host.run(&["stop", "foo"])),
            Next::Destroy => drop(host.run(&["destroy", "foo"])),
        }
        host.await_network(&format!("killed with {conf}"), &before);

        host.configure("foo", &format!("{conf}\nSYSTEM_PATH={failing}"));
        let error = host.fail(1, &["start", "foo"]);
        // Of init's end, not of what could not be furnished any more because
        // the links had gone with init.
        let end = "error: cannot start container 'foo': the container's init exited with status \
                   3 before the system had booted\nThe end of its console (all of it: \
                   `nixos-container logs foo`):\nit cannot be\n";
        assert!(error.ends_with(end), "{conf}: {error}");
        host.await_network(&format!("failed with {conf}"), &before);
    }
}

#[test]
fn nothing_is_left_of_what_is_made_for_a_container() {
    leaves_nothing(MADE);
}

#[test]
fn what_is_lent_to_a_container_is_afterwards_what_it_was() {
    leaves_nothing(LENT);
}

#[test]
fn nothing_is_left_of_a_network_that_cannot_be_finished() {
    let host = Host::among_others();
    host.shell("ip route add 10.233.7.2 dev uplink");
    host.configure(
        "foo",
        "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\nEXTRA_VETHS=lan,hostBridge=br0\n\
         INTERFACES=nic\nHOST_PORT=8080:80\nNAT=1",
    );
    let before = host.network();
    assert_eq!(
        host.fail(1, &["start", "foo"]),
        "error: cannot start container 'foo': cannot add route to 10.233.7.2/32 through ve-foo: \
         it exists already; perhaps another container has the same address; see `ip route show \
         10.233.7.2/32`\n"
    );
    host.await_network("after the failed start", &before);
}

#[test]
fn an_init_that_ends_while_ports_are_set_up_is_what_the_error_is_about() {
    let host = Host::among_others();
    let system = host.system_with_init("exit 3");
    host.configure(
        "foo",
        &format!(
            "HOST_ADDRESS6=fd00:7::1\nLOCAL_ADDRESS6=fd00:7::2\nHOST_PORT=8080:80\n\
             BIND_HOST=::1\nSYSTEM_PATH={system}"
        ),
    );
    // Its link goes with it, at any moment from then on.
    for _ in 0..20 {
        assert_eq!(
            host.fail(1, &["start", "foo"]),
            "error: cannot start container 'foo': the container's init exited with status 3 \
             before the system had booted\n"
        );
    }
}
