//! Terminals: of `run`, `enter` and `root-login`.

mod common;

use std::io::Write;

use common::Host;
use common::talk::{Talk, at_terminal};

/// The command under test, as a word of a shell script.
const NIXOS_CONTAINER: &str = env!("CARGO_BIN_EXE_nixos-container");

/// A host with a container `foo` that runs.
fn host_with_foo() -> Host {
    let host = Host::new();
    host.create_and_start("foo");
    host
}

#[test]
fn at_a_terminal_a_command_has_one_of_the_containers() {
    let host = host_with_foo();
    let mut talk = Talk::begin(&at_terminal(
        &host,
        &format!(
            "{NIXOS_CONTAINER} run foo -- sh -c 'echo named $(tty); echo size $(stty size); \
                 echo listed $(ls $(tty)); test -t 0 && test -t 1 && test -t 2 && echo all three; \
                 echo >/dev/tty controlling; exit 7'
             echo code $?"
        ),
    ));
    let name = talk.hear("named ");
    assert!(name.starts_with("/dev/pts/"), "{name}");
    assert_eq!(talk.hear("size "), "33 111");
    assert_eq!(talk.hear("listed "), name);
    talk.hear("all three");
    talk.hear("controlling");
    assert_eq!(talk.hear("code "), "7");
    talk.end();
}

#[test]
fn what_is_typed_reaches_the_command_and_its_window_has_the_callers_size() {
    let host = host_with_foo();
    let mut talk = Talk::begin(&at_terminal(
        &host,
        &format!(
            "echo callers $(tty)
             exec {NIXOS_CONTAINER} run foo -- \
                 sh -c 'echo ready; read word; echo read $word; stty size; cat; echo end'"
        ),
    ));
    let tty = talk.hear("callers ");
    talk.hear("ready");
    host.shell(&format!("stty -F {tty} rows 50 cols 99"));
    talk.say("word");
    assert_eq!(talk.hear("read "), "word");
    assert_eq!(talk.hear("50 "), "99");
    // ^D ends the input, as at any terminal.
    talk.say("\u{4}");
    talk.hear("end");
    assert_eq!(talk.end().0, Some(0));
}

#[test]
fn interrupt_at_a_terminal_is_the_commands() {
    let host = host_with_foo();
    let mut talk = Talk::begin(&at_terminal(
        &host,
        &format!(
            "exec {NIXOS_CONTAINER} run foo -- \
                 sh -c 'trap \"echo interrupted; exit 9\" INT; echo ready; sleep 1000 >/dev/null & wait'"
        ),
    ));
    talk.hear("ready");
    talk.input.write_all(b"\x03").expect("it listens");
    talk.hear("interrupted");
    assert_eq!(talk.end().0, Some(9));
}

#[test]
fn the_callers_terminal_is_restored_however_the_command_ends() {
    let host = host_with_foo();
    let mut talk = Talk::begin(&at_terminal(
        &host,
        &format!(
            "echo before $(stty -g)
             {NIXOS_CONTAINER} run foo -- true
             echo ended $(stty -g)
             {NIXOS_CONTAINER} run foo -- sh -c 'kill -KILL $$'; echo code $?
             echo killed $(stty -g)
             sh -c 'echo pid $$; exec {NIXOS_CONTAINER} run foo -- \
                 sh -c \"stty size; exec sleep 1000\"'
             echo code $?
             echo after $(stty -g)"
        ),
    ));
    let before = talk.hear("before ");
    assert_eq!(talk.hear("ended "), before);
    assert_eq!(talk.hear("code "), "137");
    assert_eq!(talk.hear("killed "), before);
    let pid = talk.hear("pid ");
    talk.hear("33 111");
    host.shell(&format!("kill -TERM {pid}"));
    assert_eq!(talk.hear("code "), "143");
    assert_eq!(talk.hear("after "), before);
    talk.end();
}

/// `run … | less` at a terminal: keys and settings of the terminal are the
/// pager's, and the output is not a terminal's.
#[test]
fn a_command_in_a_pipeline_leaves_the_terminal_alone() {
    let host = host_with_foo();
    let mut talk = Talk::begin(&at_terminal(
        &host,
        &format!(
            "echo before $(stty -g)
             {NIXOS_CONTAINER} run foo -- sh -c 'echo one; read word; echo read $word' | {{
                 head -n 1 | od -An -c
                 echo during $(stty -g </dev/tty)
                 cat
             }}
             echo after $(stty -g)"
        ),
    ));
    let before = talk.hear("before ");
    assert_eq!(talk.hear("   o   n   e  "), "\\n");
    assert_eq!(talk.hear("during "), before);
    talk.say("word");
    assert_eq!(talk.hear("read "), "word");
    assert_eq!(talk.hear("after "), before);
    talk.end();
}

#[test]
fn much_that_is_typed_waits_while_the_command_writes_much() {
    let host = host_with_foo();
    let mut talk = Talk::begin(&at_terminal(
        &host,
        &format!(
            "exec {NIXOS_CONTAINER} run foo -- \
                 sh -c 'stty raw -echo; echo ready; seq 200000; echo counted $(head -c 200000 | wc -c)'"
        ),
    ));
    talk.hear("ready");
    talk.input.write_all(&[b'x'; 200_000]).expect("it listens");
    assert_eq!(talk.hear("counted "), "200000");
    assert_eq!(talk.end().0, Some(0));
}

/// The command has ended, and its last output waits for a slow terminal: about
/// 20 kB, where each of the two terminals and the command hold less than 16.
#[test]
fn a_resized_window_cuts_off_no_output() {
    let host = host_with_foo();
    let terminal = at_terminal(
        &host,
        &format!(
            "echo pids $PPID $$
             exec {NIXOS_CONTAINER} run foo -- sh -c 'stty -onlcr; echo ready
                 until [ -e /tmp/go ]; do sleep 0.01; done; seq 4300; echo end; touch /tmp/done'"
        ),
    );
    // Behind a shell, which does not stop with the terminal as `nsenter` does.
    let mut shell = host.command("bash");
    shell.args(["-c", "exec 3<&0; \"$@\" <&3 & wait $!", "bash"]);
    let words = terminal.get_args();
    shell.args(words.skip_while(|word| *word != "script"));
    let mut talk = Talk::begin(&shell);
    let pids = talk.hear("pids ");
    let (terminal, command) = pids.split_once(' ').expect("two pids");
    talk.hear("ready");
    host.shell(&format!("kill -STOP {terminal}"));
    host.run(&["run", "foo", "--", "touch", "/tmp/go"]);
    let done = "until [ -e /tmp/done ]; do sleep 0.01; done; sleep 0.3";
    host.run(&["run", "foo", "--", "sh", "-c", done]);
    host.shell(&format!(
        "kill -WINCH {command}; sleep 0.1; kill -CONT {terminal}"
    ));
    talk.hear("4300");
    talk.hear("end");
    assert_eq!(talk.end().0, Some(0));
}

#[test]
fn root_login_is_a_login_shell() {
    let host = host_with_foo();
    let mut talk = Talk::begin(&host.nixos_container(&["root-login", "foo"]));
    talk.say("shopt login_shell; id -un; pwd; echo $0; exit 3");
    let (code, printed) = talk.end();
    assert_eq!(code, Some(3));
    assert_eq!(printed, ["login_shell    \ton", "root", "/root", "-bash"]);

    let login = format!("exec {NIXOS_CONTAINER} root-login foo");
    let mut talk = Talk::begin(&at_terminal(&host, &login));
    talk.say("echo sh''own: $(stty size) $PS1; exit 4");
    assert_eq!(talk.hear("shown: "), "33 111 [\\u@\\h:\\w]\\$");
    assert_eq!(talk.end().0, Some(4));
}

#[test]
fn at_a_terminal_a_command_is_hung_up_when_the_terminal_goes() {
    let host = host_with_foo();
    let script = format!(
        "echo pid $PPID
         exec {NIXOS_CONTAINER} run foo -- \
             sh -c 'trap \"echo hung up >/tmp/word; exit\" HUP; echo ready; sleep 1000 >/dev/null & wait'"
    );
    let mut talk = Talk::begin(&at_terminal(&host, &script));
    let pid_of_terminal = talk.hear("pid ");
    talk.hear("ready");
    host.shell(&format!("kill -KILL {pid_of_terminal}"));
    talk.end();
    let wait = "until [ -s /tmp/word ]; do sleep 0.01; done; cat /tmp/word";
    assert_eq!(
        host.run(&["run", "foo", "--", "timeout", "60", "sh", "-c", wait]),
        "hung up\n"
    );
}

/// In a pipeline a pipe stands for the terminal; a file is the caller's own.
#[test]
fn no_terminal_of_the_callers_is_inside() {
    let host = host_with_foo();
    // The shell writes an error in parts, between which other output can come.
    let list = "for n in 0 1 2; do readlink /proc/$$/fd/$n; done; \
                (tty </dev/tty) 2>/tmp/told; cat /tmp/told >&2";
    let run = format!("{NIXOS_CONTAINER} run foo -- sh -c '{list}'");
    // At a terminal alone they are the container's, which it can name.
    let inside = ["/dev/pts/", "/dev/pts/", "/dev/pts/", "/dev/tty"];
    let none = "sh: 1: cannot open /dev/tty: No such device or address";
    for (script, expected) in [
        (run.clone(), inside),
        (format!("{run} | cat"), ["pipe:", "pipe:", "pipe:", none]),
        (format!("true | {run}"), ["pipe:", "pipe:", "pipe:", none]),
        (
            format!("{run} </etc/hostname"),
            ["/etc/hostname", "pipe:", "pipe:", none],
        ),
        (
            format!("true | {run} | cat"),
            ["pipe:", "pipe:", "pipe:", none],
        ),
        (
            format!("{run} 2>/dev/null"),
            ["/dev/pts/", "/dev/pts/", "/dev/null", "/dev/tty"],
        ),
    ] {
        let mut talk = Talk::begin(&at_terminal(&host, &script));
        let mut lines = expected.map(|_| talk.hear(""));
        // Errors do not come by the way of the others, nor after them.
        lines.sort_by_key(|line| line.starts_with("sh: "));
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{script}: {line}");
        }
        talk.end();
    }
}

#[test]
fn three_times_the_key_leaves_whatever_runs_inside() {
    let host = host_with_foo();
    for (command, code) in [
        ("root-login foo", "0"),
        ("enter foo --root", "0"),
        (
            "run foo -- sh -c 'trap \"\" INT QUIT TSTP; echo here; cat'",
            "1",
        ),
    ] {
        let script = format!(
            "echo before $(stty -g)
             {NIXOS_CONTAINER} {command}; echo code $?
             echo after $(stty -g)"
        );
        let mut talk = Talk::begin(&at_terminal(&host, &script));
        let before = talk.hear("before ");
        if command.starts_with("run") {
            talk.hear("here");
        } else {
            talk.hear("In container 'foo'; press ^] three times within 1 s to leave.");
            talk.say("echo he''re");
            talk.hear("here");
        }
        let keys = b"\x1d\x1dno\x1d\x1d\x1d";
        talk.input.write_all(keys).expect("it listens");
        talk.hear("Left container 'foo'.");
        assert_eq!(talk.hear("code "), code, "{command}");
        assert_eq!(talk.hear("after "), before, "{command}");
        talk.end();
    }
    // What was left is hung up.
    let gone = "until ! pgrep -x cat && [ \"$(pgrep -xc bash)\" = 0 ]; do sleep 0.01; done";
    host.run(&["run", "foo", "--", "timeout", "60", "dash", "-c", gone]);
}

/// A script in a shell that has jobs, at a terminal.
fn with_jobs(host: &Host, script: &str) -> Talk {
    let file = "/run/throwaway/script";
    host.shell(&format!("cat >{file} <<'END'\n{script}\nEND"));
    Talk::begin(&at_terminal(host, &format!("exec bash -m {file}")))
}

/// As with any program: `^Z` stops it, `fg` continues it.
#[test]
fn stopping_a_command_stops_the_program_inside() {
    let host = host_with_foo();
    let run = format!("{NIXOS_CONTAINER} run foo --");
    // By the key, in a pipeline; by a signal, with a terminal inside. A shell
    // that stops while it starts a program waits for that in state D (vfork).
    for (command, key) in [
        (format!("{run} sh -c 'echo $$ >/tmp/pid; echo ready; exec cat' | cat"), "\u{1a}"),
        (
            format!("(until {run} pgrep -x cat </dev/null; do :; done; pkill -TSTP -f '[s]h -c echo on') >/dev/null &
                     {run} sh -c 'echo on; echo $$ >/tmp/pid; echo ready; exec cat'"),
            "",
        ),
    ] {
        let mut talk = with_jobs(
            &host,
            &format!(
                "{command}
                 echo stopped
                 echo inside: $({run} sh -c 'until ps -o stat= -p $(cat /tmp/pid) | grep T; do :; done' </dev/null)
                 fg %+
                 echo code $?"
            ),
        );
        talk.hear("ready");
        talk.input.write_all(key.as_bytes()).expect("it listens");
        talk.hear("stopped");
        let state = talk.hear("inside: ");
        assert!(state.starts_with('T'), "{command}: {state}");
        talk.say("word");
        // Its echo may come from the terminal outside, as long as that still
        // gives keys a meaning of its own; the word itself comes from inside.
        talk.hear("word");
        talk.hear("word");
        talk.input.write_all(b"\x04").expect("it listens");
        assert_eq!(talk.hear("code "), "0");
        talk.end();
    }
}

#[test]
fn a_command_that_is_stopped_does_not_keep_the_container_from_stopping() {
    let host = host_with_foo();
    let mut talk = with_jobs(
        &host,
        &format!(
            "set -o pipefail
             {NIXOS_CONTAINER} run foo -- sh -c 'echo ready; cat' | cat
             timeout 20 {NIXOS_CONTAINER} stop --timeout 5 foo; echo stopped $?
             fg; echo code $?"
        ),
    );
    talk.hear("ready");
    talk.input.write_all(b"\x1a").expect("it listens");
    assert_eq!(talk.hear("stopped "), "0");
    // What systemd sends first is what it died of. Where the kernel does not
    // remember that, it was killed as far as can be known.
    let code = if host.remembers_exits() { "143" } else { "137" };
    assert_eq!(talk.hear("code "), code);
    talk.end();
}

/// Keys are the shell's while a command is in the background; reading them
/// would stop it.
#[test]
fn a_command_in_the_background_does_not_stop_for_keys() {
    let host = host_with_foo();
    let mut talk = with_jobs(
        &host,
        &format!(
            "{NIXOS_CONTAINER} run foo -- \
                 sh -c 'until [ -e /tmp/go ]; do sleep 0.01; done; echo done >&2' >/dev/null &
             echo ready; read word; echo read $word; sleep 1
             {NIXOS_CONTAINER} run foo -- touch /tmp/go </dev/null
             wait %1; echo code $?"
        ),
    );
    talk.hear("ready");
    talk.say("word");
    assert_eq!(talk.hear("read "), "word");
    talk.say("more");
    talk.hear("done");
    assert_eq!(talk.hear("code "), "0");
    talk.end();
}

/// As a login does, which hangs up the processes that had the terminal before.
#[test]
fn a_terminal_that_is_hung_up_inside_can_be_used_again() {
    let host = host_with_foo();
    let greet = "echo echo welcome >>~/.bash_profile";
    host.run(&["run", "foo", "--", "sh", "-c", greet]);
    let login = format!("exec {NIXOS_CONTAINER} run foo -- login -f root");
    let mut talk = Talk::begin(&at_terminal(&host, &login));
    // Of the shell that `login` is executed from, and of its own.
    talk.hear("welcome");
    talk.hear("welcome");
    talk.say("echo logged''in; exit");
    talk.hear("loggedin");
    assert_eq!(talk.end().0, Some(0));
}
