//! `run` and `root-login`: a process in a running container.

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::thread;

use common::Host;
use common::talk::Talk;
use common::wait;

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

#[test]
fn a_system_without_a_shell_yet_is_said_to_boot() {
    let host = Host::new();
    let system = host.system_with_init("while :; do sleep 1; done");
    host.run(&["create", "foo", "--system-path", &system]);
    let mut start = host.nixos_container(&["start", "foo"]);
    let mut start = start.stderr(Stdio::null()).spawn().expect("it runs");
    host.shell(&format!(
        "until [ \"$({NIXOS_CONTAINER} status foo)\" = starting ]; do sleep 0.02; done"
    ));
    assert_eq!(
        host.fail(1, &["run", "foo", "--", "true"]),
        "error: cannot enter container 'foo' before it has booted (`nixos-container status foo` \
         says when it is up): cannot execute the login shell /bin/sh: No such file or directory \
         (os error 2)\n"
    );
    host.run(&["terminate", "foo"]);
    assert!(!start.wait().expect("waitable").success());
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
    let sent: Vec<u8> = (0..100_000_000_u32)
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
    // 32 and 33 are the C library's own (man 7 nptl): they cannot be reset.
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

    // One program, whatever the number of rules and answers.
    let count = |status: &str| status.trim().parse::<u32>().expect("a number");
    let filters = "sed -n 's/^Seccomp_filters://p' /proc/self/status";
    let inside = count(&run(&host, &["sh", "-c", filters]));
    assert_eq!(inside, count(&host.shell(filters)) + 1);

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
    let stderr = host.fail(2, &["run", "bar", "--", "true"]);
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
fn a_command_ends_with_the_process_that_waits_for_it() {
    let host = host_with_foo();
    let script = "sleep 1000; echo on";
    let (talk, pid) = begin_with_pid(&host, &format!("echo ready; ({script}); {script}"));
    host.shell(&format!("kill -KILL {pid}"));
    wait::until("its processes are gone", || {
        host.inside("foo", "pgrep -x sleep || true").is_empty()
    });
    drop(talk);
    // A process that it has left in the background on purpose goes on.
    host.inside(
        "foo",
        "setsid sleep 1000 </dev/null >/dev/null 2>&1 & sleep 1000 </dev/null >/dev/null 2>&1 &",
    );
    let sleeping = host.inside("foo", "pgrep -xc sleep");
    assert_eq!(sleeping, "2\n");
}

#[test]
fn words_of_any_length_arrive() {
    let host = host_with_foo();
    let numbers = |command: &str| {
        host.shell(&format!(
            "seq 100000 | xargs {command} | tr ' ' '\\n' | md5sum"
        ))
    };
    let expected = numbers("echo");
    assert_eq!(
        numbers(&format!("{NIXOS_CONTAINER} run foo -- echo")),
        expected
    );
    // As much as the host's kernel takes at once.
    let most = "-s $((1 << 20)) -n 100000";
    assert_eq!(
        numbers(&format!("{most} {NIXOS_CONTAINER} run foo -- echo")),
        expected
    );
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
    for (signal, number) in [
        ("TERM", 15),
        ("INT", 2),
        ("HUP", 1),
        ("QUIT", 3),
        ("USR1", 10),
        ("USR2", 12),
        ("ALRM", 14),
    ] {
        let script = format!(
            "trap \"echo got {signal}; exit {number}\" {signal}; echo ready; sleep 1000 >/dev/null & wait"
        );
        let (mut talk, pid) = begin_with_pid(&host, &script);
        host.shell(&format!("kill -{signal} {pid}"));
        talk.hear(&format!("got {signal}"));
        assert_eq!(talk.end().0, Some(number));
    }
}

/// The container's init cannot end before the command is reaped
/// (`man 7 pid_namespaces`), which a process that is stopped does not do.
#[test]
fn a_stopped_process_that_waits_for_a_command_holds_up_no_end_of_the_container() {
    let host = host_with_foo();
    if !host.remembers_exits() {
        println!("skipped: this kernel is older than 6.15");
        return;
    }
    let begin = |end: &str| {
        // In between, because nsenter stops together with its child.
        let script = format!(
            "{NIXOS_CONTAINER} run foo -- sh -c 'echo ready; read word; {end}' <&0 &
             echo pid $!; wait $!"
        );
        let mut talk = Talk::begin(host.command("bash").args(["-c", &script]));
        let pid = talk.hear("pid ");
        talk.hear("ready");
        (talk, pid)
    };
    let (mut ending, pid_of_ending) = begin("exit 42");
    let (running, pid_of_running) = begin("exit 0");
    let both = format!("{pid_of_ending} {pid_of_running}");
    host.shell(&format!("kill -STOP {both}"));
    ending.say("end");
    let gone = "while pgrep -f '[w]ord; exit 42' >/dev/null; do sleep 0.01; done";
    run(&host, &["timeout", "60", "sh", "-c", gone]);
    host.shell(&format!("timeout 30 {NIXOS_CONTAINER} stop foo"));
    // How they ended is known all the same.
    host.shell(&format!("kill -CONT {both}"));
    assert_eq!(ending.end().0, Some(42));
    // By what systemd sends first, to a shell that heeds it.
    assert_eq!(running.end().0, Some(143));
}

/// As `nohup` and the background of a script want it.
#[test]
fn signals_that_the_caller_ignores_are_not_handed_on() {
    let host = host_with_foo();
    let script = format!(
        "trap '' HUP INT; echo pid $$; exec {NIXOS_CONTAINER} run foo -- \
             sh -c 'trap \"echo got it\" HUP INT; echo ready; read word; echo $word'"
    );
    let mut talk = Talk::begin(host.command("bash").args(["-c", &script]));
    let pid = talk.hear("pid ");
    talk.hear("ready");
    host.shell(&format!("kill -HUP {pid}; kill -INT {pid}"));
    talk.say("nothing");
    assert_eq!(talk.end(), (Some(0), vec!["nothing".to_owned()]));
}

/// As programs do that read their signals from a descriptor, and forget to
/// unblock them for their children.
#[test]
fn signals_that_the_caller_blocks_are_handed_on() {
    let host = host_with_foo();
    let script = format!(
        "echo pid $$; exec env --block-signal=TERM {NIXOS_CONTAINER} run foo -- \
             sh -c 'trap \"echo got it; exit 9\" TERM; echo ready; sleep 1000 >/dev/null & wait'"
    );
    let mut talk = Talk::begin(host.command("bash").args(["-c", &script]));
    let pid = talk.hear("pid ");
    talk.hear("ready");
    host.shell(&format!("kill -TERM {pid}"));
    talk.hear("got it");
    assert_eq!(talk.end().0, Some(9));
}

#[test]
fn a_directory_is_no_standard_stream() {
    let host = host_with_foo();
    let script = format!("{NIXOS_CONTAINER} run foo -- ls /proc/self/fd/0/.. </etc 2>&1 || true");
    assert_eq!(
        host.shell(&script),
        "error: standard input is a directory: a program inside could leave the container by it\n"
    );
}
