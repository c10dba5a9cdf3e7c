//! What a container does to the programs that enter it, and to those that start it:
//! they come with the host's privileges, and are the host's until they have become
//! programs inside.

use std::path::{Path, PathBuf};

use rustix::fs::inotify;

use crate::canary::OPEN_SECRET;
use crate::common::talk::{Talk, at_terminal};
use crate::common::{Host, succeed};
use crate::plant;
use crate::stage::{ATTACKER, Stage};

/// The descriptors that a program could have left open.
const DESCRIPTORS: u32 = 28;
/// Leads out of every directory.
const UP: &str = "../../../../../../../..";

/// A container with users of its own, and its root directory.
fn start(stage: &Stage, lines: &str) -> String {
    let host = &stage.host;
    host.create("foo");
    host.append_conf("foo", &format!("PRIVATE_USERS=pick\n{lines}"));
    host.run(&["start", "foo"]);
    let root = host.place("STATE_DIR").join("foo");
    root.display().to_string()
}

/// Adds an account for each descriptor to the container's.
fn add_accounts(host: &Host, root: &str, home: &str, shell: &str) {
    host.shell(&format!(
        "for number in $(seq 0 {DESCRIPTORS}); do
             echo user$number:x:0:0::{home}:{shell} >>{root}/etc/passwd
         done"
    ));
}

/// Enters as each of the accounts; what that printed.
fn enter_as_each(host: &Host, command: &str) -> String {
    host.shell(&format!(
        "for number in $(seq 0 {DESCRIPTORS}); do
             {} enter foo --user user$number -- {command} 2>/dev/null || true
         done",
        env!("CARGO_BIN_EXE_nixos-container")
    ))
}

/// CVE-2024-21626: a home directory that leads through a descriptor of the program
/// that enters, which has directories of the host open.
#[test]
fn a_home_directory_does_not_lead_through_a_descriptor_of_the_host() {
    let stage = Stage::new();
    let root = start(&stage, "");
    let shell = "/run/current-system/sw/bin/sh";
    add_accounts(&stage.host, &root, "/proc/self/fd/$number", shell);
    let seen = enter_as_each(&stage.host, &format!("cat {UP}{OPEN_SECRET}"));
    assert_eq!(seen, "");

    // A program that enters with a directory open and changes into the home there.
    let seen = stage.host.shell(&format!(
        "init=$(cat /sys/fs/cgroup/nixos-container-foo/payload/init.scope/cgroup.procs)
         exec 9</sys/fs/cgroup
         nsenter --target $init --mount --pid {shell} -c 'cd /proc/self/fd/9; cat {UP}{OPEN_SECRET}' 2>/dev/null"
    ));
    assert!(seen.contains(&stage.secret), "{seen}");
}

/// The same for the program itself.
#[test]
fn a_login_shell_is_not_a_program_of_the_host() {
    let stage = Stage::new();
    let root = start(&stage, "");
    let program = "/run/throwaway/canary/sh";
    let busybox = "$(readlink -f /run/current-system/sw/bin/busybox)";
    let busybox = stage.host.inside("foo", &format!("echo {busybox}"));
    stage
        .host
        .shell(&format!("cp {} {program}", busybox.trim()));
    let shell = format!("/proc/self/fd/$number/{UP}{program}");
    add_accounts(&stage.host, &root, "/", &shell);
    assert_eq!(enter_as_each(&stage.host, "/bin/echo got in"), "");

    let seen = stage.host.shell(&format!(
        "init=$(cat /sys/fs/cgroup/nixos-container-foo/payload/init.scope/cgroup.procs)
         exec 9</sys/fs/cgroup
         nsenter --target $init --mount --pid /proc/self/fd/9/{UP}{program} -c 'echo got in'"
    ));
    assert_eq!(seen, "got in\n");
}

/// The same at a start, where the administrator has chosen the directory and the
/// container makes it a link.
#[test]
fn a_working_directory_does_not_lead_through_a_descriptor_of_the_host() {
    let stage = Stage::new();
    let host = &stage.host;
    let system = host.system_with_init(&format!("cat {UP}{OPEN_SECRET}; exit 1"));
    host.create_of("foo", &system);
    host.append_conf(
        "foo",
        "PRIVATE_USERS=pick\nEXTRA_NSPAWN_FLAGS=--chdir=/work",
    );
    let root = host.place("STATE_DIR").join("foo");
    for number in 3..DESCRIPTORS {
        let link = root.join("work");
        host.shell(&format!(
            "mkdir -p {}; ln -sfn /proc/self/fd/{number} {}",
            root.display(),
            link.display()
        ));
        let said = host.fail(1, &["start", "foo"]);
        assert!(!said.contains(&stage.secret), "{number}: {said}");
    }
    assert!(Path::new(&host.file(OPEN_SECRET)).exists());
}

/// A program without libraries, which opens nothing.
const QUIET: &str = "int main(void) { return 0; }";

/// The files of these that are opened while something is done.
fn opened(files: &[PathBuf], act: impl FnOnce()) -> Vec<PathBuf> {
    let events = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK);
    let events = events.expect("an inotify instance");
    let watched: Vec<_> = files
        .iter()
        .map(|file| {
            let number = inotify::add_watch(&events, file, inotify::WatchFlags::OPEN);
            (number.expect("there"), file)
        })
        .collect();
    act();
    let mut opened = Vec::new();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(&events, &mut buffer);
    while let Ok(event) = reader.next() {
        let named = watched.iter().find(|(number, _)| *number == event.wd());
        opened.extend(named.map(|(_, file)| (*file).clone()));
    }
    opened
}

/// The shell of root inside becomes a program that opens nothing by itself.
fn make_shell_quiet(stage: &Stage, root: &str) {
    plant(&stage.host, "foo", "/quiet", QUIET);
    stage
        .host
        .shell(&format!("echo root:x:0:0::/:/quiet >{root}/etc/passwd"));
}

/// CVE-2019-14271: `docker cp` entered the container's root and then looked for a
/// user, for which the C library loads code from there.
#[test]
fn programs_that_enter_load_nothing_from_the_container() {
    let stage = Stage::new();
    let host = &stage.host;
    let root = start(&stage, "");
    make_shell_quiet(&stage, &root);
    let planted = [
        "nsswitch.conf",
        "ld.so.preload",
        "ld.so.cache",
        "locale.alias",
    ];
    let files: Vec<_> = planted
        .iter()
        .map(|name| {
            let path = format!("{root}/etc/{name}");
            host.shell(&format!("rm -f {path}; echo passwd: evil >{path}"));
            host.file(&path)
        })
        .collect();
    let by_ours = opened(&files, || {
        for arguments in [
            &["run", "foo", "--", "x"][..],
            &["enter", "foo", "--user", "root"],
            &["root-login", "foo"],
            &["status", "foo"],
            &["list", "--long"],
        ] {
            host.run(arguments);
        }
    });
    assert_eq!(by_ours, Vec::<PathBuf>::new());

    let by_a_naive_one = opened(&files, || {
        host.shell(&format!(
            "perl -e 'chroot shift; chdir \"/\"; getpwnam(\"nobody\")' {root}"
        ));
    });
    assert!(by_a_naive_one.contains(&files[0]), "{by_a_naive_one:?}");
}

/// CVE-2025-52881: what a runtime writes to its own files of `/proc`, after it has
/// entered, goes where the container's `/proc` leads.
#[test]
fn programs_that_enter_do_not_use_the_proc_of_the_container() {
    let stage = Stage::new();
    let host = &stage.host;
    let root = start(&stage, "");
    make_shell_quiet(&stage, &root);
    plant(host, "foo", "/cover", COVER_PROC);
    host.shell(&format!("echo root:x:0:0::/:/cover >{root}/etc/passwd"));
    host.run(&["run", "foo", "--", "x"]);
    make_shell_quiet(&stage, &root);
    let init = host.shell("cat /sys/fs/cgroup/nixos-container-foo/payload/init.scope/cgroup.procs");
    let init = init.trim();
    let files = ["attr", "oom_score_adj", "uid_map", "setgroups", "fd"]
        .map(|name| host.file(&format!("/proc/{init}/root/proc/self/{name}")));
    let by_ours = opened(&files, || {
        host.run(&["run", "foo", "--", "x"]);
        host.run(&["enter", "foo", "--user", "root"]);
    });
    assert_eq!(by_ours, Vec::<PathBuf>::new());

    let by_a_naive_one = opened(&files, || {
        host.shell(&format!(
            "nsenter --target {init} --mount --pid \
                 /run/current-system/sw/bin/sh -c 'echo 0 >/proc/self/oom_score_adj'"
        ));
    });
    assert_eq!(by_a_naive_one, [files[1].clone()]);
}

/// Mounts a directory over `/proc` that looks like one, as far as a runtime would
/// write to it.
const COVER_PROC: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
int main(void) {
    const char *names[] = { "attr", "oom_score_adj", "uid_map", "setgroups", "fd" };
    char path[64];
    if (mount("none", "/proc", "tmpfs", 0, "mode=755") || mkdir("/proc/self", 0755)) return 1;
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "/proc/self/%s", names[i]);
        if (open(path, O_CREAT | O_WRONLY, 0666) < 0) return 1;
    }
    return 0;
}"#;

/// Processes inside see one that enters as soon as it has their pid namespace.
#[test]
fn a_program_that_enters_shows_processes_inside_nothing_of_the_host() {
    let stage = Stage::new();
    let host = &stage.host;
    let root = start(&stage, "");
    stage.arm(&root);
    plant(host, "foo", "/quiet", QUIET);
    host.shell(&format!("echo quiet:x:0:0::/:/quiet >>{root}/etc/passwd"));
    let watch = || {
        let words = [&["run", "foo", "--"], &ATTACKER[..], &["watcher"]].concat();
        Talk::begin(&host.nixos_container(&words))
    };
    let secret = format!("HOST_SECRET={}", stage.secret);

    let mut watcher = watch();
    watcher.hear("watching");
    for _ in 0..20 {
        let mut command = host.command("env");
        command
            .arg(&secret)
            .arg(env!("CARGO_BIN_EXE_nixos-container"));
        succeed(command.args(["enter", "foo", "--user", "quiet"]));
    }
    let (_, seen) = watcher.end();
    assert_eq!(seen, ["end".to_owned()]);

    let mut watcher = watch();
    watcher.hear("watching");
    let mut naive = host.command("bash");
    let script = format!(
        "init=$(cat /sys/fs/cgroup/nixos-container-foo/payload/init.scope/cgroup.procs)
         exec env {secret} nsenter --target $init --user --mount --pid --setuid 0 --setgid 0 \
             /run/current-system/sw/bin/sleep 60"
    );
    let mut naive = naive.args(["-euc", &script]).spawn().expect("it runs");
    watcher.await_words(&stage.secret);
    watcher.end();
    naive.kill().expect("it runs");
    naive.wait().expect("waitable");
}

/// TIOCSTI and output of a program inside reach the terminal that it has.
#[test]
fn a_terminal_inside_is_not_the_hosts() {
    let stage = Stage::new();
    let host = &stage.host;
    start(&stage, "");
    let show = |whose| format!("stat --dereference --format='{whose} %d:%i.' /proc/self/fd/0");
    let script = format!(
        "init=$(cat /sys/fs/cgroup/nixos-container-foo/payload/init.scope/cgroup.procs)
         {}
         {program} enter foo -- {}
         {program} run foo -- {}
         nsenter --target $init --mount --pid /run/current-system/sw/bin/sh -c \"{}\"",
        show("of-the-host"),
        show("entered"),
        show("run"),
        show("naive"),
        program = env!("CARGO_BIN_EXE_nixos-container"),
    );
    let mut talk = Talk::begin(&at_terminal(host, &script));
    let mut terminal = |whose: &str| {
        let rest = talk.hear(&format!("{whose} "));
        rest.split('.').next().unwrap_or_default().to_owned()
    };
    let hosts = terminal("of-the-host");
    assert_ne!(terminal("entered"), hosts);
    assert_ne!(terminal("run"), hosts);
    assert_eq!(terminal("naive"), hosts);
}
