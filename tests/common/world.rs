//! A host among others:
//!
//! ```text
//! outside ─────────────── uplink  HOST  br0 ─────── lan
//!  10.99.0.2           10.99.0.1      10.0.0.1       10.0.0.9
//!  fd99::2             fd99::1        fd01::1        fd01::9
//!                                       nic ─────── far
//!                               198.51.100.1         198.51.100.2
//! ```
//!
//! The other machines have no routes to containers, and the host has rules of its
//! own.

use super::{Host, wait};

pub const OUTSIDE: &str = "10.99.0.2";
pub const OUTSIDE6: &str = "fd99::2";
pub const HOST: &str = "10.99.0.1";
pub const HOST6: &str = "fd99::1";

impl Host {
    /// A host with an uplink, a bridge and a spare interface.
    pub fn among_others() -> Self {
        let host = Self::new();
        host.shell(
            "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
             for machine in outside lan far; do
                 ip netns add $machine
                 ip -n $machine link set lo up
                 ip netns exec $machine bash -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
             done
             ip link add uplink mtu 1480 type veth peer name eth0 netns outside mtu 1480
             ip link add port type veth peer name eth0 netns lan
             ip link add nic mtu 1400 address 02:00:00:00:00:77 type veth peer name eth0 netns far
             ip link add br0 type bridge forward_delay 0
             ip link set port master br0
             ip -n outside address add 10.99.0.2/24 dev eth0
             ip -n outside address add fd99::2/64 dev eth0 nodad
             ip -n lan address add 10.0.0.9/24 dev eth0
             ip -n lan address add fd01::9/64 dev eth0 nodad
             ip -n far address add 198.51.100.2/24 dev eth0
             for machine in outside lan far; do ip -n $machine link set eth0 up; done
             for link in uplink port nic br0; do ip link set $link up; done
             ip address add 10.99.0.1/24 dev uplink
             ip address add fd99::1/64 dev uplink nodad
             ip address add 10.0.0.1/24 dev br0
             ip address add fd01::1/64 dev br0 nodad
             ip route add default via 10.99.0.2
             ip -6 route add default via fd99::2
             ip link property add dev nic altname of-the-host
             ip address add 198.51.100.1/24 dev nic
             ip route add 203.0.113.0/24 via 198.51.100.2 dev nic
             nft add table inet own
             nft add chain inet own forward '{ type filter hook forward priority 0; policy accept; }'",
        );
        wait::until("all links are up", || {
            !host
                .shell("ip -o link; ip -n lan -o link")
                .contains("state DOWN")
        });
        host
    }

    /// Everything about the host's network, a line each, sorted: the kernel
    /// lists addresses and routes in the order in which they came.
    pub fn network(&self) -> Vec<String> {
        let script = r"
            ip -o link | sed 's/^/link /'
            ip -o address | sed 's/^/address /'
            ip -o rule; ip -o -6 rule
            ip -o -4 route show table all | sed 's/^/route /'
            ip -o -6 route show table all | sed 's/^/route /'
            nft list ruleset | sed 's/^/rule /'
            sed 's/^/hosts /' /etc/hosts
            grep -rs '' /proc/sys/net/ipv4 /proc/sys/net/ipv6 || true
            find /sys/fs/cgroup -name 'nixos-container*'
            find /run/nixos-containers -mindepth 2 -type f -not -name lock -not -name '*.log' || true
            sed -E 's/^[0-9]+ [0-9]+ [^ ]+ [^ ]+ ([^ ]+).*/mount \1/' /proc/self/mountinfo";
        let mut lines: Vec<_> = self.shell(script).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Waits until the host's network is this again: the kernel removes the
    /// links of a network namespace some time after its last process.
    pub fn await_network(&self, when: &str, expected: &[String]) {
        wait::until_lines(when, expected, || self.network());
    }

    /// A running container with these lines of configuration; what its start
    /// said.
    pub fn start_with(&self, name: &str, lines: &str) -> String {
        self.configure(name, lines);
        self.start(name)
    }

    /// Starts a container; what that said.
    pub fn start(&self, name: &str) -> String {
        let output = self.try_run(&["start", name]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Kills the supervisor of a running container, and waits for the end of it
    /// and of the container, whose resources stay behind.
    pub fn kill_supervisor(&self, name: &str) {
        self.shell(&format!(
            "pid=$(pgrep -fx '.*nixos-container supervise --detached {name}')
             init=$(pgrep -P $pid)
             kill -KILL $pid
             tail --pid=$pid --sleep-interval=0.01 -f /dev/null
             tail --pid=$init --sleep-interval=0.01 -f /dev/null",
        ));
    }
}
