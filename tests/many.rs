//! Many containers at once.

mod common;

use std::collections::BTreeSet;
use std::thread;

use common::{Host, minimal_system};

/// Runs the command once for each of the argument lists, all at the same time;
/// what each printed.
fn at_once(host: &Host, all: &[Vec<&str>]) -> Vec<String> {
    thread::scope(|scope| {
        let running: Vec<_> = all
            .iter()
            .map(|arguments| scope.spawn(|| host.run(arguments)))
            .collect();
        running
            .into_iter()
            .map(|running| running.join().expect("the command succeeded"))
            .collect()
    })
}

fn each<'a>(command: &'a str, names: &'a [String]) -> Vec<Vec<&'a str>> {
    names.iter().map(|name| vec![command, name]).collect()
}

/// The address of a container, without the end of the line.
fn address(host: &Host, name: &str) -> String {
    host.run(&["show-ip", name]).trim().to_owned()
}

/// A file that the web server of a container gives, as soon as it listens.
fn fetch(host: &Host, address: &str, path: &str) -> String {
    let answer = host.shell(&format!(
        "for try in {{1..500}}; do exec 3<>/dev/tcp/{address}/80 && break; sleep 0.01; done \
         2>/dev/null
         printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3
         cat <&3"
    ));
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    body.trim().to_owned()
}

#[test]
fn eight_containers_are_created_started_used_and_destroyed_at_once() {
    let host = Host::new();
    let before = host.inventory();
    let names: Vec<_> = (1..=8).map(|number| format!("web{number}")).collect();
    // Their /etc/hostname tells them apart from outside.
    let options = "services.httpd = { enable = true; documentRoot = \"/etc\"; };";
    let creations: Vec<_> = names
        .iter()
        .map(|name| vec!["create", name, "--config", options])
        .collect();
    at_once(&host, &creations);
    assert_eq!(host.run(&["list"]), names.join("\n") + "\n");
    at_once(&host, &each("start", &names));
    let addresses: BTreeSet<_> = names.iter().map(|name| address(&host, name)).collect();
    assert_eq!(addresses.len(), names.len(), "{addresses:?}");
    for name in &names {
        assert_eq!(host.run(&["status", name]), "up\n");
        let address = address(&host, name);
        let route = host.shell(&format!("ip route get {address}"));
        assert!(route.contains(&format!(" dev ve-{name} ")), "{route}");
        assert_eq!(fetch(&host, &address, "/hostname"), *name);
        let processes = host.run(&["run", name, "--", "ps", "-C", "systemd", "-o", "pid="]);
        assert_eq!(processes.trim(), "1", "{name} sees only its own init");
    }
    let inits = host.shell("ps -C systemd -o pid= | wc -l");
    assert_eq!(inits.trim(), names.len().to_string());
    at_once(&host, &each("destroy", &names));
    host.await_inventory(&before);
}

#[test]
fn ten_creations_of_one_name_at_once_get_ten_names_and_addresses() {
    let host = Host::new();
    let before = host.inventory();
    let create = [
        "create",
        "foo",
        "--ensure-unique-name",
        "--system-path",
        minimal_system(),
    ];
    let printed = at_once(&host, &vec![create.to_vec(); 10]);
    let names: BTreeSet<_> = printed.iter().map(|name| name.trim().to_owned()).collect();
    let mut expected: BTreeSet<_> = (0..9).map(|number| format!("foo-{number}")).collect();
    expected.insert("foo".to_owned());
    assert_eq!(names, expected);
    let addresses: BTreeSet<_> = names.iter().map(|name| address(&host, name)).collect();
    assert_eq!(addresses.len(), 10, "{addresses:?}");
    let names: Vec<_> = names.into_iter().collect();
    at_once(&host, &each("destroy", &names));
    host.await_inventory(&before);
}

#[test]
fn names_with_a_long_common_beginning_live_side_by_side() {
    let host = Host::new();
    let before = host.inventory();
    let names = ["a", "b"].map(|end| format!("much-longer-than-a-link-may-be-called-{end}"));
    for name in &names {
        host.create(name);
    }
    at_once(&host, &each("start", &names));
    for name in &names {
        assert_eq!(host.run(&["status", name]), "up\n");
        // ip(8) finds the link by its full name, too.
        let link = host.shell(&format!("ip -o link show ve-{name}"));
        let route = host.shell(&format!("ip route get {}", address(&host, name)));
        let interface = link.split([' ', '@', ':']).nth(2).expect("a link's name");
        assert!(
            route.contains(&format!(" dev {interface} ")),
            "{link}{route}"
        );
    }
    at_once(&host, &each("destroy", &names));
    host.await_inventory(&before);
}

#[test]
fn the_longest_name_works_from_beginning_to_end() {
    let host = Host::new();
    let before = host.inventory();
    let name = "x".repeat(64);
    host.run(&["create", &name, "--config", ""]);
    assert_eq!(host.run(&["list"]), format!("{name}\n"));
    host.run(&["start", &name]);
    let hostname = ["run", &name, "--", "cat", "/proc/sys/kernel/hostname"];
    // NixOS has no longer ones.
    assert_eq!(host.run(&hostname), format!("{}\n", &name[..63]));
    host.shell(&format!("ip link show ve-{name}"));
    host.run(&["stop", &name]);
    assert_eq!(host.run(&["status", &name]), "down\n");
    host.run(&["destroy", &name]);
    host.await_inventory(&before);
}

/// systemd and its services need several instances of inotify each, and a host grants
/// a user 128 in all (`man 7 inotify`).
#[test]
fn forty_systems_run_where_a_user_has_few_inotify_instances() {
    let limit = "cat /proc/sys/fs/inotify/max_user_instances";
    let host = Host::new();
    let names: Vec<_> = (0..40).map(|number| format!("c{number}")).collect();
    for name in &names {
        host.write_conf(name, &format!("SYSTEM_PATH={}", minimal_system()));
    }
    let names: Vec<_> = names.iter().map(|name| &**name).collect();
    let before = host.shell(limit);
    let start = host.try_run(&[&["start"], &names[..]].concat());
    let running = host.run(&["list", "--running"]).lines().count();
    let raised = host.shell(limit);
    // Before anything can fail: the limit is the machine's.
    host.run(&[&["stop"], &names[..]].concat());
    let said = String::from_utf8_lossy(&start.stderr).into_owned();
    assert!(start.status.success(), "{said}");
    assert_eq!(running, names.len());
    if before.trim() != "128" {
        println!("the machine grants {} instances already", before.trim());
    } else {
        let set = "note: fs.inotify.max_user_instances set to 512 (was 128)";
        assert!(said.contains(set), "{said}");
    }
    // Other hosts on the machine have the same limit.
    assert!(before == raised || host.shell(limit) != raised);
    let record = host.file("/run/nixos-containers/.limits.json");
    assert!(!record.exists());
}
