//! Scripts that were written for nixpkgs' `nixos-container`.

mod common;

use common::{Host, minimal_system};

/// The words of `create` with a system that is built already.
fn with_system<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &["--system-path", minimal_system()]].concat()
}

#[test]
fn options_may_stand_before_the_command() {
    let host = Host::new();
    let system = minimal_system();
    let name = host.run(&[
        "--ensure-unique-name",
        "--system-path",
        system,
        "--port=8080:80",
        "--show-trace",
        "create",
        "foo",
    ]);
    assert_eq!(name, "foo\n");
    let conf = host.conf("foo");
    assert!(conf.contains("\nHOST_PORT=tcp:8080:80\n"), "{conf}");
    // The value of an option is not the command.
    host.run(&["--bridge", "list", "--system-path", system, "create", "bar"]);
    let conf = host.conf("bar");
    assert!(conf.contains("\nHOST_BRIDGE=list\n"), "{conf}");
    assert_eq!(host.run(&["--running", "list"]), "");

    let stderr = host.fail(2, &["--fly", "create", "new"]);
    assert!(
        stderr.starts_with("error: unexpected argument '--fly'"),
        "{stderr}"
    );
    let stderr = host.fail(2, &["--running", "create", "new"]);
    assert!(
        stderr.starts_with("error: unexpected argument '--running'"),
        "{stderr}"
    );
}

#[test]
fn a_container_may_have_the_hosts_network() {
    let host = Host::new();
    let create = with_system(&["create", "foo", "--use-host-network"]);
    let output = host.try_run(&create);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    let conf = host.conf("foo");
    assert!(conf.contains("PRIVATE_NETWORK=0\n"), "{conf}");
    assert!(
        !conf.contains("_ADDRESS") && !conf.contains("NAT=1"),
        "{conf}"
    );
    host.run(&["start", "foo"]);
    let inside = host.run(&["run", "foo", "--", "readlink", "/proc/self/ns/net"]);
    assert_eq!(inside, host.shell("readlink /proc/self/ns/net"));
    for other in [
        &["--bridge", "br0"][..],
        &["--port", "8080:80"],
        &["--host-address", "10.1.1.1", "--local-address", "10.1.1.2"],
        &["--untrusted"],
    ] {
        let words = with_system(&[&["create", "bar", "--use-host-network"], other].concat());
        host.fail(2, &words);
    }
}

#[test]
fn a_command_needs_no_dashes_before_it() {
    let host = Host::new();
    host.create_and_start("foo");
    assert_eq!(
        host.run(&["run", "foo", "printf", "%s|", "a b", "-n", "--", "--help"]),
        "a b|-n|--|--help|"
    );
    assert_eq!(host.run(&["run", "foo", "--", "printf", "%s", "-n"]), "-n");
    assert_eq!(
        host.run(&["enter", "foo", "--root", "printf", "%s", "--root"]),
        "--root"
    );
    host.fail(2, &["run", "foo"]);
    host.fail(2, &["run", "foo", "--fly", "true"]);
}

#[test]
fn a_system_may_come_with_a_configuration() {
    let host = Host::new();
    let create = with_system(&[
        "create",
        "foo",
        "--config",
        "services.openssh.enable = true;",
    ]);
    let output = host.try_run(&create);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("note: --config is not used: the system is that of --system-path\n"),
        "{stderr}"
    );
    host.fail(2, &with_system(&["create", "bar", "--flake", "."]));
}

#[test]
fn the_conf_has_the_lines_that_scripts_change() {
    let host = Host::new();
    host.run(&with_system(&["create", "foo"]));
    let conf = host.conf("foo");
    for line in [
        "PRIVATE_NETWORK=1\n",
        "HOST_ADDRESS=10.233.1.1\n",
        "LOCAL_ADDRESS=10.233.1.2\n",
        "HOST_BRIDGE=\n",
        "HOST_PORT=\n",
        "AUTO_START=0\n",
    ] {
        assert!(conf.contains(line), "{line} in {conf}");
    }
}

#[test]
fn exit_codes_are_those_of_nixpkgs_tool() {
    let host = Host::new();
    let output = host.try_run(&["status", "foo"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "gone\n");
    assert_eq!(output.status.code(), Some(2));
    for words in [
        &["start", "foo"][..],
        &["stop", "foo"],
        &["restart", "foo"],
        &["terminate", "foo"],
        &["update", "foo"],
        &["login", "foo"],
        &["root-login", "foo"],
        &["run", "foo", "--", "true"],
        &["show-ip", "foo"],
        &["show-host-key", "foo"],
    ] {
        let stderr = host.fail(2, words);
        assert!(
            stderr.starts_with("error: container 'foo' does not exist; "),
            "{words:?}: {stderr}"
        );
    }
    let output = host.try_run(&["destroy", "foo"]);
    assert!(output.status.success() && output.stderr.is_empty());
    host.create("foo");
    let stderr = host.fail(25, &with_system(&["create", "foo"]));
    assert!(
        stderr.starts_with("error: container 'foo' exists already; "),
        "{stderr}"
    );
}

#[test]
fn a_name_may_begin_with_an_underscore() {
    let host = Host::new();
    host.create_and_start("_foo");
    assert_eq!(host.run(&["list"]), "_foo\n");
    assert_eq!(host.run(&["show-ip", "_foo"]), "10.233.1.2\n");
    host.run(&["run", "_foo", "--", "true"]);
    host.run(&["destroy", "_foo"]);
    assert_eq!(host.run(&["list"]), "");
    for name in ["_", "_-a", "._a"] {
        host.fail(2, &with_system(&["create", name]));
    }
}
