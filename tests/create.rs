//! What `create` can be told.

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{Host, minimal_system, system};

/// A system that tells a word in `/etc/told`.
fn telling(word: &str) -> String {
    system(&format!("{{ environment.etc.told.text = \"{word}\"; }}"))
}

fn told(host: &Host, name: &str) -> String {
    host.run(&["run", name, "--", "cat", "/etc/told"])
}

/// A container without NAT that tells `one`, runs and has a file of its own.
fn create_and_mark(host: &Host, name: &str, system: &str) {
    host.create_of(name, system);
    host.run(&["start", name]);
    host.run(&["run", name, "--", "touch", "/root/mine"]);
}

/// The files of the host that belong to containers, but for locks.
fn files(host: &Host) -> Vec<String> {
    let lines = host.inventory().into_iter();
    lines.filter(|line| line.starts_with("file ")).collect()
}

#[test]
fn force_replaces_a_container_with_all_its_files() {
    let host = Host::new();
    let (one, two) = (telling("one"), telling("two"));
    create_and_mark(&host, "foo", &one);
    let ip = host.run(&["show-ip", "foo"]);
    let output = host.try_run(&["create", "foo", "--force", "--system-path", &two]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains(&format!("container IP is {ip}")),
        "{stderr}"
    );
    assert_eq!(host.run(&["status", "foo"]), "down\n");
    assert_eq!(host.run(&["list"]), "foo\n");
    assert_eq!(host.run(&["show-ip", "foo"]), ip);
    let stderr = host.fail(1, &["logs", "foo"]);
    assert!(stderr.contains("has not been started"), "{stderr}");
    host.run(&["start", "foo"]);
    assert_eq!(told(&host, "foo"), "two");
    host.run(&["run", "foo", "--", "test", "!", "-e", "/root/mine"]);
    assert_eq!(host.run(&["generations", "foo"]).lines().count(), 1);

    // Without one of that name, there is nothing to replace.
    host.run(&["create", "bar", "--force", "--system-path", &one]);
    host.run(&["destroy", "foo", "bar"]);
    let left: Vec<_> = files(&host);
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_container_is_not_given_up_for_one_that_cannot_be_built() {
    let host = Host::new();
    create_and_mark(&host, "foo", &telling("one"));
    let before = files(&host);
    let conf_before = host.conf("foo");
    for arguments in [
        &["--config", "nonsense"][..],
        &["--system-path", "/nowhere"],
        &["--config-file", "/nowhere"],
        &["--flake", "/nowhere"],
        &["--local-address", "10.1.1.1", "--host-address", "10.1.1.1"],
    ] {
        host.fail(1, &[&["create", "foo", "--force"], arguments].concat());
        assert_eq!(host.run(&["status", "foo"]), "up\n", "{arguments:?}");
        assert_eq!(told(&host, "foo"), "one");
        assert_eq!(host.conf("foo"), conf_before);
    }
    assert_eq!(files(&host), before);
    let conf = host.conf_path("foo");
    host.shell(&format!("mount --bind -o ro {conf} {conf}"));
    let create = [
        "create",
        "foo",
        "--force",
        "--system-path",
        minimal_system(),
    ];
    let stderr = host.fail(1, &create);
    assert!(stderr.contains("stays as it is"), "{stderr}");
}

#[test]
fn a_replacement_that_is_killed_leaves_the_old_container_or_the_new_one() {
    let host = Host::new();
    let systems = [telling("one"), telling("two")];
    create_and_mark(&host, "foo", &systems[0]);
    let mut old = "one";
    for moment in 0..10 {
        let (new, system) = [("two", &systems[1]), ("one", &systems[0])][moment as usize % 2];
        let mut create = host
            .nixos_container(&["create", "foo", "--force", "--system-path", system])
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        std::thread::sleep(Duration::from_millis(40 * moment));
        create.kill().expect("killed");
        create.wait().expect("waited for");
        // The old one may be on its way down.
        host.run(&["stop", "foo"]);
        host.run(&["start", "foo"]);
        let word = told(&host, "foo");
        assert!(word == old || word == new, "{word} after {moment}");
        old = if word == "one" { "one" } else { "two" };
        assert_eq!(host.run(&["list"]), "foo\n");
    }
    host.run(&["create", "foo", "--force", "--system-path", &systems[0]]);
    host.run(&["destroy", "foo"]);
    assert_eq!(files(&host), Vec::<String>::new());
}

/// The moment between the decision and the last rename, which no test can hit
/// by chance.
#[test]
fn a_replacement_that_was_decided_is_finished_by_whoever_comes_next() {
    for next in [
        &["start", "foo"][..],
        &["destroy", "foo"],
        &["create", "new"],
    ] {
        let host = Host::new();
        let (one, two) = (telling("one"), telling("two"));
        create_and_mark(&host, "foo", &one);
        host.run(&["stop", "foo"]);
        host.run(&["create", "bar", "--system-path", &two]);
        host.shell(
            "mv $NIXOS_CONTAINER_CONF_DIR/bar.conf $NIXOS_CONTAINER_CONF_DIR/.foo.replacing
             mv $NIXOS_CONTAINER_STATE_DIR/bar $NIXOS_CONTAINER_STATE_DIR/.foo.replacing
             mv $NIXOS_CONTAINER_GCROOT_DIR/bar $NIXOS_CONTAINER_GCROOT_DIR/.foo.replacing
             # This one had come into its place already.
             rm -r $NIXOS_CONTAINER_PROFILE_DIR/foo
             mv $NIXOS_CONTAINER_PROFILE_DIR/bar $NIXOS_CONTAINER_PROFILE_DIR/foo",
        );
        match next {
            ["create", name] => {
                host.run(&["create", name, "--system-path", &one]);
                host.run(&["start", "foo"]);
                assert_eq!(told(&host, "foo"), "two");
                host.run(&["destroy", name]);
            }
            ["start", _] => {
                host.run(next);
                assert_eq!(told(&host, "foo"), "two");
                host.run(&["run", "foo", "--", "test", "!", "-e", "/root/mine"]);
            }
            _ => {}
        }
        host.run(&["destroy", "foo"]);
        assert_eq!(files(&host), Vec::<String>::new(), "{next:?}");
    }
}

#[test]
fn auto_start_starts_it_now_and_says_so_for_later() {
    let host = Host::new();
    let name = host.run(&[
        "create",
        "foo",
        "--auto-start",
        "--ensure-unique-name",
        "--system-path",
        minimal_system(),
    ]);
    assert_eq!(name, "foo\n");
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    assert!(host.conf("foo").contains("\nAUTO_START=1\n"));
}

#[test]
fn addresses_of_both_families_can_be_chosen() {
    let host = Host::new();
    let system = ["--system-path", minimal_system()];
    let addresses = ["--host-address6", "fc00::1", "--local-address6", "fc00::2"];
    host.run(&[&["create", "foo"], &system[..], &addresses].concat());
    let text = host.conf("foo");
    for line in [
        "HOST_ADDRESS=10.233.1.1\n",
        "LOCAL_ADDRESS=10.233.1.2\n",
        "HOST_ADDRESS6=fc00::1\n",
        "LOCAL_ADDRESS6=fc00::2\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    for half in [&addresses[..2], &addresses[2..]] {
        host.fail(2, &[&["create", "bar"], &system[..], half].concat());
    }
}

#[test]
fn a_bridge_and_ports_can_be_chosen() {
    let host = Host::new();
    host.shell("ip link add br0 type bridge");
    let system = ["--system-path", minimal_system()];
    let network = ["--bridge", "br0", "--port", "8080:80,udp:53"];
    let addresses = [
        "--host-address",
        "192.0.2.1",
        "--local-address",
        "192.0.2.2",
    ];
    host.run(&[&["create", "foo"], &system[..], &network, &addresses].concat());
    let text = host.conf("foo");
    for line in ["HOST_BRIDGE=br0\n", "HOST_PORT=tcp:8080:80,udp:53:53\n"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    host.run(&["start", "foo"]);
    let links = host.shell("ip -oneline link show master br0");
    assert!(links.contains("vb-foo"), "{links}");
    let rules = host.shell("nft list ruleset");
    assert!(rules.contains("8080") && rules.contains("53"), "{rules}");
}

/// There, a server gives addresses.
#[test]
fn in_a_bridge_there_is_no_address_but_a_given_one() {
    let host = Host::new();
    host.shell("ip link add br0 type bridge");
    let create = [
        "create",
        "foo",
        "--bridge",
        "br0",
        "--system-path",
        minimal_system(),
    ];
    host.run(&create);
    assert!(!host.conf("foo").contains("ADDRESS"));
    assert_eq!(
        host.fail(1, &["show-ip", "foo"]),
        "error: container 'foo' has no address: its configuration has neither LOCAL_ADDRESS nor \
         LOCAL_ADDRESS6\n"
    );
    host.run(&["start", "foo"]);
    assert_eq!(host.inside("foo", "ip -4 address show eth0; ip route"), "");
    // A port needs one to be forwarded to.
    let port = [&create[..], &["--port", "80", "--force"]].concat();
    assert_eq!(
        host.fail(1, &port),
        "error: cannot forward ports to a container in a bridge without an address; give one \
         with --host-address and --local-address\n"
    );
    // With its own, the one that is replaced loses it, too.
    host.run(&["destroy", "--force", "foo"]);
    host.create("foo");
    host.run(&[&create[..], &["--force"]].concat());
    assert!(!host.conf("foo").contains("ADDRESS"));
}

#[test]
fn what_a_container_runs_is_kept_from_the_garbage_collector() {
    let host = Host::new();
    // One that no other container keeps.
    let word = format!("kept-{}", std::process::id());
    let roots = |system: &str| host.shell(&format!("nix-store --query --roots {system}"));
    let system = telling(&word);
    assert_eq!(roots(&system), "");
    host.run(&["create", "foo", "--system-path", &system]);
    assert!(roots(&system).contains("/foo/system-1-link"));
    host.run(&["create", "foo", "--force", "--system-path", &system]);
    assert!(roots(&system).contains("/foo/system-1-link"));
    host.run(&["destroy", "foo"]);
    assert_eq!(roots(&system), "");
}

/// Of the user's environment, NixOS' expression would take this one for the
/// configuration to build.
#[test]
fn the_configuration_is_the_containers_whatever_the_environment_says() {
    let host = Host::new();
    let mut create = host.command("env");
    create.args([
        "NIXOS_CONFIG=/nowhere",
        env!("CARGO_BIN_EXE_nixos-container"),
    ]);
    common::succeed(create.args(["create", "foo"]));
}

#[test]
fn nix_gets_the_words_that_are_meant_for_it() {
    let host = Host::new();
    // Programs that say how they were called, and fail.
    host.shell(
        "mkdir /run/throwaway/bin
         for program in nix nix-build; do
             printf '#!/bin/sh\\nprintf \"%%s \" ${0##*/} \"$@\" >&2; echo >&2; exit 1\\n' \
                 >/run/throwaway/bin/$program
             chmod +x /run/throwaway/bin/$program
         done",
    );
    let called = |words: &[&str]| {
        let mut create = host.command("env");
        create.arg("PATH=/run/throwaway/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        create.arg(env!("CARGO_BIN_EXE_nixos-container"));
        let output = create.args(words).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = stderr.lines().find(|line| line.starts_with("nix"));
        line.unwrap_or_else(|| panic!("{stderr}")).trim().to_owned()
    };
    let conf = host.place("CONF_DIR").display().to_string();
    let root = host.place("STATE_DIR").display().to_string();
    assert_eq!(
        called(&[
            "--show-trace",
            "create",
            "foo",
            "--impure",
            "--option",
            "a",
            "b c",
            "--log-format",
            "raw",
            "--option",
            "c",
            "d",
            "--no-allow-dirty",
            "--nixos-path",
            "./nixos",
        ]),
        format!(
            "nix-build -I nixos-config={root}/.foo.creating/nixos/configuration.nix -A system \
             --show-trace --impure --no-allow-dirty --option a b c --option c d --log-format raw \
             ./nixos --out-link {conf}/.foo.building"
        )
    );
    assert_eq!(
        called(&[
            "create",
            "foo",
            "--flake",
            "nixpkgs#web",
            "--show-trace",
            "--override-input",
            "a",
            "./b",
            "--update-input",
            "c",
            "--commit-lock-file",
            "--no-registries",
            "--no-update-lock-file",
            "--no-write-lock-file",
            "--recreate-lock-file",
            "--refresh",
        ]),
        format!(
            "nix build --extra-experimental-features nix-command flakes --show-trace \
             --update-input c --override-input a ./b --commit-lock-file --no-registries \
             --no-update-lock-file --no-write-lock-file --recreate-lock-file --refresh \
             nixpkgs#nixosConfigurations.\"web\".config.system.build.toplevel \
             --out-link {conf}/.foo.building"
        )
    );
}
