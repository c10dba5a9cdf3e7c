//! A container's life: created, started, used, stopped, destroyed.

mod common;

use common::Host;

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
    let conf = host.place("CONF_DIR");
    host.shell(&format!(
        "mkdir -p {0}; echo SYSTEM_PATH={1} > {0}/foo.conf",
        conf.display(),
        common::minimal_system()
    ));
    host.run(&["start", "foo"]);
    assert_eq!(host.run(&["run", "foo", "--", "id", "-un"]), "root\n");
}
