//! `login`, and what else a user of the host may do who is not root.

mod common;

use std::io::Write;
use std::process::Command;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use common::talk::{Talk, at_terminal};
use common::{Host, PROGRAM, system};

/// To run a command as an ordinary user of the host, who has no name there.
const AS_USER: &str = "setpriv --reuid=54321 --regid=54321 --clear-groups";

/// A host with a container `foo` that runs, whose user alice has a password.
fn host_with_alice() -> Host {
    let host = Host::new();
    let system = system(
        "{
            networking.hostName = \"foo\";
            users.users.alice = { isNormalUser = true; password = \"open sesame\"; };
        }",
    );
    host.create_of("foo", &system);
    host.offer_program();
    host.run(&["start", "foo"]);
    host
}

fn as_user(host: &Host, arguments: &[&str]) -> Command {
    let mut command = host.command("setpriv");
    command.args(["--reuid=54321", "--regid=54321", "--clear-groups", PROGRAM]);
    command.args(arguments);
    command
}

/// Logs alice in.
fn log_in(host: &Host, command: &str) -> Talk {
    let mut talk = Talk::begin(&at_terminal(host, command));
    talk.hear("; press ^] three times within 1 s to leave.");
    talk.await_words("foo login: ");
    talk.say("alice");
    talk.await_words("Password: ");
    talk.say("open sesame");
    talk.await_words("[alice@foo:~]$ ");
    talk.say("echo logged''in");
    talk.hear("loggedin");
    talk
}

fn leave(talk: &mut Talk) {
    let keys = b"\x1d\x1d\x1d";
    talk.input.write_all(keys).expect("it listens");
    talk.hear("Left container 'foo'.");
}

#[test]
fn every_user_of_the_host_gets_a_login_prompt() {
    let host = host_with_alice();
    let by_user = format!("{AS_USER} {PROGRAM} login foo");
    for command in [&by_user, &format!("{PROGRAM} login foo")] {
        let script =
            format!("echo before $(stty -g); {command}; echo code $?; echo after $(stty -g)");
        let mut talk = log_in(&host, &script);
        talk.say("echo $(id -un) $(pwd) $(stty size) $(tty)");
        let said = talk.hear("alice /home/alice 33 111 ");
        assert!(said.starts_with("/dev/pts/"), "{said}");
        // Nothing of the user's on the host, nor of root's.
        talk.say("grep -E '^(Groups|CapEff)' /proc/self/status");
        assert_eq!(talk.hear("Groups:\t"), "100 ");
        assert_eq!(talk.hear("CapEff:\t"), "0000000000000000");
        // After a logout there is another prompt, until the user leaves.
        talk.say("exit");
        talk.await_words("foo login: ");
        leave(&mut talk);
        assert_eq!(talk.hear("code "), "0");
        talk.hear("after ");
        talk.end();
    }
    await_no_prompt(&host);

    a_wrong_password_lets_nobody_in(&host, &by_user);
    a_terminal_is_nobody_elses_while_its_getty_stops(&host, &by_user);
    a_terminal_hangs_up_when_its_getty_is_to_stop(&host, &by_user);
    a_session_ends_with_its_terminal(&host, &by_user);
    prompts_are_limited(&host);
    a_crowd_at_the_public_socket_is_kept_off(&host);
    a_prompt_ends_with_the_container(&host, &by_user);
    containers_with_users_of_their_own_have_prompts_too(&host, &by_user);
}

/// Nothing stays of a prompt that was left, and nothing failed.
fn await_no_prompt(host: &Host) {
    host.shell("timeout 60 sh -c 'while pgrep -f [s]erve-login >/dev/null; do sleep 0.01; done'");
    let inside = "while systemctl --quiet is-active 'container-getty@*' || pgrep -x login; do
                      sleep 0.01
                  done
                  systemctl is-system-running";
    let inside = ["run", "foo", "--", "timeout", "60", "sh", "-c", inside];
    assert_eq!(host.run(&inside), "running\n");
}

fn a_wrong_password_lets_nobody_in(host: &Host, command: &str) {
    let mut talk = Talk::begin(&at_terminal(host, command));
    talk.await_words("foo login: ");
    talk.say("alice");
    talk.await_words("Password: ");
    talk.say("open barley");
    talk.await_words("Login incorrect");
    talk.await_words("login: ");
    leave(&mut talk);
    talk.end();
}

/// Else the getty would start over at the other terminal, or hang it up.
fn a_terminal_is_nobody_elses_while_its_getty_stops(host: &Host, command: &str) {
    let mut talk = Talk::begin(&at_terminal(host, command));
    let said = talk.hear(" - pts/");
    let (number, _) = said.split_once(' ').expect("a number");
    talk.await_words("foo login: ");
    let to_init = |signal: &str| {
        host.shell(&format!(
            "pkill -{signal} -x systemd --parent $(pgrep -f '[s]upervise.* foo$')"
        ))
    };
    to_init("STOP");
    assert_eq!(talk.leave().0, Some(0));
    let other = format!("{PROGRAM} run foo -- tty");
    let mut other = Talk::begin(&at_terminal(host, &other));
    assert_ne!(other.hear("/dev/pts/"), number);
    other.end();
    to_init("CONT");
    await_no_prompt(host);
}

/// Else the getty would fail there again and again, until systemd gives up.
fn a_terminal_hangs_up_when_its_getty_is_to_stop(host: &Host, command: &str) {
    let mut talk = Talk::begin(&at_terminal(host, command));
    let said = talk.hear(" - pts/");
    let (number, _) = said.split_once(' ').expect("a number");
    talk.await_words("foo login: ");
    let to_server = |signal: &str| host.shell(&format!("pkill -{signal} -f '[s]erve-login foo$'"));
    to_server("STOP");
    assert_eq!(talk.leave().0, Some(0));
    // A terminal that is hung up cannot be opened.
    let open = format!(": </dev/pts/{number}");
    host.run(&["run", "foo", "--", "sh", "-c", &open]);
    to_server("CONT");
    await_no_prompt(host);
}

fn a_session_ends_with_its_terminal(host: &Host, command: &str) {
    let mut talk = log_in(host, command);
    let loops = "while :; do sleep 0.1; done";
    talk.say(&format!(
        "sh -c 'trap \"echo hung up >/tmp/word\" HUP; echo trap\"\"ped; {loops}'"
    ));
    talk.hear("trapped");
    host.shell(&format!("pkill -KILL -x -f '{PROGRAM} login foo'"));
    talk.end();
    let wait = "until [ -s /tmp/word ]; do sleep 0.01; done; cat /tmp/word";
    let wait = ["run", "foo", "--", "timeout", "60", "sh", "-c", wait];
    assert_eq!(host.run(&wait), "hung up\n");
}

/// A user with many prompts keeps no other user from the container.
fn prompts_are_limited(host: &Host) {
    let prompts: Vec<_> = (0..16)
        .map(|_| {
            let command = format!("{AS_USER} {PROGRAM} login foo");
            let mut talk = Talk::begin(&at_terminal(host, &command));
            talk.hear("In container");
            talk
        })
        .collect();
    let refused = |command: &str| {
        let mut talk = Talk::begin(&at_terminal(host, &format!("{command}; echo code $?")));
        let said = talk.hear("error: ");
        assert_eq!(talk.hear("code "), "1");
        talk.end();
        said
    };
    let said = refused(&format!("{AS_USER} {PROGRAM} login foo"));
    assert_eq!(
        said,
        "cannot log in to container 'foo': user 54321 has too many connections already"
    );
    let said = refused(&format!("{AS_USER} {PROGRAM} status foo"));
    assert!(
        said.ends_with("user 54321 has too many connections already"),
        "{said}"
    );
    // Others, and root, have theirs.
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    let other = AS_USER.replace("54321", "54322");
    assert_eq!(host.shell(&format!("{other} {PROGRAM} status foo")), "up\n");
    for mut talk in prompts {
        leave(&mut talk);
        talk.end();
    }
    await_no_prompt(host);
}

/// Nor does who asks many times over one connection, nor many users together.
fn a_crowd_at_the_public_socket_is_kept_off(host: &Host) {
    host.shell(
        "python3 - <<'END'
import os, socket, time
def connect(user):
    os.seteuid(user)
    visitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    visitor.connect('/run/nixos-containers-public/foo')
    os.seteuid(0)
    return visitor

def refused(visitor):
    return b'failed' in visitor.recv(9999)

# Those of earlier prompts may still be about to end.
while os.system('pgrep --full \"serve-logi[n]\" >&2') == 0:
    time.sleep(0.02)
# The supervisor may not read the rest.
greedy = connect(54321)
greedy.setblocking(False)
try:
    for _ in range(2000):
        greedy.send(b'\"login\"')
except OSError:
    pass
# Those that the supervisor began, not what these fork.
supervisor = os.popen('pgrep --full \"[s]upervise.* foo$\"').read().strip()
prompts = os.popen(f'pgrep --full --count --parent {supervisor} \"serve-logi[n]\"').read()
assert int(prompts) <= 1, prompts

crowd = [connect(60000 + number // 12) for number in range(1200)]
refusals = sum(refused(visitor) for visitor in crowd)
assert 900 < refusals < 1000, refusals
END",
    );
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    await_no_prompt(host);
}

fn a_prompt_ends_with_the_container(host: &Host, command: &str) {
    let mut talk = log_in(host, &format!("{command}; echo code $?"));
    host.run(&["stop", "foo"]);
    talk.hear("Container 'foo' has stopped.");
    assert_eq!(talk.hear("code "), "1");
    talk.end();
    let said = Talk::begin(&at_terminal(host, command)).hear("error: ");
    assert_eq!(
        said,
        "container 'foo' is not running; start it with `nixos-container start foo`"
    );
}

fn containers_with_users_of_their_own_have_prompts_too(host: &Host, command: &str) {
    host.append_conf("foo", "PRIVATE_USERS=pick");
    host.run(&["start", "foo"]);
    let mut talk = log_in(host, command);
    talk.say("echo o''f $(stat -c '%U %G' $(tty))");
    assert_eq!(talk.hear("of "), "alice tty");
    leave(&mut talk);
    talk.end();
}

#[test]
fn an_ordinary_user_may_look_and_nothing_else() {
    let host = host_with_alice();
    let may = |arguments: &[&str]| common::succeed(&mut as_user(&host, arguments));
    assert_eq!(may(&["list"]), "foo\n");
    assert_eq!(may(&["status", "foo"]), "up\n");
    assert_eq!(may(&["list", "--running"]), "foo\n");
    let table = may(&["list", "--long"]);
    let row: Vec<_> = table
        .lines()
        .nth(1)
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(row[..3], ["foo", "up", "10.233.1.2"]);
    assert_eq!(may(&["show-ip", "foo"]), "10.233.1.2\n");
    let may_not = |arguments: &[&str]| {
        let output = as_user(&host, arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(
        may_not(&["enter", "foo"]),
        "error: `enter` needs root; try `sudo nixos-container enter …`, or log in with a \
         password: `nixos-container login foo`\n"
    );
    assert_eq!(
        may_not(&["login", "foo"]),
        "error: a login prompt needs a terminal as standard input and output\n"
    );
    assert!(may_not(&["logs", "foo"]).contains("needs root"));

    // Nor can anything be reached, or locked, but by asking the supervisor.
    let files = host.shell("find /run/nixos-containers -type f -o -type s -o -type d");
    assert!(
        files.contains("/foo/control\n") && files.contains("lock\n"),
        "{files}"
    );
    for file in files.lines() {
        let probe = format!("test -e {file} || test -r {file}");
        let output = host
            .command("bash")
            .args(["-c", &format!("{AS_USER} sh -c '{probe}'")])
            .output();
        let reached = output.expect("it runs").status.success();
        assert_eq!(reached, file == "/run/nixos-containers", "{file}");
    }
    let listed = host.shell(&format!("{AS_USER} ls /run/nixos-containers-public"));
    assert_eq!(listed, "foo\n");
    // What root may ask is refused to all users there.
    let public = host.file("/run/nixos-containers-public/foo");
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None);
    let socket = socket.expect("a socket");
    let address = SocketAddrUnix::new(&public).expect("a short path");
    rustix::net::connect(&socket, &address).expect("a server listens");
    let mut message = [0; 1024];
    let mut hear = || rustix::io::read(&socket, &mut message).expect("readable");
    assert!(hear() > 0);
    let request = br#"{"signal":9}"#;
    rustix::io::write(&socket, request).expect("writable");
    assert_eq!(hear(), 0, "it hangs up");
    assert_eq!(host.run(&["status", "foo"]), "up\n");
}
