//! The kernel's limits and interfaces, which all containers share with the host.

use rustix::fs::inotify;

use super::plant;
use crate::common::Host;

/// Takes inotify instances until there is none left, and keeps them in the
/// background.
const INOTIFY_HOG: &str = r#"
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>
int main(void) {
    int taken = 0;
    while (inotify_init1(0) >= 0) taken++;
    printf("%d\n", taken);
    fflush(stdout);
    if (fork() > 0) return 0;
    for (int stream = 0; stream < 3; stream++) close(stream);
    pause();
}"#;

/// The user namespace would belong to the host's root, and the kernel charges its
/// owner, too (`kernel/ucount.c`, inc_ucount).
#[test]
fn inotify_instances_are_the_containers_own() {
    let host = Host::new();
    for name in ["foo", "bar"] {
        host.create(name);
        host.append_conf(name, "PRIVATE_USERS=pick");
        host.run(&["start", name]);
        plant(&host, name, "/root/hog", INOTIFY_HOG);
    }
    let take_all = |name| -> u32 {
        let taken = host.inside(name, "/root/hog");
        taken.trim().parse().expect("a number")
    };
    assert!(take_all("foo") > 0);
    assert_eq!(take_all("foo"), 0, "all were taken");
    inotify::init(inotify::CreateFlags::CLOEXEC).expect("the host's root has its own");
    assert!(take_all("bar") > 0, "another container has its own");
}

/// The owner of a user namespace has all capabilities in it (`man 7 user_namespaces`),
/// so that is not a user of the host.
#[test]
fn a_user_of_the_host_with_the_number_of_its_root_does_not_enter() {
    let host = Host::new();
    host.create("foo");
    host.append_conf("foo", "PRIVATE_USERS=700000");
    let enter = "init=$(cat /sys/fs/cgroup/nixos-container-foo/payload/init.scope/cgroup.procs)
         setpriv --reuid=700000 --regid=700000 --clear-groups \
             nsenter --user --target $init cat /proc/self/uid_map";
    host.run(&["start", "foo"]);
    host.shell(enter);
    host.run(&["stop", "foo"]);
    host.shell("echo alice:x:700000:700000::/:/bin/sh >>/etc/passwd");
    host.run(&["start", "foo"]);
    let entered = host.command("bash").args(["-euc", enter]).output();
    assert!(!entered.expect("it runs").status.success());
}
