//! How containers find the host's resolver.

mod common;

use common::Host;

/// A host whose resolver listens on its loopback alone, with its upstream.
fn host_with_stub() -> Host {
    let host = Host::new();
    // Only this throwaway host sees it.
    host.shell(
        "cd /run/throwaway; echo 'nameserver 127.0.0.53' >resolv.conf
         mount --bind resolv.conf $(realpath /etc/resolv.conf)
         mkdir -p /run/systemd/resolve
         echo 'nameserver 192.0.2.53' >/run/systemd/resolve/resolv.conf",
    );
    host
}

/// The container's file after a start.
fn started(host: &Host) -> String {
    host.run(&["start", "foo"]);
    let text = host.run(&["run", "foo", "--", "cat", "/etc/resolv.conf"]);
    host.run(&["stop", "foo"]);
    text
}

#[test]
fn a_stub_on_the_hosts_loopback_gives_way_to_its_upstream_on_a_private_network() {
    let host = host_with_stub();
    host.create("foo");
    for lines in [
        "PRIVATE_NETWORK=1\nCOPY_RESOLV_CONF=1",
        "EXTRA_NSPAWN_FLAGS='--private-network --resolv-conf=copy-host'",
        "EXTRA_NSPAWN_FLAGS='-n --resolv-conf bind-host'",
    ] {
        host.write_conf("foo", lines);
        assert_eq!(started(&host), "nameserver 192.0.2.53\n", "{lines}");
        // The next must write it by itself.
        let root = host.place("STATE_DIR").join("foo");
        host.shell(&format!("rm {}/etc/resolv.conf", root.display()));
    }
}

#[test]
fn a_private_network_comes_with_the_hosts_resolver_unless_the_configuration_refuses() {
    let host = host_with_stub();
    host.create("foo");
    assert!(host.conf("foo").contains("COPY_RESOLV_CONF=1\n"));
    let file = host.place("STATE_DIR").join("foo/etc/resolv.conf");
    for (lines, expected) in [
        ("PRIVATE_NETWORK=1", "nameserver 192.0.2.53\n"),
        ("PRIVATE_NETWORK=1\nCOPY_RESOLV_CONF=0", "own\n"),
        (
            "PRIVATE_NETWORK=1\nEXTRA_NSPAWN_FLAGS=--resolv-conf=off",
            "own\n",
        ),
    ] {
        host.shell(&format!("install -D /dev/stdin {} <<<own", file.display()));
        host.write_conf("foo", lines);
        assert_eq!(started(&host), expected, "{lines}");
    }
}

#[test]
fn the_hosts_network_comes_with_the_hosts_resolver() {
    let host = host_with_stub();
    host.create("foo");
    host.write_conf("foo", "PRIVATE_NETWORK=0");
    assert_eq!(started(&host), "nameserver 127.0.0.53\n");

    // A system with a resolver of its own points there, and stays as it is.
    let etc = host.place("STATE_DIR").join("foo/etc");
    host.shell(&format!("ln -sf ../run/own {}/resolv.conf", etc.display()));
    host.run(&["start", "foo"]);
    let link = host.run(&["run", "foo", "--", "readlink", "/etc/resolv.conf"]);
    assert_eq!(link, "../run/own\n");
}

#[test]
fn a_file_that_is_to_go_goes_and_not_what_a_link_in_its_place_leads_to() {
    let host = host_with_stub();
    host.create("foo");
    let etc = host.place("STATE_DIR").join("foo/etc");
    let etc = etc.display();
    host.write_conf(
        "foo",
        "EXTRA_NSPAWN_FLAGS='--private-network --resolv-conf=delete'",
    );
    for before in ["echo own >resolv.conf", "ln -s kept resolv.conf", ""] {
        host.shell(&format!(
            "mkdir -p {etc}; cd {etc}; echo kept >kept; {before}"
        ));
        host.run(&["start", "foo"]);
        let after = "test ! -e /etc/resolv.conf -a ! -L /etc/resolv.conf; cat /etc/kept";
        let kept = host.run(&["run", "foo", "--", "bash", "-euc", after]);
        assert_eq!(kept, "kept\n", "{before}");
        host.run(&["stop", "foo"]);
    }
}

#[test]
fn a_host_without_the_file_is_no_reason_to_fail() {
    let host = Host::new();
    host.create("foo");
    for (flags, etc) in [
        ("COPY_RESOLV_CONF=1", "rm -f resolv.conf"),
        (
            "EXTRA_NSPAWN_FLAGS=--resolv-conf=replace-host",
            "ln -sf /nowhere resolv.conf",
        ),
    ] {
        host.write_conf("foo", &format!("PRIVATE_NETWORK=1\n{flags}"));
        host.shell(&format!(
            "cd /etc; umount resolv.conf 2>/dev/null || true; {etc}"
        ));
        let output = host.try_run(&["start", "foo"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{flags}: {stderr}");
        assert_eq!(
            stderr,
            "note: the host has no /etc/resolv.conf, so the container's /etc/resolv.conf \
             stays as it is\n"
        );
        host.run(&["stop", "foo"]);
    }
}

#[test]
fn no_server_in_reach_is_a_warning() {
    let host = host_with_stub();
    host.create("foo");
    host.shell("rm /run/systemd/resolve/resolv.conf");
    host.write_conf("foo", "PRIVATE_NETWORK=1\nCOPY_RESOLV_CONF=1");
    let output = host.try_run(&["start", "foo"]);
    assert!(output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("note: the host's /etc/resolv.conf names no server"),
        "{stderr}"
    );
}
