//! Attacks on the host's Nix, by root of a container with users of its own.

use crate::common::own_nix::PROFILES;
use crate::common::talk::Talk;
use crate::common::{Host, PATIENCE};
use crate::plant;

const USERS: &str = "PRIVATE_USERS=pick";

/// `nix-collect-garbage --delete-old` takes the lock `PROFILE.lock` of each profile that
/// it finds, and would make or read the file that the lock leads to.
#[test]
fn planted_locks_of_profiles_lead_the_hosts_collector_nowhere() {
    let host = Host::with_own_nix_and_foo(USERS);
    host.inside(
        "foo",
        "cd /nix/var/nix/profiles
         target=$(readlink -f system)
         # The collector would make this file.
         ln -s $target x-1-link; ln -s x-1-link x
         ln -s /run/throwaway/made-by-the-collector x.lock
         # It would wait for the end of this one for ever: a lock with contents is one
         # that its holder has removed.
         mkdir -p per-user/root; cd per-user/root
         ln -s $target y-1-link; ln -s y-1-link y; echo d >y.lock
         cd /nix/var/nix/gcroots; mkdir deep; ln -s /run/throwaway deep/out",
    );
    host.collect_garbage();
    assert!(!host.has("/run/throwaway/made-by-the-collector"));
    host.run(&["stop", "foo"]);
    host.collect_garbage();
    assert!(!host.has("/run/throwaway/made-by-the-collector"));
    host.run(&["start", "foo"]);
}

/// The directories that a container of an earlier version could write to.
#[test]
fn links_that_were_planted_before_are_removed() {
    let host = Host::with_own_nix();
    host.create("foo");
    host.append_conf("foo", USERS);
    host.shell(&format!(
        "cd {PROFILES}; ln -s system-1-link x
         ln -s /run/throwaway/made-by-the-collector x.lock
         mkdir -p per-user/root; echo d >system.lock"
    ));
    host.run(&["start", "foo"]);
    host.collect_garbage();
    assert!(!host.has("/run/throwaway/made-by-the-collector"));
    assert_eq!(
        host.shell(&format!("ls {PROFILES}")),
        "system\nsystem-1-link\n"
    );
    // It has them all.
    assert_eq!(
        host.inside("foo", "ls /nix/var/nix/profiles"),
        "per-user\nsystem\nsystem-1-link\nx\nx.lock\n"
    );
}

#[test]
fn no_directory_of_the_hosts_nix_is_writable_inside() {
    let host = Host::with_own_nix_and_foo(USERS);
    host.inside(
        "foo",
        "cd /nix/var/nix; for d in profiles gcroots; do touch $d/planted-by-foo; done",
    );
    let found = "find /nix/var/nix -name planted-by-foo";
    assert_eq!(host.shell(found), "");
}

/// Locks files, and keeps them locked.
const LOCK: &str = r#"
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <stdio.h>
    #include <sys/file.h>
    #include <unistd.h>

    int main(int count, char **names) {
        for (int i = 1; i < count; i++) {
            struct flock bytes = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
            int file = open(names[i], O_RDONLY);
            flock(file, LOCK_EX | LOCK_NB);
            fcntl(file, F_OFD_SETLK, &bytes);
        }
        puts("locked");
        fflush(stdout);
        pause();
    }"#;

/// Nix locks `big-lock` for reading as long as it works, and SQLite bytes of its
/// database (`man 2 flock`; https://sqlite.org/lockingv3.html).
#[test]
fn locks_inside_do_not_stop_the_hosts_nix() {
    for lines in [USERS, ""] {
        let host = Host::with_own_nix_and_foo(lines);
        plant(&host, "foo", "/lock", LOCK);
        // All files there, whatever they are called.
        let lock = ["run", "foo", "--", "sh", "-c", "/lock /nix/var/nix/db/*"];
        let mut holder = Talk::begin(&host.nixos_container(&lock));
        holder.await_words("locked");
        host.shell(&format!(
            "echo built >/run/throwaway/file
             timeout {} nix-store --add /run/throwaway/file",
            PATIENCE.as_secs() / 4
        ));
        // Inside, Nix works by the daemon.
        host.inside("foo", "nix-store --query --hash /run/current-system");
        host.run(&["terminate", "foo"]);
        holder.end();
    }
}

/// Nix would take all paths of the store for garbage that a database of its own lacks.
#[test]
fn root_inside_cannot_begin_another_database() {
    let host = Host::with_own_nix_and_foo("");
    host.inside(
        "foo",
        "! touch /nix/var/nix/db/db.sqlite 2>/dev/null
         ! NIX_REMOTE= nix-store --gc 2>/dev/null",
    );
    host.inside("foo", "test -e /run/current-system/init");
}

#[test]
fn without_the_key_no_daemon_is_reached() {
    let host = Host::with_own_nix_and_foo("PRIVATE_USERS=pick\nNIX_DAEMON=0");
    host.inside(
        "foo",
        "! nix-store --query --hash /run/current-system 2>/dev/null
         ! [ -e /nix/var/nix/daemon-socket/socket ]",
    );
    host.shell(
        "grep -v NIX_DAEMON $NIXOS_CONTAINER_CONF_DIR/foo.conf >/run/throwaway/conf.new
                mv /run/throwaway/conf.new $NIXOS_CONTAINER_CONF_DIR/foo.conf",
    );
    host.run(&["restart", "foo"]);
    host.inside("foo", "nix-store --query --hash /run/current-system");
}

/// It would see the store paths of any system that it sets.
#[test]
fn an_untrusted_container_does_not_choose_its_system() {
    let host = Host::new();
    host.create("foo");
    host.append_conf("foo", "UNTRUSTED=1");
    host.run(&["start", "foo"]);
    let secret = host.shell("echo secret >/run/throwaway/x; nix-store --add /run/throwaway/x");
    let set = format!(
        "cd /nix/var/nix/profiles; ln -sfn {0} system-2-link; ln -sfn system-2-link system
         ln -sfn {0} /nix/var/nix/gcroots/x",
        secret.trim()
    );
    host.inside("foo", &set);
    assert_eq!(host.run(&["generations", "foo"]).lines().count(), 1);
    host.inside("foo", &set);
    host.run(&["restart", "foo"]);
    host.inside(
        "foo",
        "! [ -L /nix/var/nix/profiles/system-2-link ]; test -e /nix/var/nix/profiles/system/init",
    );
    host.run(&["stop", "foo"]);
    host.shell(
        "! [ -L $NIXOS_CONTAINER_PROFILE_DIR/foo/system-2-link ]
         [ -z \"$(ls $NIXOS_CONTAINER_GCROOT_DIR/foo)\" ]",
    );
}
