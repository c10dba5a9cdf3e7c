//! What is done to a running container from outside: processes that join its
//! namespaces, a configuration that goes, a supervisor that is stopped.

mod common;

use common::{Host, wait};

const NIXOS_CONTAINER: &str = env!("CARGO_BIN_EXE_nixos-container");

/// Longer than any of the commands here may take, and shorter than the processes that
/// have joined would go on.
const BOUND: u32 = 60;

/// Has a program of the host join all namespaces of the running container, as a
/// shell's job in the background; the pid of nsenter.
fn join(host: &Host) -> String {
    let sleep = host.inside("foo", "type -P sleep");
    begin(host, &format!("nsenter -t $init -a {} 600", sleep.trim()))
}

/// Has a process of the host make a child in the container's PID namespace that it
/// never waits for; its pid.
fn join_and_neglect(host: &Host) -> String {
    let script = format!(
        "import ctypes, os, signal, sys
namespace = os.open('/proc/' + sys.argv[1] + '/ns/pid', os.O_RDONLY)
assert ctypes.CDLL(None).setns(namespace, {}) == 0
os.fork()
while True:
    signal.pause()",
        libc::CLONE_NEWPID
    );
    begin(host, &format!("python3 -c \"{script}\" $init"))
}

/// Begins a program in the background that makes a child in the container; its pid.
fn begin(host: &Host, program: &str) -> String {
    let pid = host.shell(&format!(
        "init=$(pgrep -P $(pgrep -f '[s]upervise.* foo$'))
         {program} </dev/null >/dev/null 2>&1 & joined=$!
         # A process inside has two pids.
         until read -r child _ </proc/$joined/task/$joined/children || [ \"$child\" ] &&
             grep -qsP 'NSpid:\\t\\d+\\t' /proc/$child/status; do [ $SECONDS -lt 60 ]; done
         echo $joined"
    ));
    pid.trim().to_owned()
}

/// Runs a command that must be done in time; what it said.
fn in_time(host: &Host, arguments: &[&str]) -> String {
    let mut command = host.command("timeout");
    command.args(["--signal=KILL", &BOUND.to_string(), NIXOS_CONTAINER]);
    let output = command.args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {}: {said}",
        output.status
    );
    said
}

#[test]
fn what_has_joined_from_outside_holds_up_no_end() {
    let host = Host::new();
    host.create("foo");
    for end in [
        &["stop", "foo"][..],
        &["stop", "--timeout", "5", "foo"],
        &["terminate", "foo"],
        &["run", "foo", "--", "systemctl", "--no-block", "poweroff"],
        &["destroy", "--force", "foo"],
    ] {
        host.run(&["start", "foo"]);
        let joined = join(&host);
        in_time(&host, end);
        wait::until("it is down", || {
            ["down", "gone"].contains(&&*host.status("foo"))
        });
        // It was not killed: it ends with the program that it has started.
        wait::until("nsenter has ended", || {
            host.shell(&format!("test -e /proc/{joined} || echo ended")) == "ended\n"
        });
    }
}

#[test]
fn a_process_outside_that_never_waits_for_its_child_inside_is_killed_and_named() {
    let host = Host::new();
    host.create("foo");
    for end in [
        &["stop", "foo"][..],
        &["terminate", "foo"],
        &["destroy", "--force", "foo"],
    ] {
        host.run(&["start", "foo"]);
        let joined = join_and_neglect(&host);
        let said = in_time(&host, end);
        assert!(
            said.contains(&format!(
                "killed process {joined} (python3) of the host, which had a process in the \
                 container and did not wait for its end"
            )),
            "{said}"
        );
        assert!(["down", "gone"].contains(&&*host.status("foo")));
    }
}

#[test]
fn what_runs_exists_without_its_configuration() {
    let host = Host::new();
    let before = host.inventory();
    for (end, left) in [
        (&["stop", "foo"][..], "gone"),
        (&["terminate", "foo"], "gone"),
        (&["destroy", "--force", "foo"], "gone"),
        (&["destroy", "foo"], "gone"),
    ] {
        host.create_and_start("foo");
        let conf = host.place("CONF_DIR");
        host.shell(&format!("cd {}; mv foo.conf foo.conf.old", conf.display()));
        assert_eq!(host.run(&["status", "foo"]), "up\n");
        assert_eq!(host.run(&["list"]), "foo\n");
        assert_eq!(host.run(&["list", "--running"]), "foo\n");
        assert_eq!(host.run(&["run", "foo", "--", "echo", "here"]), "here\n");
        let runs = format!(
            "error: container 'foo' runs, but has no configuration: {}/foo.conf was removed or \
             renamed since its start; put it back, or end the container with \
             `nixos-container stop foo`\n",
            conf.display()
        );
        let system = common::minimal_system();
        let create = ["create", "foo", "--system-path", system, "--force"];
        assert_eq!(host.fail(1, &create[..4]), runs);
        assert_eq!(host.fail(1, &create), runs);
        assert_eq!(host.fail(1, &["restart", "foo"]), runs);
        host.run(end);
        assert_eq!(host.status("foo"), left);
        host.shell(&format!("rm {}/foo.conf.old", conf.display()));
        if end[0] != "destroy" {
            // Its files are still there.
            host.run(&["destroy", "foo"]);
        }
        host.await_inventory(&before);
    }
}
