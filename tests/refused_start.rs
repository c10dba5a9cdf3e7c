//! A start that is refused changes nothing, and says why.

mod common;

use common::{Host, minimal_system};

/// What the host lacks for a start, as lines of a configuration, and the words
/// of the refusal.
const REFUSALS: [(&str, &str); 3] = [
    ("PRIVATE_NETWORK=1\nHOST_BRIDGE=missing", "missing"),
    (
        "PRIVATE_NETWORK=1\nLOCAL_ADDRESS=10.9.0.2\nHOST_ADDRESS=10.9.0.1\nHOST_PORT=tcp:8080:80",
        "8080",
    ),
    ("EXTRA_NSPAWN_FLAGS=--bind=/nowhere", "/nowhere"),
];

/// Starts of a container whose supervisor has another parent each: this command,
/// and a service manager.
const STARTS: [&[&str]; 2] = [&["start", "foo"], &["supervise", "foo"]];

/// The files that say what a container is, with their contents.
fn files(host: &Host) -> String {
    host.shell(
        "find \"$NIXOS_CONTAINER_CONF_DIR\" \"$NIXOS_CONTAINER_STATE_DIR\" \
             /run/nixos-containers/foo -printf '%p %m %u %s\n' -type f -not -name '*.lock' \
             -not -name lock -exec md5sum {} + | sort",
    )
}

#[test]
fn a_refused_start_changes_nothing_and_destroys_nothing() {
    let host = Host::new();
    // It has the port that one of the refused starts asks for.
    host.create("other");
    host.shell("echo 'HOST_PORT=tcp:8080:80' >>\"$NIXOS_CONTAINER_CONF_DIR/other.conf\"");
    host.run(&["start", "other"]);
    host.create("foo");
    host.run(&["start", "foo"]);
    host.run(&["stop", "foo"]);
    let conf = "\"$NIXOS_CONTAINER_CONF_DIR/foo.conf\"";
    let system = minimal_system();
    for (lines, words) in REFUSALS {
        for start in STARTS {
            println!("{lines}: {start:?}");
            host.shell(&format!(
                "printf '%s\n' 'SYSTEM_PATH={system}' DESTROY_ON_STOP=1 PRIVATE_USERS=pick \
                     '{lines}' >{conf}"
            ));
            let before = (files(&host), host.inventory());
            let output = host.try_run(start);
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                !output.status.success() && stderr.contains(words),
                "{stderr}"
            );
            host.await_inventory(&before.1);
            assert_eq!(files(&host), before.0);
        }
    }
}

#[test]
fn an_error_of_the_host_is_told_first_with_users_of_its_own() {
    let host = Host::new();
    host.create("foo");
    // The kernel then adds no address of this family to the host's end of the link.
    host.shell("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
    let addresses = "HOST_ADDRESS6=fd00::1 LOCAL_ADDRESS6=fd00::2";
    // With users of its own, two processes end with the supervisor's error, in
    // either order.
    for users in [["no"; 1].as_slice(), &["pick"; 20]].concat() {
        host.shell(&format!(
            "printf '%s\n' 'SYSTEM_PATH={}' PRIVATE_USERS={users} PRIVATE_NETWORK=1 {addresses} \
                 >\"$NIXOS_CONTAINER_CONF_DIR/foo.conf\"",
            minimal_system()
        ));
        let stderr = host.fail(1, &["start", "foo"]);
        assert!(
            stderr.contains("fd00::1") && !stderr.contains("gave up"),
            "{users}: {stderr}"
        );
    }
}
