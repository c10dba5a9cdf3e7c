//! `UNTRUSTED=1`: a container that sees no more of the host than its system needs.

mod common;

use common::{Host, minimal_system};

/// A host with an untrusted container `foo` that is up.
fn host_with_untrusted(system: &str) -> Host {
    let host = Host::new();
    host.create_with("foo", &["--untrusted", "--system-path", system]);
    host.run(&["start", "foo"]);
    host
}

/// The names in the store that a system needs.
fn closure(host: &Host, system: &str) -> String {
    let paths = host.shell(&format!("nix-store --query --requisites {system} | sort"));
    paths.replace("/nix/store/", "")
}

#[test]
fn a_system_boots_without_a_failed_unit() {
    let host = host_with_untrusted(minimal_system());
    let failed = host.inside("foo", "systemctl --failed --no-legend --plain");
    assert_eq!(failed, "");
}

#[test]
fn the_store_paths_of_the_system_are_all_that_there_is() {
    let host = host_with_untrusted(minimal_system());
    let visible = host.inside("foo", "ls -A /nix/store | LC_ALL=C sort");
    assert_eq!(visible, closure(&host, minimal_system()));
    host.inside(
        "foo",
        "[ ! -e /nix/var/nix/db ] && [ ! -e /nix/var/nix/daemon-socket ]
         [ $(stat --format=%u:%g /nix/store) = 0:0 ]
         ! touch /nix/store/a 2>/dev/null
         grep -c ' /nix/store ' /proc/self/mountinfo | grep -qx 1",
    );
}

#[test]
fn store_paths_have_contents_modes_and_owners_of_the_host() {
    let host = host_with_untrusted(minimal_system());
    let look = |store: &str| {
        format!(
            "cd /nix/store; for path in {store}; do
                 find $path -printf '%p %y %m %U:%G %s %TY-%Tm-%Td %l\n'
                 find $path -type f -exec sha256sum {{}} +
             done | LC_ALL=C sort | grep -v '^[^ ]* d [^ ]* [^ ]* [0-9]* ' | sha256sum"
        )
    };
    // The tree of Debian is large: a part of it stands for the whole.
    let names = closure(&host, minimal_system());
    let small = names.lines().filter(|name| !name.contains("debian"));
    let names = small.collect::<Vec<_>>().join(" ");
    assert_eq!(host.inside("foo", &look(&names)), host.shell(&look(&names)));
}

#[test]
fn an_update_brings_the_store_paths_of_the_next_system() {
    let host = Host::new();
    host.create_with(
        "foo",
        &[
            "--untrusted",
            "--config",
            "environment.etc.first.text = \"1\";",
        ],
    );
    host.run(&["start", "foo"]);
    host.run(&[
        "update",
        "foo",
        "--config",
        "environment.etc.second.text = \"2\";",
    ]);
    assert_eq!(host.inside("foo", "cat /etc/second"), "2");
    let running = host.inside("foo", "readlink /run/current-system");
    let names = closure(&host, running.trim());
    let visible = host.inside("foo", "ls -A /nix/store");
    for name in names.lines() {
        assert!(visible.contains(name), "{name}");
    }
    host.run(&["restart", "foo"]);
    assert_eq!(
        host.inside("foo", "ls -A /nix/store | LC_ALL=C sort"),
        names
    );
}

#[test]
fn strange_system_calls_are_refused() {
    let host = host_with_untrusted(minimal_system());
    for (program, answer) in [
        (
            "unshare --user true",
            "unshare failed: Operation not permitted",
        ),
        ("unshare --uts true && echo fine", "fine"),
    ] {
        let output = host.inside("foo", &format!("{program} 2>&1 || true"));
        assert!(output.contains(answer), "{program}: {output}");
    }
}

#[test]
fn nothing_of_it_is_left() {
    let host = Host::new();
    let before = host.inventory();
    host.create_with("foo", &["--untrusted", "--system-path", minimal_system()]);
    host.run(&["start", "foo"]);
    host.run(&["destroy", "foo"]);
    host.await_inventory(&before);
}

#[test]
fn what_opens_it_is_refused() {
    let host = Host::new();
    host.create_with("foo", &["--untrusted", "--system-path", minimal_system()]);
    host.shell("echo 'ALLOWED_DEVICES=\"/dev/net/tun rw\"' >>$NIXOS_CONTAINER_CONF_DIR/foo.conf");
    let error = host.fail(1, &["start", "foo"]);
    let expected = "UNTRUSTED=1 and ALLOWED_DEVICES exclude each other; remove one of them";
    assert!(error.contains(expected), "{error}");
}
