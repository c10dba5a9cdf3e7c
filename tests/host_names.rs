//! A running container is found from its host by its name.

mod common;

use std::thread;

use common::Host;

const ADDRESSES: &str = "HOST_ADDRESS=10.233.7.1\nLOCAL_ADDRESS=10.233.7.2\n\
                         HOST_ADDRESS6=fd00:7::1\nLOCAL_ADDRESS6=fd00:7::2/64";

/// A host whose file is not quite what an editor would make of it.
fn host() -> Host {
    let host = Host::new();
    host.shell(
        "printf '127.0.0.1 localhost\\n10.0.0.7\\tweb Printer # on the desk' >/etc/hosts
         chmod 640 /etc/hosts; chown 3:4 /etc/hosts",
    );
    host
}

/// All there is to know of the file.
fn hosts_file(host: &Host) -> String {
    host.shell("stat --format '%F %a %u %g' /etc/hosts; cat /etc/hosts; ls -A /etc | grep hosts")
}

/// The addresses that a name leads to, sorted.
fn addresses(host: &Host, name: &str) -> Vec<String> {
    let script = format!("getent ahosts {name} | cut -d ' ' -f 1 | sort -u");
    let addresses = host.shell(&script);
    addresses.lines().map(str::to_owned).collect()
}

#[test]
fn a_container_has_its_name_while_it_runs_and_however_it_ends() {
    let host = host();
    host.configure("foo", ADDRESSES);
    let before = hosts_file(&host);
    let runs = || {
        for name in ["foo", "foo.containers"] {
            assert_eq!(
                addresses(&host, name),
                ["10.233.7.2", "fd00:7::2"],
                "{name}"
            );
        }
        let file = hosts_file(&host);
        assert!(
            file.starts_with("regular file 640 3 4\n127.0.0.1 localhost\n"),
            "{file}"
        );
    };
    assert_eq!(host.start("foo"), "");
    runs();
    host.run(&["stop", "foo"]);
    assert_eq!(hosts_file(&host), before, "after a stop");

    host.start("foo");
    host.run(&["terminate", "foo"]);
    assert_eq!(hosts_file(&host), before, "after a termination");

    host.start("foo");
    host.kill_supervisor("foo");
    runs();
    host.run(&["stop", "foo"]);
    assert_eq!(hosts_file(&host), before, "after a kill and a stop");

    host.start("foo");
    host.kill_supervisor("foo");
    // The name moves with its container.
    host.start_with("foo", "HOST_ADDRESS=10.233.8.1\nLOCAL_ADDRESS=10.233.8.2");
    assert_eq!(addresses(&host, "foo"), ["10.233.8.2"]);
    host.kill_supervisor("foo");
    host.run(&["destroy", "foo"]);
    assert_eq!(hosts_file(&host), before, "after a kill and a destruction");

    host.configure("foo", ADDRESSES);
    let system = host.system_with_init("exit 3");
    host.configure("foo", &format!("{ADDRESSES}\nSYSTEM_PATH={system}"));
    host.fail(1, &["start", "foo"]);
    assert_eq!(hosts_file(&host), before, "after a failed start");
}

#[test]
fn a_name_that_somebody_else_has_stays_his_and_the_start_says_so() {
    let host = host();
    let said = host.start_with("printer", ADDRESSES);
    assert_eq!(
        said,
        ["10.233.7.2", "fd00:7::2"]
            .map(|address| format!(
                "note: printer is already in /etc/hosts (10.0.0.7\tweb Printer # on the desk), so \
                 it is not added for container 'printer' at {address}\n"
            ))
            .concat()
    );
    assert_eq!(addresses(&host, "printer"), ["10.0.0.7"]);
    assert_eq!(
        addresses(&host, "printer.containers"),
        ["10.233.7.2", "fd00:7::2"]
    );
}

#[test]
fn many_that_come_and_go_at_once_do_not_lose_each_others_names() {
    let host = host();
    let before = hosts_file(&host);
    let names = ["one", "two", "three", "four", "five", "six"];
    for (name, number) in names.iter().zip(1..) {
        let conf = format!("HOST_ADDRESS=10.233.{number}.1\nLOCAL_ADDRESS=10.233.{number}.2");
        host.configure(name, &conf);
    }
    let all = |command: &str| {
        thread::scope(|scope| {
            for name in names {
                let host = &host;
                scope.spawn(move || host.run(&[command, name]));
            }
        });
    };
    all("start");
    for (name, number) in names.iter().zip(1..) {
        assert_eq!(addresses(&host, name), [format!("10.233.{number}.2")]);
    }
    all("stop");
    assert_eq!(hosts_file(&host), before);
}

#[test]
fn a_file_that_is_somebody_elses_to_make_is_left_alone() {
    for (whose, script) in [
        ("NixOS'", "touch /etc/NIXOS"),
        (
            "a link",
            "mv /etc/hosts /etc/static; ln -s static /etc/hosts",
        ),
        (
            "mounted",
            "cp /etc/hosts /run/throwaway; mount --bind /run/throwaway/hosts /etc/hosts",
        ),
        ("read-only", "mount -o remount,bind,ro /etc"),
        ("missing", "rm /etc/hosts"),
    ] {
        let host = host();
        host.shell(script);
        host.configure("foo", ADDRESSES);
        let look = || host.shell("ls -lAi --time-style=full-iso /etc; cat /etc/hosts || true");
        let before = look();
        assert!(
            !host.run(&["explain", "foo"]).contains("/etc/hosts"),
            "{whose}"
        );
        assert_eq!(host.start("foo"), "", "{whose}");
        assert_eq!(look(), before, "{whose}, while it runs");
        host.run(&["stop", "foo"]);
        assert_eq!(look(), before, "{whose}, after it ran");
    }
}

#[test]
fn a_container_that_shares_the_hosts_network_has_no_name_of_its_own() {
    let host = host();
    let before = hosts_file(&host);
    for conf in ["PRIVATE_NETWORK=0", "PRIVATE_NETWORK=1"] {
        host.start_with("foo", conf);
        assert_eq!(hosts_file(&host), before, "{conf}");
        host.run(&["stop", "foo"]);
    }
}
