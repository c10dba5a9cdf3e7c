//! The kernel's limits and interfaces, which all containers share with the host.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, inotify, unlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::plant;
use crate::common::{Host, wait};

/// A program that takes something until there is none left, prints how many it took, and
/// keeps them in the background. `take` is the condition of its loop, in C.
fn hog(headers: &str, take: &str) -> String {
    format!(
        r#"#define _GNU_SOURCE
{headers}
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
int main(void) {{
    int taken = 0;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    while ({take}) taken++;
    printf("%d\n", taken);
    fflush(stdout);
    if (fork() > 0) return 0;
    for (int stream = 0; stream < 3; stream++) close(stream);
    pause();
}}"#
    )
}

/// The user namespace would belong to the host's root, and the kernel charges its
/// owner, too (`kernel/ucount.c`, inc_ucount).
#[test]
fn inotify_instances_are_the_containers_own() {
    let host = Host::new();
    let hog = hog("#include <sys/inotify.h>", "inotify_init1(0) >= 0");
    for name in ["foo", "bar"] {
        host.create(name);
        host.append_conf(name, "PRIVATE_USERS=pick");
        host.run(&["start", name]);
        plant(&host, name, "/root/hog", &hog);
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

/// A hierarchy of cgroup version 1 with this name, which exists as long as the mount.
fn hierarchy(name: &str) -> OwnedFd {
    let context = fsopen("cgroup", FsOpenFlags::FSOPEN_CLOEXEC).expect("cgroup version 1");
    fsconfig_set_flag(context.as_fd(), "none").expect("a parameter");
    fsconfig_set_string(context.as_fd(), "name", name).expect("a parameter");
    fsconfig_create(context.as_fd()).expect("the machine's own cgroup namespace");
    let attributes = MountAttrFlags::empty();
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).expect("a mount")
}

/// The kernel executes a hierarchy's release agent as root of the machine
/// (CVE-2022-0492).
#[test]
fn hierarchies_of_version_1_are_the_containers_own() {
    let name = "nixos-container-escape";
    let hierarchy = hierarchy(name);
    let host = Host::new();
    host.shell("cd /run/throwaway; printf '#!/bin/sh\\nid -u >$0.ran\\n' >agent; chmod +x agent");
    let agent = host.file("/run/throwaway/agent");
    let mount = format!("mkdir /root/v1; mount -t cgroup -o none,name={name} cgroup /root/v1");
    let take_over = format!(
        "cd /root/v1; echo {} >release_agent
         mkdir x; echo 1 >x/notify_on_release; sh -c 'echo $$ >x/cgroup.procs'",
        agent.display()
    );
    host.create_and_start("foo");
    host.inside("foo", &mount);
    let mut attack = host.nixos_container(&["run", "foo", "--", "bash", "-euc", &take_over]);
    if attack.output().expect("it runs").status.success() {
        let ran = host.file("/run/throwaway/agent.ran");
        wait::until("the agent has run", || ran.exists());
        panic!(
            "the agent has run as {}",
            std::fs::read_to_string(ran).unwrap_or_default()
        );
    }
    // It sees the group for containers, with nothing of the host. A host in another
    // container, as those of other tests, has its group there.
    let seen = host.inside("foo", "cd /root/v1; ls -d */ release_agent || true");
    let seen: Vec<_> = seen
        .lines()
        .filter(|name| *name != "nixos-containers/")
        .collect();
    assert!(seen.is_empty(), "{seen:?}");
    host.create("bar");
    host.append_conf("bar", "PRIVATE_USERS=pick");
    host.run(&["start", "bar"]);
    host.inside(
        "bar",
        &format!("! {{ {mount}; }} || [ ! -e /root/v1/release_agent ]"),
    );
    // It would keep the hierarchy. Containers of other tests may use it, too.
    drop(host);
    let _ = unlinkat(&hierarchy, "nixos-containers", AtFlags::REMOVEDIR);
}

#[test]
fn terminals_are_left_for_other_containers() {
    let host = Host::new();
    let hog = hog(
        "#include <fcntl.h>\n#include <stdlib.h>",
        "posix_openpt(O_RDWR | O_NOCTTY) >= 0",
    );
    for name in ["foo", "bar"] {
        host.create_and_start(name);
        plant(&host, name, "/root/hog", &hog);
    }
    let taken: u32 = host
        .inside("foo", "/root/hog")
        .trim()
        .parse()
        .expect("a number");
    assert!((100..1024).contains(&taken), "{taken}");
    host.inside("bar", "script --quiet --command true /dev/null");
}
