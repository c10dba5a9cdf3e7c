//! Commands that are paused (`SIGSTOP`, as by Ctrl-Z) while their container goes
//! on: its supervisor does not wait for a client that does not listen.

mod common;

use common::{Host, system};

const NIXOS_CONTAINER: &str = env!("CARGO_BIN_EXE_nixos-container");

/// A host with a container that boots until `/run/go` is there.
fn host_with_foo() -> Host {
    let host = Host::new();
    let gated = system(
        "{ systemd.services.gate = {
             wantedBy = [ \"multi-user.target\" ];
             before = [ \"multi-user.target\" ];
             serviceConfig.Type = \"oneshot\";
             script = \"touch /run/waits; until [ -e /run/go ]; do sleep 0.05; done\";
           }; }",
    );
    host.create_of("foo", &gated);
    host
}

/// Waits until a container that starts boots no further.
const AWAIT_GATE: &str = concat!(
    "until ",
    env!("CARGO_BIN_EXE_nixos-container"),
    " run foo -- test -e /run/waits 2>/dev/null; do :; done"
);

/// Has the container's init tell more of its boot than a supervisor keeps for a
/// client that does not listen.
const TELL: &str = "
    python3 - $(pgrep -x systemd --parent $(pgrep -f '[s]upervise.* foo$')) <<'END'
import socket, struct, sys

notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect('/run/nixos-containers/foo/notify')
init = struct.pack('3i', int(sys.argv[1]), 0, 0)
for number in range(2000):
    status = f'STATUS={number}'.encode()
    notify.sendmsg([status], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, init)])
END
";

/// The way of a script to pause `$paused`, which waits for news, while init tells
/// more than it can hear.
fn pause() -> String {
    format!(
        "until read -r call _ </proc/$paused/syscall && [ $call = {} ]; do :; done
         kill -STOP $paused
         {TELL}",
        libc::SYS_recvmsg
    )
}

/// Starts the container and pauses that while it boots and `then` happens; what
/// the start says.
fn start_paused(host: &Host, then: &str) -> String {
    host.shell(&format!(
        "{NIXOS_CONTAINER} start foo 2>&1 & paused=$!
         {AWAIT_GATE}
         {}
         {then}
         until [ $({NIXOS_CONTAINER} status foo) = down ]; do :; done
         kill -CONT $paused
         ! wait $paused",
        pause()
    ))
}

#[test]
fn a_start_that_was_paused_tells_how_its_container_ended() {
    let host = host_with_foo();
    for (then, said) in [
        (
            format!("{NIXOS_CONTAINER} terminate --signal=KILL foo"),
            "init was killed by signal 9 before the system had booted",
        ),
        (
            format!("{NIXOS_CONTAINER} stop foo"),
            "container 'foo' was stopped while it started",
        ),
    ] {
        let output = start_paused(&host, &then);
        assert!(output.contains(said), "{output}");
    }
}

#[test]
fn a_reload_that_was_paused_takes_on_the_system_of_a_container_that_has_booted() {
    let host = host_with_foo();
    let output = host.shell(&format!(
        "{NIXOS_CONTAINER} start foo & start=$!
         {AWAIT_GATE}
         {NIXOS_CONTAINER} reload foo 2>&1 & paused=$!
         {}
         {NIXOS_CONTAINER} run foo -- touch /run/go
         wait $start
         kill -CONT $paused
         wait $paused",
        pause()
    ));
    assert!(output.contains("activating the configuration"), "{output}");
}

/// Longer than a command takes that waits for an answer once, and shorter than one that
/// waits for each container.
const BOUND: &str = "20";

#[test]
fn paused_supervisors_hold_up_no_list() {
    let host = Host::new();
    host.create("down");
    let names = ["one", "three", "two"];
    for name in names {
        host.create_and_start(name);
    }
    host.shell("pkill -STOP -f '[s]upervise --detached'");
    let list = |option| {
        let mut list = host.command("timeout");
        list.args([BOUND, NIXOS_CONTAINER, "list", option]);
        list.output().expect("it runs")
    };
    let (table, json) = (list("--long"), list("--json"));
    let status = host.try_run(&["status", "two"]);
    host.shell("pkill -CONT -f '[s]upervise --detached'");
    let supervisor = host.shell("pgrep -f '[s]upervise.* two$'");
    let stderr = String::from_utf8_lossy(&table.stderr).into_owned();
    assert_eq!(table.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), names.len(), "{stderr}");
    let error = format!(
        "error: cannot connect to the supervisor of container 'two': a signal has stopped it; \
         `kill -CONT {}` lets it go on; `nixos-container terminate two` ends it and the container\n",
        supervisor.trim()
    );
    assert!(stderr.contains(&error), "{stderr}");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("\ndown "), "{table}");
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    for name in names {
        let mut words = table.lines().map(|line| line.split_whitespace());
        assert!(words.any(|mut words| words.next() == Some(name) && words.next() == Some("unresponsive")));
        let mut rows = rows.as_array().expect("a list").iter();
        assert!(
            rows.any(|row| row["name"] == name && row["state"] == "unresponsive"),
            "{name}"
        );
    }
    assert_eq!(status.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&status.stdout), "unresponsive\n");
}

#[test]
fn a_paused_supervisor_keeps_no_container_alive() {
    let host = Host::new();
    host.create("foo");
    // Of its files there are more after a start.
    let inventory = || {
        let mut lines = host.inventory();
        lines.retain(|line| !line.starts_with("file "));
        lines
    };
    let stopped = inventory();
    for end in [&["terminate", "foo"][..], &["destroy", "--force", "foo"]] {
        host.run(&["start", "foo"]);
        host.shell("pkill -STOP -f '[s]upervise --detached foo$'");
        let mut command = host.command("timeout");
        command.args([BOUND, NIXOS_CONTAINER]).args(end);
        common::succeed(&mut command);
        common::wait::until_lines("the inventory", &stopped, inventory);
    }
    assert_eq!(host.status("foo"), "gone");
}
