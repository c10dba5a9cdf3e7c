//! What root inside leaves in a directory of the host for a user there who helps.

use super::plant;
use crate::common::Host;

/// Prints its effective user and its effective capabilities; with a path, gives that
/// file a capability (`struct vfs_cap_data` of `linux/capability.h`: CAP_SETUID, in
/// effect).
const PROGRAM: &str = r#"
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (argc > 1) {
        struct vfs_cap_data caps = {
            .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
            .data[0].permitted = 1 << CAP_SETUID,
        };
        return setxattr(argv[1], "security.capability", &caps, sizeof caps, 0);
    }
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        if (!strncmp(line, "CapEff:", 7)) printf("%d %s", geteuid(), line + 8);
}"#;

/// The directory of the host that a container is given.
const SHARED: &str = "/run/throwaway/shared/data";

/// A container that is given the directory by this flag.
fn host_with(flag: &str, prepare: &str) -> Host {
    let host = Host::new();
    host.create("foo");
    host.append_conf(
        "foo",
        &format!("PRIVATE_USERS=pick\nEXTRA_NSPAWN_FLAGS={flag}"),
    );
    host.shell(&format!("mkdir -p {SHARED}; {prepare}"));
    host
}

/// Root inside leaves files; what a user of the host gets by them.
fn leave_and_help(host: &Host) -> String {
    plant(host, "foo", "/root/program", PROGRAM);
    host.inside(
        "foo",
        "cd /shared; [ ! -d data ] || cd data
         cp /root/program setuid; cp /root/program capable
         chmod 4755 setuid; chmod 755 capable; ./setuid capable",
    );
    let help = format!(
        "setpriv --reuid=1000 --regid=1000 --clear-groups \
             sh -c '{SHARED}/setuid; {SHARED}/capable; true' 2>&1"
    );
    host.shell(&help)
}

const NOTHING: &str = "1000 0000000000000000\n1000 0000000000000000\n";

#[test]
fn a_shared_directory_that_others_can_reach_takes_no_setuid_files() {
    for (flag, prepare) in [
        ("--bind=/run/throwaway/shared/data:/shared:idmap", ""),
        ("--bind=/run/throwaway/shared/data:/shared:rootidmap", ""),
        // The way that the flag names is closed, but not the directory itself.
        (
            "--bind=/run/throwaway/closed/link:/shared:idmap",
            "cd /run/throwaway; mkdir -m 700 closed; ln -s ../shared/data closed/link",
        ),
        // The directory is mounted with nosuid, but not the one mounted in it.
        (
            "--bind=/run/throwaway/shared:/shared:idmap",
            "mount --bind -o nosuid /run/throwaway/shared /run/throwaway/shared
             mount -t tmpfs data /run/throwaway/shared/data",
        ),
    ] {
        let host = host_with(flag, prepare);
        let started = host.try_run(&["start", "foo"]);
        if started.status.success() {
            panic!("{flag}: {}", leave_and_help(&host));
        }
        let said = String::from_utf8_lossy(&started.stderr).into_owned();
        assert!(
            said.contains("other users of the host can reach it"),
            "{said}"
        );
        assert!(said.contains("mount --bind -o nosuid"), "{said}");
    }
}

#[test]
fn a_shared_directory_without_setuid_programs_gives_nothing() {
    let host = host_with(
        &format!("--bind={SHARED}:/shared:idmap"),
        &format!("mount --bind -o nosuid {SHARED} {SHARED}"),
    );
    host.run(&["start", "foo"]);
    assert_eq!(leave_and_help(&host), NOTHING);
}

#[test]
fn a_closed_or_read_only_directory_can_be_shared() {
    let host = host_with(
        &format!("--bind={SHARED}:/shared:idmap"),
        "chmod 700 /run/throwaway/shared",
    );
    host.run(&["start", "foo"]);
    let helped = leave_and_help(&host);
    assert_eq!(helped.matches("Permission denied").count(), 2, "{helped}");
    host.run(&["stop", "foo"]);
    host.shell("chmod 755 /run/throwaway/shared");
    host.remove_from_conf("foo", "EXTRA_NSPAWN_FLAGS");
    let flag = format!("EXTRA_NSPAWN_FLAGS=--bind-ro={SHARED}:/shared:idmap");
    host.append_conf("foo", &flag);
    host.run(&["start", "foo"]);
    host.inside("foo", "! touch /shared/new");
}
