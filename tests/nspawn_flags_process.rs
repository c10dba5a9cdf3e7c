//! `EXTRA_NSPAWN_FLAGS` that are about init: what it may do and use, and what
//! it is told. Each has its effect here, and under the systemd-nspawn of this
//! machine the same one.

mod common;

use common::Host;
use common::peer::{ROOT, flags_in_conf, has_nspawn, run_by_nspawn, run_here};

/// Flags, what init does under them, and what it prints.
struct Case {
    flags: &'static str,
    script: &'static str,
    printed: &'static str,
}

const CASES: &[Case] = &[
    Case {
        flags: "--capability=cap_sys_time,CAP_SYS_RAWIO --capability 34 \
                --drop-capability=CAP_MKNOD,CAP_SYS_RAWIO --ambient-capability=CAP_NET_RAW \
                --no-new-privileges=on --oom-score-adjust=321 --cpu-affinity=0 --personality=x86",
        script: "grep -E '^(CapBnd|CapAmb|NoNewPrivs|Cpus_allowed_list):' /proc/1/status
                 cat /proc/1/oom_score_adj /proc/1/personality
                 uname -m",
        printed: "CapBnd:\t00000004f6ecafff\n\
                  CapAmb:\t0000000000002000\n\
                  NoNewPrivs:\t1\n\
                  Cpus_allowed_list:\t0\n\
                  321\n\
                  00000008\n\
                  i686\n",
    },
    Case {
        flags: "--capability=all --drop-capability=all",
        script: "grep ^CapBnd: /proc/1/status",
        printed: "CapBnd:\t0000000000000000\n",
    },
    Case {
        flags: "--rlimit=NOFILE=100:200 --rlimit RLIMIT_CORE=1 --rlimit=CORE=0:infinity \
                --rlimit=CPU=1h --rlimit=AS=1G:2G",
        script: "grep -E '^Max (open files|core file|cpu time|address)' /proc/1/limits",
        printed: "Max cpu time              3600                 3600                 seconds   \n\
                  Max core file size        0                    unlimited            bytes     \n\
                  Max open files            100                  200                  files     \n\
                  Max address space         1073741824           2147483648           bytes     \n",
    },
    Case {
        flags: "--setenv=A=1 -E A=2 -EGIVEN --setenv=MISSING -E HOME=/h --hostname=a.b-c \
                --uuid=01234567-89ab-cdef-0123-456789abcdef --chdir=/usr",
        script: "echo $A,$GIVEN,${MISSING-unset},$HOME,$USER
                 hostname
                 echo $container_uuid
                 pwd",
        printed: "2,outside,,/h,root\n\
                  a.b-c\n\
                  01234567-89ab-cdef-0123-456789abcdef\n\
                  /usr\n",
    },
    Case {
        flags: "--system-call-filter=~@chown --system-call-filter=~sethostname \
                --system-call-filter=@swap --system-call-filter=~swapoff \
                --suppress-sync=yes --capability=CAP_SYSLOG",
        script: "exec 2>&1
                 touch /f
                 chown 1 /f
                 hostname changed
                 swapon /f
                 swapoff /f
                 dmesg -s 1 >/dev/null && echo the log can be read
                 sync /dev/null && echo nothing was written",
        printed: "chown: /f: Operation not permitted\n\
                  hostname: sethostname: Operation not permitted\n\
                  swapon: /f: Invalid argument\n\
                  swapoff: /f: Operation not permitted\n\
                  the log can be read\n\
                  nothing was written\n",
    },
    Case {
        flags: "--set-credential=told:a\\x20b\\000c\\n --set-credential=empty: \
                 --load-credential=loaded:/etc/passwd --load-credential=handed:given",
        script: "cd $CREDENTIALS_DIRECTORY; pwd
                 stat -c '%A %u:%g %n' . *
                 od -c told
                 wc -c <empty
                 head -c 4 loaded; echo
                 cat handed
                 touch new 2>/dev/null || echo read-only
                 grep $PWD /proc/mounts | cut -d ' ' -f 3 | sort -u",
        printed: "/run/host/credentials\n\
                  dr-x------ 0:0 .\n\
                  -r-------- 0:0 empty\n\
                  -r-------- 0:0 handed\n\
                  -r-------- 0:0 loaded\n\
                  -r-------- 0:0 told\n\
                  0000000   a       b  \\0   c  \\n\n\
                  0000006\n\
                  0\n\
                  root\n\
                  from outside\n\
                  read-only\n\
                  ramfs\n",
    },
    Case {
        flags: "--as-pid2",
        script: "echo $$
                 echo a terminal of its own >/dev/tty
                 mkfifo /ended; sh -c 'sh -c \"exec 3>/ended\" &'; cat /ended
                 while grep -sq ^State:.Z /proc/[0-9]*/status; do sleep 0.01; done
                 echo an orphan was reaped",
        printed: "2\na terminal of its own\nan orphan was reaped\n",
    },
    Case {
        flags: "--user=alice --ambient-capability=CAP_NET_RAW -E USER=u --chdir=/usr",
        script: "grep -E '^(Uid|Gid|CapPrm|CapEff|CapBnd|CapAmb):' /proc/1/status
                 echo $HOME $USER $LOGNAME
                 pwd
                 stat -L -c %u:%g /proc/self/fd/0",
        printed: "Uid:\t1000\t1000\t1000\t1000\n\
                  Gid:\t100\t100\t100\t100\n\
                  CapPrm:\t0000000000002000\n\
                  CapEff:\t0000000000002000\n\
                  CapBnd:\t00000000fcecafff\n\
                  CapAmb:\t0000000000002000\n\
                  /home/alice u alice\n\
                  /usr\n\
                  1000:100\n",
    },
    Case {
        flags: "-u 1000",
        script: "id -u
                 grep ^CapPrm: /proc/1/status
                 echo $HOME
                 pwd",
        printed: "1000\nCapPrm:\t0000000000000000\n/home/alice\n/\n",
    },
    Case {
        flags: "--console=pipe",
        script: "[ -e /dev/console ] || echo no console
                 [ -p /proc/self/fd/1 ] && echo a pipe
                 echo to the other >&2
                 cat",
        printed: "no console\na pipe\nto the other\n",
    },
];

#[test]
fn flags_have_the_effect_that_they_have_with_nspawn() {
    let host = Host::new();
    let nspawn = has_nspawn(&host);
    for case in CASES {
        let system = host.system_with_init(case.script);
        assert_eq!(
            run_here(&host, &system, &flags_in_conf(case.flags)),
            case.printed,
            "{}",
            case.flags
        );
        if nspawn {
            let printed = run_by_nspawn(&host, &system, case.flags);
            assert_eq!(printed, case.printed, "systemd-nspawn {}", case.flags);
        }
    }
}

#[test]
fn without_flags_calls_of_the_whole_kernel_are_not_there() {
    let host = Host::new();
    let script = "exec 2>&1
         touch /f
         chown 1 /f && echo changed
         swapon /f || echo no swapping
         dmesg || echo no log
         sync /dev/null || echo nothing that could be written";
    let printed = run_here(&host, &host.system_with_init(script), "");
    let expected = "changed\n\
         swapon: /f: Function not implemented\n\
         no swapping\n\
         dmesg: klogctl: Function not implemented\n\
         no log\n\
         sync: /dev/null: Invalid argument\n\
         nothing that could be written\n";
    assert_eq!(printed, expected);
}

#[test]
fn devices_can_be_used_as_far_as_they_are_allowed() {
    let host = Host::new();
    if host.shell("ls /dev/fuse /dev/loop-control 2>/dev/null | wc -l") != "2\n" {
        println!("skipped: this machine has no /dev/fuse or no /dev/loop-control");
        return;
    }
    let script = "exec 2>&1
         try() { if (\"$@\"); then echo \"$1\" yes; else echo \"$1\" no; fi; }
         make_fuse() { mknod /fuse c 10 229; }
         read_fuse() { exec 3</fuse; }
         write_fuse() { [ -e /fuse ] && exec 3>/fuse; }
         make_loop() { mknod /loop c 10 237; }
         open_loop() { exec 3<>/dev/loop-control; }
         make_disk() { mknod /disk b 7 0; }
         for step in make_fuse read_fuse write_fuse make_loop open_loop make_disk; do
             try $step 2>/dev/null
         done";
    let system = host.system_with_init(script);
    let try_with = |allowed: &str| {
        let flags = flags_in_conf("--bind=/dev/loop-control");
        let conf = format!("{flags}\nALLOWED_DEVICES='{allowed}'");
        run_here(&host, &system, &conf)
    };
    let nothing = "make_fuse no\nread_fuse no\nwrite_fuse no\nmake_loop no\nopen_loop no\n\
                   make_disk no\n";
    assert_eq!(try_with(""), nothing);
    assert_eq!(
        try_with("/dev/fuse rm,/dev/loop-control rw"),
        "make_fuse yes\nread_fuse yes\nwrite_fuse no\nmake_loop no\nopen_loop yes\nmake_disk no\n"
    );
    assert_eq!(
        try_with("char-m?sc w\nblock-* m"),
        "make_fuse no\nread_fuse no\nwrite_fuse no\nmake_loop no\nopen_loop no\nmake_disk yes\n"
    );
    let missing = try_with("/dev/nothing");
    assert_eq!(missing, nothing);
}

#[test]
fn an_allowed_device_has_its_node() {
    let host = Host::new();
    if host.shell("ls /dev/fuse 2>/dev/null | wc -l") != "1\n" {
        println!("skipped: this machine has no /dev/fuse");
        return;
    }
    // Read-only, so that the mode and owner of the host's node cannot be changed.
    let system = host.system_with_init(
        "exec 2>&1
         if [ -c /dev/fuse ] && (exec 3<>/dev/fuse); then echo it can be opened; fi
         while read -r _ target _ options _; do
             if [ $target = /dev/fuse ]; then echo ${options%%,*}; fi
         done </proc/mounts",
    );
    for users in ["no", "524288"] {
        let conf = format!("ALLOWED_DEVICES='/dev/fuse rwm'\nPRIVATE_USERS={users}");
        let shown = run_here(&host, &system, &conf);
        assert_eq!(shown, "it can be opened\nro\n", "{users}");
    }
    // The administrator's own mount is the one that counts.
    host.shell("touch /run/throwaway/file");
    let flags = flags_in_conf("--bind=/run/throwaway/file:/dev/fuse");
    let conf = format!("{flags}\nALLOWED_DEVICES=/dev/fuse");
    assert_eq!(run_here(&host, &system, &conf), "rw\n");
}

/// A container that is to run this program under these flags.
fn configure_program(host: &Host, flags: &str, script: &str) {
    let system = host.system_with_init(script);
    host.shell(&format!(
        "mkdir -p $NIXOS_CONTAINER_STATE_DIR
         root=$NIXOS_CONTAINER_STATE_DIR/foo
         rm -rf $root
         {ROOT}"
    ));
    let flags = flags_in_conf(flags);
    host.write_conf("foo", &format!("SYSTEM_PATH={system}\n{flags}"));
}

fn start_program(host: &Host, flags: &str, script: &str) {
    configure_program(host, flags, script);
    host.run(&["start", "foo"]);
}

#[test]
fn a_program_that_says_nothing_is_up_when_it_runs_and_stopped_by_its_signal() {
    let host = Host::new();
    start_program(
        &host,
        "--notify-ready=no --kill-signal=SIGUSR1 --console=pipe",
        "trap 'echo stopped by USR1; exit' USR1
         echo it runs
         while true; do sleep 1 & wait; done",
    );
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    host.await_log("foo", "it runs");
    host.run(&["stop", "foo"]);
    let log = host.run(&["logs", "foo"]);
    assert!(log.contains("stopped by USR1"), "{log}");
}

/// With systemd-nspawn, the container's init starts the commands that enter.
#[test]
fn the_filter_that_init_was_started_with_holds_for_whoever_enters() {
    let host = Host::new();
    let flags = "--notify-ready=no --system-call-filter=~@chown --system-call-filter=~setpriority \
                 --system-call-filter=@swap --suppress-sync=yes";
    // Its shell is there for others, too.
    let program = "mkdir /bin; ln -s $(readlink /proc/$$/exe) /bin/sh
                   echo it runs; while true; do sleep 1; done";
    start_program(&host, flags, program);
    host.await_log("foo", "it runs");
    // What the file says today is for the next start.
    host.remove_from_conf("foo", "EXTRA_NSPAWN_FLAGS");
    let script = "exec 2>&1
                  touch /tmp/f
                  chown $(id -u) /tmp/f
                  renice -n 1 $$
                  swapon /tmp/f
                  sync /dev/null && echo nothing was written
                  rm /tmp/f";
    let held = |swapping: &str| {
        format!(
            "chown: /tmp/f: Operation not permitted\n\
             renice: setpriority: Operation not permitted\n\
             swapon: /tmp/f: {swapping}\n\
             nothing was written\n"
        )
    };
    let command = ["run", "foo", "--", "sh", "-c", script];
    assert_eq!(host.run(&command), held("Invalid argument"));
    let command = ["enter", "--user", "alice", "foo", "--", "sh", "-c", script];
    assert_eq!(host.run(&command), held("Operation not permitted"));
    host.run(&["terminate", "foo"]);

    // Root needs no call to become root.
    start_program(
        &host,
        "--notify-ready=no --system-call-filter=~@setuid",
        program,
    );
    host.await_log("foo", "it runs");
    assert_eq!(host.run(&["run", "foo", "--", "id", "-u"]), "0\n");
    let stderr = host.fail(1, &["enter", "--user", "alice", "foo"]);
    assert_eq!(
        stderr,
        "error: cannot enter container 'foo': cannot enter the container: Operation not \
         permitted (os error 1)\n"
    );
}

/// The systemd-nspawn of Debian 12 copies it all the same.
#[test]
fn nobody_looks_at_a_passive_console() {
    let host = Host::new();
    let system = host.system_with_init("tty && seq 100000");
    assert_eq!(
        run_here(&host, &system, &flags_in_conf("--console=passive")),
        ""
    );
    assert_eq!(host.run(&["logs", "foo"]), "");
}

#[test]
fn a_program_below_the_stub_says_that_it_is_ready_and_is_asked_to_end() {
    let host = Host::new();
    let program = "trap 'echo asked to end; exit' TERM
         tree=$(readlink /proc/$$/exe); tree=${tree%/usr/bin/busybox}
         libraries=$(echo $tree/usr/lib/*-linux-gnu)
         notify() {
             $tree/usr/bin/ld.so --library-path $libraries:$libraries/systemd \\
                 $tree/usr/bin/systemd-notify \"$@\"
         }
         notify STATUS='not heard, for it is no init'
         echo of the caller: $(tr -d '\\0' </proc/1/environ)
         [ -e /go ] || mkfifo /go; cat /go
         notify --pid=parent --ready
         while true; do sleep 1 & wait; done";
    let system = host.system_with_init(program);
    host.write_conf(
        "foo",
        &format!("SYSTEM_PATH={system}\nEXTRA_NSPAWN_FLAGS=-a"),
    );
    let mut starting = host
        .nixos_container(&["start", "foo"])
        .env("SECRET", "1")
        .spawn()
        .expect("it runs");
    host.await_log("foo", "of the caller:\r\n");
    assert_eq!(host.run(&["status", "foo"]), "starting\n");
    host.shell("echo >$NIXOS_CONTAINER_STATE_DIR/foo/go");
    assert!(starting.wait().expect("waitable").success());
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    host.run(&["stop", "foo"]);
    let log = host.run(&["logs", "foo"]);
    assert!(log.contains("asked to end"), "{log}");
}

#[test]
fn a_program_of_another_user_ends_with_its_supervisor() {
    let host = Host::new();
    let before = host.inventory();
    start_program(&host, "--user=alice --notify-ready=no", "exec sleep 1000");
    host.shell(
        "init=$(pgrep -x sleep); supervisor=$(ps -o ppid= $init)
         kill -KILL $supervisor
         timeout 60 tail --pid=$init -f /dev/null",
    );
    host.run(&["destroy", "foo"]);
    host.await_inventory(&before);
}

#[test]
fn init_has_the_limits_of_a_first_process_whatever_the_callers_are() {
    let host = Host::new();
    let system = host.system_with_init("cat /proc/1/limits");
    let plain = run_here(&host, &system, "");
    for limit in [
        "Max stack size            8388608              unlimited ",
        "Max core file size        0                    unlimited ",
        "Max locked memory         8388608              8388608 ",
        "Max open files            1024 ",
        "Max msgqueue size         819200               819200 ",
    ] {
        assert!(plain.contains(limit), "{limit}: {plain}");
    }
    let limited = host.shell(&format!(
        "ulimit -S -s 1000 -n 77 -v 9999999 -u 500 -c 5
         mkdir -p $NIXOS_CONTAINER_STATE_DIR/foo
         {} supervise foo </dev/null | tr -d '\\r'",
        env!("CARGO_BIN_EXE_nixos-container")
    ));
    assert_eq!(limited, plain);
}

#[test]
fn init_has_nothing_of_the_session_that_it_was_started_from() {
    let host = Host::new();
    let facts = "cat /proc/1/oom_score_adj
         # Priority, nice value and policy (man 5 proc_pid_stat).
         cut -d ' ' -f 18,19,41 /proc/1/stat
         ionice -p 1
         grep -E '^(Cpus_allowed_list|SigIgn):' /proc/1/status";
    let system = host.system_with_init(&format!(
        "{facts}
         trap exit TERM; while true; do sleep 1 & wait; done"
    ));
    let flags = flags_in_conf("--notify-ready=no");
    host.write_conf("foo", &format!("SYSTEM_PATH={system}\n{flags}"));
    let command = env!("CARGO_BIN_EXE_nixos-container");
    let log_from = |caller: &str| {
        host.shell(&format!("{caller} {command} start foo"));
        host.await_log("foo", "Cpus_allowed_list");
        host.run(&["terminate", "foo"]);
        host.run(&["logs", "foo"])
    };
    let plain = log_from("");
    assert!(
        plain.starts_with("0\r\n20 0 0\r\nnone: prio 0\r\n"),
        "{plain}"
    );
    let busy = "echo 500 >/proc/self/oom_score_adj; trap '' PIPE USR1
         nice -n 7 ionice -c 3 taskset -c 0 chrt --batch 0";
    assert_eq!(log_from(busy), plain);
}

#[test]
fn properties_are_the_control_groups_or_there_is_a_reason_why_not() {
    let host = Host::new();
    let flags = "--property=TasksMax=50 --notify-ready=no";
    configure_program(&host, flags, "while true; do sleep 1; done");
    let started = host.try_run(&["start", "foo"]);
    if started.status.success() {
        let group = "/sys/fs/cgroup/nixos-container-foo";
        assert_eq!(host.shell(&format!("cat {group}/pids.max")), "50\n");
        return;
    }
    // This machine may have its controllers elsewhere, and a throwaway host has
    // processes in the group above.
    let stderr = String::from_utf8_lossy(&started.stderr);
    let lacking = "--property=TasksMax needs the controller 'pids', which the container's \
                   cgroup does not get";
    assert!(stderr.contains(lacking), "{stderr}");
}

#[test]
fn a_flag_that_cannot_hold_is_an_error_before_anything_starts() {
    let host = Host::new();
    host.create("foo");
    for (line, error) in [
        (
            "ADDITIONAL_CAPABILITIES=CAP_FLY",
            "ADDITIONAL_CAPABILITIES is \"CAP_FLY\", but must be capabilities separated by \
             commas, as CAP_SYS_TIME",
        ),
        (
            "EXTRA_NSPAWN_FLAGS=--property=MemoryMax=lots",
            "--property is \"MemoryMax=lots\", but must be NAME=BYTES, as 512M, a percentage or \
             infinity",
        ),
        (
            "EXTRA_NSPAWN_FLAGS='--set-credential=a:b --load-credential=a:/etc/passwd'",
            "credential 'a' is given twice; remove one of the flags",
        ),
        (
            "EXTRA_NSPAWN_FLAGS=--load-credential=a:/nowhere",
            "cannot load credential 'a': cannot read /nowhere: No such file or directory",
        ),
        (
            "EXTRA_NSPAWN_FLAGS=--load-credential=a:/dev/null",
            "cannot load credential 'a': /dev/null is not a regular file",
        ),
        (
            "EXTRA_NSPAWN_FLAGS=--load-credential=a:b",
            "cannot load credential 'a': 'b' would be a credential of the supervisor, which has \
             none; give an absolute path",
        ),
        (
            "EXTRA_NSPAWN_FLAGS=--ambient-capability=CAP_SYS_TIME",
            "--ambient-capability needs CAP_SYS_TIME, which the container does not have; add it \
             with --capability, or remove it from --drop-capability",
        ),
    ] {
        host.configure("foo", line);
        let stderr = host.fail(1, &["start", "foo"]);
        assert!(stderr.contains(error), "{line}: {stderr}");
    }
}
