//! What a container does to the programs that enter it, and to those that start it:
//! they come with the host's privileges, and are the host's until they have become
//! programs inside.

use std::path::Path;

use crate::canary::OPEN_SECRET;
use crate::common::Host;
use crate::stage::Stage;

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
