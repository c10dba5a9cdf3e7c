//! What becomes of forwarded ports and NAT when they are removed together
//! with the host's other rules.

mod common;

use common::packets::Protocol::Tcp;
use common::world::{HOST, OUTSIDE};
use common::{Host, Network, wait};

const THE_OUTSIDE: Network<'_> = Network::Machine("outside");

/// Where a container listens.
const INSIDE: (Network<'_>, u16) = (Network::Container("foo"), 80);

/// As `systemctl reload nftables` does on Debian, whose configuration begins so.
#[test]
fn the_rules_come_back_when_the_hosts_are_read_anew() {
    let host = Host::among_others();
    let own = host.shell("nft list ruleset");
    host.start_with(
        "foo",
        "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\nHOST_PORT=8080:80",
    );
    let on_bridge = "HOST_BRIDGE=br0\nHOST_ADDRESS=10.0.0.1\nLOCAL_ADDRESS=10.0.0.2/24";
    host.start_with("bar", &format!("{on_bridge}\nHOST_PORT=9090:80"));
    // Elements of sets have no order.
    let rules = || host.shell("nft list ruleset | tr -s '{},\t ' '\n' | sort");
    let before = rules();
    for _ in 0..3 {
        host.shell(&format!("nft 'flush ruleset; {own}'"));
        wait::until("the rules are there again", || rules() == before);
    }
    host.exchange(Tcp, Network::Host, "127.0.0.1:8080", INSIDE);
    host.exchange(Tcp, THE_OUTSIDE, &format!("{HOST}:8080"), INSIDE);
    let inside = (Network::Container("bar"), 80);
    host.exchange(Tcp, THE_OUTSIDE, &format!("{HOST}:9090"), inside);

    // Where they are among those that are read, nothing is lost. Until it ends,
    // a container has heard of it.
    host.shell("saved=$(nft list ruleset); nft \"flush ruleset; $saved\"");
    host.run(&["stop", "foo"]);
    let back = "forwarded ports and NAT were removed with the host's rules, and were restored";
    assert_eq!(said(&host, "foo"), [back; 3]);
}

/// What its supervisor has written into a container's log.
fn said(host: &Host, container: &str) -> Vec<String> {
    let log = host.run(&["logs", container]);
    // The console's last line may have no end.
    let ours = log
        .lines()
        .filter_map(|line| line.split_once("nixos-container: "));
    ours.map(|(_, said)| said.to_owned()).collect()
}

/// Each removes what it had put back, which others hear as a loss.
#[test]
fn who_cannot_put_its_rules_back_gives_up_and_says_so_once() {
    let host = Host::among_others();
    let forwarding = "/proc/sys/net/ipv4/ip_forward";
    for (name, network) in [("foo", 7), ("bar", 9)] {
        let addresses =
            format!("HOST_ADDRESS=10.233.{network}.1\nLOCAL_ADDRESS=10.233.{network}.2");
        host.start_with(name, &format!("{addresses}\nNAT=1"));
    }
    host.shell(&format!(
        "echo 0 >{forwarding}
         mount --bind {forwarding} {forwarding}
         mount -o remount,bind,ro {forwarding}
         nft delete table inet nixos-containers"
    ));
    for name in ["foo", "bar"] {
        wait::until("it gives up", || !said(&host, name).is_empty());
    }
    // No supervisor tries it again, however other rules come and go.
    host.shell("for _ in {1..20}; do nft add table inet nixos-containers; nft flush ruleset; done");
    for name in ["foo", "bar"] {
        // It goes on, and what it had to say until here is in its log.
        assert_eq!(host.inside(name, "echo works"), "works\n");
        assert_eq!(
            said(&host, name),
            [format!(
                "forwarded ports and NAT were removed with the host's rules, \
                 and the container goes on without them: cannot set {forwarding}: Read-only \
                 file system (os error 30); when that is fixed, `nixos-container restart \
                 {name}` sets them up again"
            )]
        );
    }
    assert_eq!(host.shell("nft list ruleset"), "");

    host.shell(&format!("umount {forwarding}"));
    host.run(&["restart", "foo"]);
    let foo = Network::Container("foo");
    let seen = host.exchange(Tcp, foo, &format!("{OUTSIDE}:7"), (THE_OUTSIDE, 7));
    assert_eq!(seen.to_string(), HOST);
}
