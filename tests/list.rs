//! `list` with more than names.

mod common;

use common::{Host, minimal_system};
use serde_json::{Value, json};

fn rows(host: &Host, arguments: &[&str]) -> Vec<Value> {
    let text = host.run(&[&["list", "--json"], arguments].concat());
    serde_json::from_str(&text).expect("an array")
}

#[test]
fn list_tells_how_containers_are() {
    let host = Host::new();
    assert_eq!(host.run(&["list", "--json"]), "[]\n");
    assert_eq!(
        host.run(&["list", "--long"]),
        "NAME  STATE  ADDRESS  SINCE  MEMORY\n"
    );
    host.create("foo");
    let addresses = ["--host-address6", "fc00::1", "--local-address6", "fc00::2"];
    let bar = ["create", "bar", "--system-path", minimal_system()];
    host.run(&[&bar, &addresses[..]].concat());
    host.append_conf("bar", "AUTO_START=1");
    assert_eq!(host.run(&["list", "--running"]), "");

    let before = host.shell("date -u +%FT%TZ");
    host.run(&["start", "foo"]);
    let after = host.shell("date -u +%FT%TZ");
    let all = rows(&host, &[]);
    assert_eq!(
        all[0],
        json!({
            "name": "bar", "state": "down", "address": "10.233.2.2", "address6": "fc00::2",
            "since": null, "memory": null, "auto_start": true,
        })
    );
    let foo = &all[1];
    let keys: Vec<_> = foo.as_object().expect("an object").keys().collect();
    let documented = [
        "address",
        "address6",
        "auto_start",
        "memory",
        "name",
        "since",
        "state",
    ];
    assert_eq!(keys, documented);
    assert_eq!(foo["state"], "up");
    let since = foo["since"].as_str().expect("a time");
    // The kernel counts the hundredths of a second that are over.
    let early = host.shell(&format!("date -u -d '{} -1 second' +%FT%TZ", before.trim()));
    assert!(
        early.trim() <= since && since <= after.trim(),
        "{before}{since}\n{after}"
    );
    let memory = foo["memory"].as_u64().expect("bytes");
    assert!((1 << 20..1 << 30).contains(&memory), "{memory}");

    assert_eq!(rows(&host, &["--running"]).len(), 1);
    assert_eq!(host.run(&["list", "--running"]), "foo\n");
    let table = host.run(&["list", "--long"]);
    let lines: Vec<Vec<_>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(lines[1], ["bar", "down", "10.233.2.2", "-", "-"]);
    assert_eq!(lines[2][..3], ["foo", "up", "10.233.1.2"]);
    assert_eq!(lines[2][6], "MiB");
    let running = host.run(&["list", "--long", "--running"]);
    assert_eq!(running.lines().count(), 2, "{running}");

    // One that leads nowhere can be removed.
    host.shell("ln -s /nowhere $NIXOS_CONTAINER_CONF_DIR/lost.conf");
    assert!(host.run(&["list"]).contains("lost"));
    host.run(&["destroy", "lost"]);
    assert!(!host.run(&["list"]).contains("lost"));

    // A broken configuration is reported, and hides no other container.
    host.write_conf("bar", "nonsense");
    let output = host.try_run(&["list", "--long"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.starts_with("warning: ") && stderr.contains("bar.conf:1:"),
        "{stderr}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("foo"));
    host.fail(2, &["list", "--long", "--json"]);
}
