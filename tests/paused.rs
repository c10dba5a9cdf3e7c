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

#[test]
fn a_paused_supervisor_holds_up_no_command_for_ever() {
    let host = Host::new();
    host.create("bar");
    host.create_and_start("foo");
    let supervisor = host.shell("pgrep -f '[s]upervise.* foo$'");
    let supervisor = supervisor.trim();
    host.shell(&format!("kill -STOP {supervisor}"));
    let mut list = host.command("timeout");
    let output = list
        .args(["60", NIXOS_CONTAINER, "list", "--long"])
        .output();
    let output = output.expect("it runs");
    host.shell(&format!("kill -CONT {supervisor}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\nbar "));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "error: cannot connect to the supervisor of container 'foo': it has not answered for 25 \
             s; if it was stopped, `kill -CONT {supervisor}` lets it go on, and `kill -KILL \
             {supervisor}` ends it and the container\n"
        )
    );
}
