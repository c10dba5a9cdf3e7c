//! Processes of a container that are frozen (kernel documentation,
//! admin-guide/cgroup-v2, "cgroup.freeze"): they take no signal but SIGKILL.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::Host;
use crate::common::talk::Talk;

/// Longer than a stop takes on a busy machine, and shorter than without a `--timeout`
/// for an init that does not halt.
const PROMPTLY: Duration = Duration::from_secs(30);

const FREEZE: &str = "echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze";

fn host_with_container() -> Host {
    let host = Host::new();
    host.create("foo");
    host.append_conf("foo", "PRIVATE_USERS=pick");
    host.run(&["start", "foo"]);
    host
}

/// Freezes init from inside, again and again.
fn keep_frozen(host: &Host) -> Talk {
    let script = format!("{FREEZE}; echo frozen; while {FREEZE}; do :; done");
    let mut talk = Talk::begin(&host.nixos_container(&["run", "foo", "--", "sh", "-c", &script]));
    talk.hear("frozen");
    talk
}

#[test]
fn an_init_that_is_frozen_halts_cleanly() {
    let host = host_with_container();
    host.inside(
        "foo",
        &format!(
            "{FREEZE}
             until grep -q 'frozen 1' /sys/fs/cgroup/init.scope/cgroup.events; do sleep 0.05; done"
        ),
    );
    let start = Instant::now();
    host.run(&["stop", "foo"]);
    assert!(start.elapsed() < PROMPTLY);
    // The signal of a power-off (man 2 reboot).
    let log = host.run(&["logs", "foo", "--supervisor"]);
    assert!(log.contains("init has exited: Ok(Signal(2))"), "{log}");
}

#[test]
fn an_init_that_is_kept_frozen_is_killed_when_the_time_is_over() {
    let host = host_with_container();
    let freezer = keep_frozen(&host);
    let start = Instant::now();
    host.run(&["stop", "foo", "--timeout", "2"]);
    assert!(start.elapsed() < PROMPTLY);
    freezer.end();
}

#[test]
fn a_signal_to_the_supervisor_does_not_prolong_a_stop() {
    let host = host_with_container();
    let freezer = keep_frozen(&host);
    let start = Instant::now();
    thread::scope(|scope| {
        let stop = scope.spawn(|| host.run(&["stop", "foo", "--timeout", "5"]));
        host.await_status("foo", "stopping");
        host.shell("pkill -TERM -f 'supervise --detached foo'");
        stop.join().expect("it stops");
    });
    assert!(start.elapsed() < PROMPTLY);
    freezer.end();
}
