//! Containers whose root is empty at every start, and those that are destroyed
//! when they stop.

mod common;

use common::{Host, minimal_system, wait};

/// A container that is destroyed when it stops, and what there was without it.
fn ephemeral(host: &Host, system: &str) -> Vec<String> {
    let before = host.inventory();
    host.create_with("foo", &["--ephemeral", "--system-path", system]);
    before
}

#[test]
fn an_ephemeral_container_starts_empty_and_leaves_nothing() {
    let host = Host::new();
    let before = ephemeral(&host, minimal_system());
    let conf = host.conf("foo");
    assert!(conf.contains("\nEPHEMERAL=1\n"), "{conf}");
    // Created and not started yet, it waits.
    assert_eq!(host.run(&["list"]), "foo\n");
    host.run(&["start", "foo"]);
    let root = host.run(&["run", "foo", "--", "stat", "-fc", "%T", "/"]);
    assert_eq!(root, "tmpfs\n");
    let data = "/var/lib/data";
    host.run(&["run", "foo", "--", "touch", data]);
    // A new root, and the same container.
    let gone = || host.try_run(&["run", "foo", "--", "test", "!", "-e", data]);
    host.run(&["restart", "foo"]);
    assert!(gone().status.success());
    host.run(&["run", "foo", "--", "touch", data]);
    host.try_run(&["run", "foo", "--", "systemctl", "reboot"]);
    wait::until("it comes back", || gone().status.success());
    host.run(&["stop", "foo"]);
    assert_eq!(host.run(&["list"]), "");
    host.await_inventory(&before);
}

#[test]
fn whatever_ends_an_ephemeral_container_it_leaves_nothing() {
    let host = Host::new();
    for (end, next) in [
        (
            "nixos-container run foo -- systemctl poweroff || true; ended",
            "",
        ),
        ("kill $supervisor; ended", ""),
        ("nixos-container terminate foo", ""),
        ("nixos-container destroy foo", ""),
        // The next command clears it away.
        ("kill -KILL $supervisor; ended", "nixos-container list"),
        // The machine lost its power.
        (
            "kill -KILL $supervisor; ended; rm -rf /run/nixos-containers/foo",
            "! nixos-container start foo",
        ),
    ] {
        println!("{end}");
        let before = ephemeral(&host, minimal_system());
        host.run(&["start", "foo"]);
        host.run(&["run", "foo", "--", "touch", "/data"]);
        let listed = host.shell(&format!(
            "nixos-container() {{ {} \"$@\"; }}
             ended() {{ while kill -0 $supervisor 2>/dev/null; do sleep 0.02; done; }}
             supervisor=$(pgrep -f '[s]upervise --detached foo')
             {end}; {next}",
            env!("CARGO_BIN_EXE_nixos-container")
        ));
        assert_eq!(listed, "");
        host.await_inventory(&before);
    }
}

#[test]
fn a_supervisor_killed_while_it_destroys_is_finished_by_the_next_command() {
    let host = Host::new();
    for delay in ["0", "0.05", "0.1", "0.15", "0.2"] {
        let before = ephemeral(&host, minimal_system());
        // There is more to take back of one with users of its own.
        host.append_conf("foo", "PRIVATE_USERS=pick");
        host.run(&["start", "foo"]);
        let listed = host.shell(&format!(
            "nixos-container() {{ {} \"$@\"; }}
             supervisor=$(pgrep -f '[s]upervise --detached foo')
             nixos-container terminate foo & sleep {delay}
             kill -KILL $supervisor 2>/dev/null || true
             wait; while kill -0 $supervisor 2>/dev/null; do sleep 0.02; done
             nixos-container list",
            env!("CARGO_BIN_EXE_nixos-container")
        ));
        assert_eq!(listed, "");
        host.await_inventory(&before);
    }
}

#[test]
fn a_failed_start_of_an_ephemeral_container_shows_its_console_and_leaves_nothing() {
    let host = Host::new();
    let before = ephemeral(&host, &host.system_with_init("echo last words; exit 3"));
    assert_eq!(
        host.fail(1, &["start", "foo"]),
        "error: cannot start container 'foo': the container's init exited with status 3 before \
         the system had booted\nThe end of its console:\nlast words\n"
    );
    host.await_inventory(&before);
}

#[test]
fn a_boot_that_takes_too_long_names_no_file_that_is_gone() {
    let host = Host::new();
    let before = ephemeral(&host, &host.system_with_init("while :; do sleep 1; done"));
    let conf = host.conf_path("foo");
    host.append_conf("foo", "TIMEOUT_START_SEC=1");
    assert_eq!(
        host.fail(1, &["start", "foo"]),
        format!(
            "error: cannot start container 'foo': the system had not booted after 1 s and was \
             killed; if it needs longer, create the container again, and set TIMEOUT_START_SEC \
             in {conf} before its start\n"
        )
    );
    host.await_inventory(&before);
}

#[test]
fn a_start_that_is_refused_does_not_destroy_the_container() {
    let host = Host::new();
    ephemeral(&host, minimal_system());
    host.append_conf("foo", "EXTRA_NSPAWN_FLAGS=--bind=/nowhere");
    host.fail(1, &["start", "foo"]);
    host.remove_from_conf("foo", "EXTRA_NSPAWN_FLAGS");
    host.run(&["start", "foo"]);
}

/// The story of nixpkgs' containers-ephemeral.
#[test]
fn a_declared_container_is_emptied_and_stays() {
    let host = Host::new();
    let conf_dir = host.place("CONF_DIR");
    let conf_dir = conf_dir.display();
    // As the NixOS module has it, and with what would destroy another one.
    host.shell(&format!(
        "mkdir -p {conf_dir}
         printf '%s\n' SYSTEM_PATH={} EPHEMERAL=1 DESTROY_ON_STOP=1 PRIVATE_USERS=pick \
             TMPFS=/srv >{conf_dir}/foo.conf
         mount --bind {conf_dir} {conf_dir}; mount -o remount,bind,ro {conf_dir}",
        minimal_system()
    ));
    for _ in 0..2 {
        host.run(&["start", "foo"]);
        host.run(&["run", "foo", "--", "mkdir", "/data", "/srv/data"]);
        let owners = [
            "run", "foo", "--", "stat", "-c", "%u:%g", "/", "/var", "/data", "/srv",
        ];
        assert_eq!(host.run(&owners), "0:0\n0:0\n0:0\n0:0\n");
        host.shell("ls -d /run/nixos-containers/foo/root");
        host.run(&["stop", "foo"]);
        assert_eq!(host.run(&["status", "foo"]), "down\n");
        host.shell("! ls -d /run/nixos-containers/foo/root 2>/dev/null");
    }
    let root = host.place("STATE_DIR").join("foo");
    host.shell(&format!("! [ -e {} ]", root.display()));
}
