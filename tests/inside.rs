//! `run` and `root-login`: a process in a running container.

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use common::{Host, PATIENCE};

/// The command under test, as a word of a shell script.
const NIXOS_CONTAINER: &str = env!("CARGO_BIN_EXE_nixos-container");

/// A host with a container `foo` that runs.
fn host_with_foo() -> Host {
    let host = Host::new();
    host.create_and_start("foo");
    host
}

/// Runs a command in `foo`, which must succeed; what it printed.
fn run(host: &Host, command: &[&str]) -> String {
    host.run(&[&["run", "foo", "--"], command].concat())
}

/// A program that one talks with line by line.
struct Talk {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Talk {
    /// Runs a command that is killed when it is stuck.
    fn begin(command: &Command) -> Self {
        let mut child = Command::new("timeout")
            .arg("--signal=KILL")
            .arg(PATIENCE.as_secs().to_string())
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        // What runs inside may keep the output open when the command is gone.
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line.trim_end_matches('\r').to_owned());
            }
        });
        Self {
            input: child.stdin.take().expect("piped"),
            child,
            lines,
        }
    }

    /// What follows these words in the next line that has them.
    fn hear(&mut self, words: &str) -> String {
        let mut heard = Vec::new();
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(error) => panic!("no {words:?}, {error}, in: {heard:#?}"),
            };
            if let Some((_, rest)) = line.split_once(words) {
                return rest.to_owned();
            }
            heard.push(line);
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it listens");
    }

    /// Closes its input and hears it out; its exit code and the lines that are
    /// left.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        drop(self.input);
        let code = self.child.wait().expect("waitable").code();
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return (code, rest),
                Err(error) => panic!("{error} after {rest:#?}"),
            }
        }
    }
}

/// A shell script at a terminal of 33 lines and 111 columns.
fn at_terminal(host: &Host, script: &str) -> Command {
    let mut command = host.command("script");
    let script = format!("stty rows 33 cols 111\n{script}");
    command.args(["--quiet", "--return", "--command", &script, "/dev/null"]);
    command
}

#[test]
fn words_arrive_as_given() {
    let host = host_with_foo();
    let words = [
        "a b",
        "it's",
        "\"q\"",
        "$HOME",
        "$(id)",
        "`id`",
        ";",
        "&&",
        "",
        "*",
        "~",
        "\\",
        "\\n",
        "!",
        "#",
        "ünïcödé ✓",
        "two\nlines",
        "\ttab",
        "-n",
        "--",
        "-",
        "--help",
    ];
    let printed = run(&host, &[&["printf", "%s\\0"], &words[..]].concat());
    let arrived: Vec<_> = printed.split_terminator('\0').collect();
    assert_eq!(arrived, words);
    // Words need not be text: a file's name may be in another encoding.
    let latin1 = OsStr::from_bytes(b"caf\xe9");
    let output = host
        .nixos_container(&["run", "foo", "--", "printf", "%s"])
        .arg(latin1)
        .output();
    assert_eq!(output.expect("it runs").stdout, b"caf\xe9");
    // A dash before the command's own name is the shell's business no more
    // than others.
    let stderr = host.fail(127, &["run", "foo", "--", "-c"]);
    assert!(stderr.contains("-c: not found"), "{stderr}");
}

#[test]
fn standard_streams_pass_through_whole_and_apart() {
    let host = host_with_foo();
    // No period that a buffer's length could hide.
    let sent: Vec<u8> = (0..20_000_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut cat = host
        .nixos_container(&["run", "foo", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = cat.stdin.take().expect("piped");
    let received = thread::scope(|scope| {
        let sent = &sent;
        scope.spawn(move || input.write_all(sent).expect("it reads"));
        cat.wait_with_output().expect("it runs")
    });
    assert!(received.status.success());
    assert!(
        sent == received.stdout,
        "{} bytes came back",
        received.stdout.len()
    );

    let output = host.try_run(&["run", "foo", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
}

#[test]
fn the_exit_code_is_the_commands() {
    let host = host_with_foo();
    for (command, code) in [
        (&["true"][..], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "exit 255"], 255),
        // As shells have it: found and not executable, not found, killed by a
        // signal (POSIX, Shell Command Language, 2.8.2).
        (&["/etc"], 126),
        (&["/no/such/command"], 127),
        (&["no-such-command"], 127),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["sh", "-c", "kill -KILL $$"], 137),
    ] {
        let output = host.try_run(&[&["run", "foo", "--"], command].concat());
        assert_eq!(output.status.code(), Some(code), "{command:?}");
    }
}

#[test]
fn a_command_is_roots_login_and_nothing_of_the_callers() {
    let host = host_with_foo();
    let script = format!(
        "cd /tmp; umask 077; trap '' INT HUP
         SECRET=1 HOME=/home/me USER=me PATH=/mine:$PATH TERM=vt220 exec {NIXOS_CONTAINER} \
         run foo -- sh -c 'env; echo PWD=$(pwd); echo ID=$(id); echo UMASK=$(umask)
         grep SigIgn /proc/$$/status | tr : ='"
    );
    let printed = host.shell(&script);
    let said: BTreeMap<_, _> = printed
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let expected = [
        ("HOME", "/root"),
        ("ID", "uid=0(root) gid=0(root) groups=0(root)"),
        ("LOGNAME", "root"),
        ("PATH", "/run/wrappers/bin:/run/current-system/sw/bin"),
        ("PWD", "/root"),
        ("SHELL", "/run/current-system/sw/bin/bash"),
        ("TERM", "vt220"),
        ("UMASK", "0022"),
        ("USER", "root"),
    ];
    for (key, value) in expected {
        assert_eq!(said.get(key), Some(&value), "{key} in:\n{printed}");
    }
    // 32 and 33 are the C library's own (man 7 nptl): nobody can reset them.
    let ignored = said.get("SigIgn").expect("in /proc/PID/status").trim();
    let ignored = u64::from_str_radix(ignored, 16).expect("a mask");
    assert_eq!(ignored & !0x1_8000_0000, 0, "{ignored:x}");
    // What the system's profile and the shell themselves set.
    let further = ["LANG", "NIX_PATH", "NIX_REMOTE", "SHLVL", "SigIgn", "_"];
    let unexpected: Vec<_> = said
        .keys()
        .filter(|key| !expected.iter().any(|(expected, _)| expected == *key))
        .filter(|key| !further.contains(key))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn a_command_has_the_namespaces_and_limits_of_the_container() {
    let host = host_with_foo();
    let bounds = "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp)' /proc/PID/status";
    let namespaces =
        "for n in cgroup ipc mnt net pid time user uts; do readlink /proc/PID/ns/$n; done";
    for script in [bounds, namespaces] {
        let own = run(&host, &["sh", "-c", &script.replace("PID", "self")]);
        let init = run(&host, &["sh", "-c", &script.replace("PID", "1")]);
        assert_eq!(own, init);
        assert!(own.lines().count() >= 8, "{own}");
    }

    let mut cat = Talk::begin(&host.nixos_container(&["run", "foo", "--", "cat"]));
    cat.say("is it there?");
    cat.hear("is it there?");
    let in_its_cgroup = host.shell(
        "find /sys/fs/cgroup -path '*/nixos-container-foo/payload/entered/cgroup.procs' \
         -exec cat {} + | while read -r pid; do cat /proc/$pid/comm; done",
    );
    assert_eq!(in_its_cgroup, "cat\n");
    assert_eq!(cat.end().0, Some(0));
}

#[test]
fn no_file_of_the_callers_is_open_but_the_standard_streams() {
    let host = host_with_foo();
    let open = host.shell(&format!(
        "exec 7</etc/passwd 9>&1; exec {NIXOS_CONTAINER} run foo -- ls /proc/self/fd"
    ));
    // The last is the directory that ls reads.
    assert_eq!(open, "0\n1\n2\n3\n");
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
fn a_container_that_does_not_run_is_one_clear_error() {
    let host = Host::new();
    host.create("foo");
    for command in [&["run", "foo", "--", "true"][..], &["root-login", "foo"]] {
        let stderr = host.fail(1, command);
        assert_eq!(
            stderr,
            "error: container 'foo' is not running; start it with `nixos-container start foo`\n"
        );
    }
    let stderr = host.fail(1, &["run", "bar", "--", "true"]);
    assert!(
        stderr.contains("container 'bar' does not exist"),
        "{stderr}"
    );
    host.fail(2, &["run", "foo"]);
    host.fail(2, &["run", "foo", "--"]);
}

#[test]
fn a_command_ends_with_its_container() {
    let host = host_with_foo();
    for end in [&["stop", "foo"][..], &["terminate", "foo"]] {
        let script = "trap '' TERM HUP INT; echo ready; while :; do sleep 1000; done";
        let mut talk =
            Talk::begin(&host.nixos_container(&["run", "foo", "--", "sh", "-c", script]));
        talk.hear("ready");
        if end[0] == "stop" {
            host.run(&["stop", "--timeout", "2", "foo"]);
        } else {
            host.run(end);
        }
        // Killed by SIGKILL.
        assert_eq!(talk.end().0, Some(137), "{end:?}");
        host.run(&["start", "foo"]);
    }
}

#[test]
fn many_commands_at_once_keep_to_their_own_streams() {
    let host = host_with_foo();
    let script = "while read -r line; do echo \"$0: $line\"; done";
    thread::scope(|scope| {
        for number in 0..10 {
            let host = &host;
            scope.spawn(move || {
                let name = format!("command {number}");
                let command = ["run", "foo", "--", "bash", "-c", script, &name];
                let mut talk = Talk::begin(&host.nixos_container(&command));
                for line in 0..200 {
                    talk.say(&line.to_string());
                    assert_eq!(talk.hear(""), format!("{name}: {line}"));
                }
                assert_eq!(talk.end(), (Some(0), Vec::new()));
            });
        }
    });
}

/// A command and the pid of the process that waits for it.
fn begin_with_pid(host: &Host, script: &str) -> (Talk, String) {
    let shell = format!("echo pid $$; exec {NIXOS_CONTAINER} run foo -- sh -c '{script}'");
    let mut talk = Talk::begin(host.command("bash").args(["-c", &shell]));
    let pid = talk.hear("pid ");
    talk.hear("ready");
    (talk, pid)
}

#[test]
fn signals_are_handed_on_to_the_command() {
    let host = host_with_foo();
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3)] {
        let script = format!(
            "trap \"echo got {signal}; exit {number}\" {signal}; echo ready; sleep 1000 >/dev/null & wait"
        );
        let (mut talk, pid) = begin_with_pid(&host, &script);
        host.shell(&format!("kill -{signal} {pid}"));
        talk.hear(&format!("got {signal}"));
        assert_eq!(talk.end().0, Some(number));
    }
}

/// As with ssh: nobody is left who could hand anything on.
#[test]
fn a_command_outlives_the_killed_process_that_waits_for_it() {
    let host = host_with_foo();
    let (mut talk, pid) = begin_with_pid(&host, "echo ready; read word; echo $word >/tmp/word");
    host.shell(&format!("kill -KILL {pid}"));
    talk.say("still here");
    talk.end();
    let wait = "until [ -s /tmp/word ]; do sleep 0.01; done; cat /tmp/word";
    assert_eq!(
        run(&host, &["timeout", "10", "sh", "-c", wait]),
        "still here\n"
    );
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
        run(&host, &["timeout", "10", "sh", "-c", wait]),
        "hung up\n"
    );
}
