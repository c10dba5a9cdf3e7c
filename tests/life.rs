//! A container's life: created, started, used, stopped, destroyed.

mod common;

use std::process::Command;

use common::Host;
use common::talk::Talk;

#[test]
fn a_container_lives_and_leaves_nothing() {
    let host = Host::new();
    let before = host.inventory();
    host.create("foo");
    assert_eq!(host.run(&["list"]), "foo\n");
    assert_eq!(host.run(&["status", "foo"]), "down\n");
    host.run(&["start", "foo"]);
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    assert_eq!(host.run(&["run", "foo", "--", "id", "-un"]), "root\n");
    host.run(&["stop", "foo"]);
    assert_eq!(host.run(&["status", "foo"]), "down\n");
    host.run(&["destroy", "foo"]);
    assert_eq!(host.run(&["list"]), "");
    host.await_inventory(&before);
}

#[test]
fn a_container_that_was_only_configured_gets_its_directories() {
    let host = Host::new();
    host.write_conf("foo", &format!("SYSTEM_PATH={}", common::minimal_system()));
    host.run(&["start", "foo"]);
    assert_eq!(host.run(&["run", "foo", "--", "id", "-un"]), "root\n");
}

#[test]
fn what_cannot_be_removed_is_named_and_does_not_keep_the_rest() {
    let host = Host::new();
    let before = host.inventory();
    host.create_and_start("foo");
    let root = host.place("STATE_DIR").join("foo");
    let held = root.join("var/held");
    host.shell(&format!(
        "mkdir -p {0}/var; touch {1}; chattr +i {1}",
        root.display(),
        held.display()
    ));
    let mut destroy = host.command("setpriv");
    destroy.args(["--bounding-set", "-linux_immutable"]);
    destroy.arg(env!("CARGO_BIN_EXE_nixos-container"));
    let output = destroy.args(["destroy", "--force", "foo"]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "error: cannot remove {}: foo/var/held: Operation not permitted (os error 1)\n",
            root.display()
        )
    );
    let left = host.shell(&format!("find {}", root.display()));
    assert_eq!(left.lines().count(), 3, "{left}");
    assert_eq!(host.run(&["list"]), "");
    host.shell(&format!("chattr -i {}", held.display()));
    host.run(&["destroy", "foo"]);
    host.await_inventory(&before);
}

#[test]
fn a_read_only_snapshot_below_the_root_is_removed() {
    if Command::new("mkfs.btrfs")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: no btrfs-progs here");
        return;
    }
    let host = Host::new();
    let state = host.place("STATE_DIR");
    let state = state.display();
    host.shell(&format!(
        "truncate --size=200M /run/image; mkfs.btrfs --quiet /run/image
         [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
         # It says of a device without a node that it is lost.
         loop=$(losetup --find | cut -d ' ' -f 1)
         [ -e $loop ] || mknod $loop b 7 ${{loop#/dev/loop}}
         losetup $loop /run/image
         mkdir -p {state}; mount $loop {state}; losetup --detach $loop"
    ));
    host.create("foo");
    host.shell(&format!(
        "cd {state}/foo; btrfs subvolume create data; echo words >data/file; mkdir data/more
         btrfs subvolume snapshot -r data snapshot"
    ));
    host.run(&["destroy", "foo"]);
    assert_eq!(host.shell(&format!("ls -A {state}; umount {state}")), "");
}

#[test]
fn terminate_sends_the_signal_that_is_asked_for() {
    let host = Host::new();
    host.create_and_start("foo");
    let mut logs = Talk::begin(&host.nixos_container(&["logs", "--follow", "foo"]));
    // systemd(1): halts the machine.
    host.run(&["terminate", "foo", "--signal", "RTMIN+3"]);
    logs.hear("Halting system.");
    logs.end();
    host.run(&["start", "foo"]);
    // No time is too long for a halt.
    let mut logs = Talk::begin(&host.nixos_container(&["logs", "--follow", "foo"]));
    let longest = u64::MAX.to_string();
    host.run(&["stop", "foo", "--timeout", &longest]);
    logs.hear("Halting system.");
}

/// As where `/etc` is an overlay that is read-only (NixOS,
/// `system.etc.overlay.mutable`).
#[test]
fn containers_live_where_configurations_are_read_only() {
    let host = Host::new();
    host.create("foo");
    host.shell(
        "mount --bind $NIXOS_CONTAINER_CONF_DIR $NIXOS_CONTAINER_CONF_DIR
         mount -o remount,bind,ro $NIXOS_CONTAINER_CONF_DIR",
    );
    host.run(&["start", "foo"]);
    host.run(&["restart", "foo"]);
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    host.run(&["stop", "foo"]);
}
