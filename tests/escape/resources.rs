//! What all containers share and one could use up: tasks, memory, the host's disk.

use std::process::Stdio;

use super::plant;
use crate::common::{Host, wait};

/// Makes up to 2000 processes that stay, and says how many.
const FORK_BOMB: &str = r#"
#include <stdio.h>
#include <unistd.h>
int main(void) {
    int made;
    for (made = 0; made < 2000; made++) {
        pid_t pid = fork();
        if (pid < 0) break;
        if (pid == 0) {
            for (int stream = 0; stream < 3; stream++) close(stream);
            pause();
        }
    }
    printf("%d\n", made);
}"#;

/// A running container with the users and the lines.
fn start(host: &Host, name: &str, users: &str, lines: &str) {
    host.create(name);
    host.append_conf(name, &format!("PRIVATE_USERS={users}\n{lines}"));
    host.run(&["start", name]);
}

/// The machine's memory in bytes.
fn memory(host: &Host) -> u64 {
    let total = host.shell("sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo");
    total.trim().parse::<u64>().expect("a number") << 10
}

/// A limit on tasks holds with the pids controller, and with users of its own on hosts
/// without that controller too (`kernel/ucount.c`, UCOUNT_RLIMIT_NPROC).
#[test]
fn fork_bomb_ends_at_the_limit_and_another_container_does_not_notice() {
    let host = Host::new();
    for name in ["foo", "bar"] {
        start(&host, name, "pick", "TASKS_MAX=300");
        plant(&host, name, "/root/bomb", FORK_BOMB);
    }
    let bomb = |name| -> u32 {
        let made = host.inside(name, "/root/bomb");
        made.trim().parse().expect("a number")
    };
    let made = bomb("foo");
    assert!((100..300).contains(&made), "{made} processes");
    assert!(bomb("bar") >= 100, "another container has its own limit");
    host.run(&["stop", "foo"]);
    host.run(&["start", "foo"]);
}

/// The log is in the host's memory.
#[test]
fn flood_of_the_console_does_not_fill_the_hosts_memory() {
    let host = Host::new();
    start(&host, "foo", "pick", "CONSOLE_LOG_MAX=64K");
    start(&host, "bar", "pick", "");
    let log = host.file("/run/nixos-containers/foo/console.log");
    let mut flood = host.nixos_container(&["run", "foo", "--", "bash", "-c"]);
    flood.arg("yes the console is full of words >/dev/console");
    let mut flood = flood.stdin(Stdio::null()).spawn().expect("it runs");
    let length = || log.metadata().expect("a log").len();
    // The log has started over when it is shorter than before.
    let mut longest = 0;
    let mut times = 0;
    wait::until("the log to start over many times", || {
        for _ in 0..1000 {
            let now = length();
            assert!(now <= 64 << 10, "{now} bytes");
            times += u32::from(now < longest);
            longest = now;
        }
        times > 20
    });
    assert_eq!(host.status("foo"), "up");
    host.inside("bar", "true");
    flood.kill().expect("it is running");
    flood.wait().expect("it ends");
    host.run(&["terminate", "foo"]);
}

/// In a unit, standard output of the supervisor is the host's journal, where a flood
/// would drive out what others have logged.
#[test]
fn flood_of_the_console_does_not_fill_the_hosts_journal() {
    let host = Host::new();
    let system = host.system_with_init(
        "words=$(printf %1000s words); number=0
         while [ $number -lt 8000 ]; do echo \"$words\"; number=$((number + 1)); done",
    );
    host.create_of("foo", &system);
    let output = host.try_run(&["supervise", "foo"]);
    assert!(output.status.success(), "{output:?}");
    let length = output.stdout.len();
    assert!(length < (1 << 20) + 4096, "{length} bytes");
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().expect("lines");
    assert!(last.contains("exceeds 1 MiB"), "{last}");
}

/// Files in memory take no more than a share of it, in number and size. One of a
/// size that does not fit is refused before any of it is allocated (`mm/shmem.c`,
/// shmem_fallocate).
#[test]
fn file_systems_in_memory_do_not_take_all_of_it() {
    let host = Host::new();
    start(&host, "foo", "pick", "EPHEMERAL=1");
    let memory = memory(&host);
    for (directory, bytes) in [
        ("/dev", 5 << 20),
        ("/dev/shm", memory / 100 * 11),
        ("/tmp", memory / 100 * 11),
        ("/run", memory / 100 * 21),
        ("/root", memory / 100 * 26),
    ] {
        let said = host.inside(
            "foo",
            &format!("fallocate -l {bytes} {directory}/large 2>&1 && echo filled || true"),
        );
        assert!(said.contains("No space left"), "{directory}: {said}");
    }
    for directory in ["/run/host", "/sys/fs", "/proc", "/sys"] {
        let said = host.inside("foo", &format!("touch {directory}/file 2>&1 || true"));
        assert!(!said.is_empty(), "{directory} can be written");
    }
    let files = host.inside(
        "foo",
        "mkdir /dev/many; cd /dev/many; seq 70000 | xargs touch 2>/dev/null || true; ls | wc -l",
    );
    let files: u32 = files.trim().parse().expect("a number");
    assert!((1..65536).contains(&files), "{files} files");
}

/// Keys are kernel memory that no limit of a container counts, for each of its users
/// anew (`man 7 keyrings`, "/proc files").
#[test]
fn keyrings_do_not_take_the_kernels_memory() {
    let host = Host::new();
    start(&host, "foo", "pick", "");
    let source = r#"
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    long key = syscall(SYS_add_key, "user", "key", "x", 1, -3);
    long ring = syscall(SYS_keyctl, 1, "ring");
    printf("%d\n", key >= 0 || ring >= 0);
}"#;
    plant(&host, "foo", "/root/keys", source);
    assert_eq!(host.inside("foo", "/root/keys"), "0\n");
}

/// The kernel's limits that all containers share are settings of the host.
#[test]
fn limits_of_the_kernel_cannot_be_raised_inside() {
    let host = Host::new();
    for users in ["no", "pick"] {
        start(&host, users, users, "");
        for setting in [
            "fs/file-max",
            "fs/inotify/max_user_instances",
            "fs/mount-max",
            "fs/mqueue/queues_max",
            "kernel/keys/maxkeys",
            "kernel/pid_max",
            "kernel/pty/max",
            "kernel/threads-max",
            "user/max_user_namespaces",
            "vm/max_map_count",
        ] {
            let said = host.inside(
                users,
                &format!("echo 2147483647 2>&1 >/proc/sys/{setting} && echo set || true"),
            );
            assert!(
                !said.contains("set\n"),
                "{setting} with users {users}: {said}"
            );
        }
    }
}

/// A key without its controller says so; with it, the group has the value.
#[test]
fn limit_without_its_controller_says_so() {
    let host = Host::new();
    host.create("foo");
    for (key, value, controller, file, expected) in [
        ("MEMORY_MAX", "512M", "memory", "memory.max", "536870912"),
        ("CPU_QUOTA", "50%", "cpu", "cpu.max", "50000 100000"),
        ("IO_WEIGHT", "10", "io", "io.weight", "default 10"),
    ] {
        host.configure("foo", &format!("{key}={value}"));
        let output = host.try_run(&["start", "foo"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let notice = format!(
            "note: {key} has no effect: the container's cgroup does not get the controller \
             '{controller}'"
        );
        if !said.contains(&notice) {
            let path = format!("/sys/fs/cgroup/nixos-container-foo/{file}");
            assert_eq!(
                host.shell(&format!("cat {path}")).trim(),
                expected,
                "{said}"
            );
        }
        host.run(&["stop", "foo"]);
    }
}

#[test]
fn open_files_are_limited_by_the_key() {
    let host = Host::new();
    start(&host, "foo", "pick", "LIMIT_NOFILE=100:200");
    let limits = host.inside("foo", "grep 'open files' /proc/1/limits");
    let numbers: Vec<_> = limits.split_whitespace().skip(3).take(2).collect();
    // Systemd raises its own limit as far as it goes.
    assert_eq!(numbers[1], "200", "{limits}");
    let hard = host.inside("foo", "ulimit -Hn; ulimit -Hn 201 2>&1 || echo refused");
    assert!(
        hard.starts_with("200\n") && hard.contains("refused"),
        "{hard}"
    );
}

#[test]
fn journal_is_limited_by_the_key() {
    let host = Host::new();
    start(&host, "foo", "pick", "JOURNAL_MAX_USE=16M");
    let journal = host.inside("foo", "journalctl -u systemd-journald --no-pager");
    assert!(
        journal.contains("max 16M") || journal.contains("max 16.0M"),
        "{journal}"
    );
}
