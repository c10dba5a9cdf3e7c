//! Mistakes, and hosts that lack something: one clear error, and nothing half
//! made.

mod common;

use std::process::{Command, Output};

use common::{Host, minimal_system};

/// The end of what clap says about a wrong command line.
const HELP: &str = "\n\nFor more information, try '--help'.\n";

/// What a refused command wrote to standard error; it said nothing on standard
/// output.
fn refused(code: i32, command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it runs");
    let stderr = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!(status.code(), Some(code), "{command:?}: {stderr}");
    assert_eq!(String::from_utf8_lossy(&stdout), "", "{command:?}");
    stderr
}

fn refuse(host: &Host, code: i32, arguments: &[&str]) -> String {
    refused(code, &mut host.nixos_container(arguments))
}

/// What `create` says on its way; it is no part of an error.
fn after_addresses(stderr: &str) -> &str {
    match stderr.split_once('\n') {
        Some((first, rest)) if first.starts_with("host IP is ") => rest,
        _ => stderr,
    }
}

#[test]
fn a_name_that_could_lead_elsewhere_is_refused() {
    let host = Host::new();
    let before = host.inventory();
    for (name, why) in [
        (
            "a/b",
            "a container's name consists of letters, digits, - and _, not '/'",
        ),
        (
            "..",
            "a container's name consists of letters, digits, - and _, not '.'",
        ),
        (
            "_",
            "a container's name begins with a letter or a digit, after any _",
        ),
        ("", "a container's name has at least one character"),
    ] {
        for command in ["create", "destroy", "status"] {
            let stderr = refuse(&host, 2, &[command, name]);
            let whole = stderr.starts_with(&format!("error: invalid value '{name}' for '<NAME>"))
                && stderr.ends_with(&format!(": {why}{HELP}"));
            assert!(whole, "{command} {name:?}: {stderr}");
        }
    }
    host.await_inventory(&before);
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_failure() {
    let host = Host::new();
    let system = minimal_system();
    let before = host.inventory();
    for (arguments, why) in [
        (
            &["create", "foo", "--config", "", "--config-file", "/x"][..],
            "the argument '--config <OPTIONS>' cannot be used with '--config-file <PATH>'",
        ),
        (
            &["create", "foo", "--flake", ".", "--system-path", system],
            "the argument '--flake <FLAKE[#NAME]>' cannot be used with '--system-path <PATH>'",
        ),
        (
            &["create", "foo", "--host-address", "10.1.1.1"],
            "the following required arguments were not provided:\n  --local-address <IP>",
        ),
        (
            &[
                "create",
                "foo",
                "--host-address",
                "fc00::1",
                "--local-address",
                "10.1.1.2",
            ],
            "invalid value 'fc00::1' for '--host-address <IP>': \
             expected an IPv4 address, as 10.233.1.2 or 10.233.1.2/24",
        ),
        (
            &[
                "create",
                "foo",
                "--host-address",
                "10.1.1.1",
                "--local-address",
                "10.1.1.256",
            ],
            "invalid value '10.1.1.256' for '--local-address <IP>': \
             expected an IPv4 address, as 10.233.1.2 or 10.233.1.2/24",
        ),
        (
            &["terminate", "foo", "--signal", "FOO"],
            "invalid value 'FOO' for '--signal <SIGNAL>': \
             expected the name or number of a signal, as TERM or 15",
        ),
    ] {
        let stderr = refuse(&host, 2, arguments);
        assert!(
            stderr.starts_with(&format!("error: {why}\n")),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.ends_with(HELP), "{arguments:?}: {stderr}");
    }
    host.await_inventory(&before);
}

#[test]
fn a_container_that_does_not_exist_cannot_be_used() {
    let host = Host::new();
    let missing = "error: container 'foo' does not exist; \
                   `nixos-container list` shows those that do, `nixos-container create foo` \
                   makes it\n";
    let before = host.inventory();
    for arguments in [
        &["start", "foo"][..],
        &["stop", "foo"],
        &["restart", "foo"],
        &["terminate", "foo"],
        &["run", "foo", "--", "true"],
        &["root-login", "foo"],
        &["show-ip", "foo"],
        &["logs", "foo"],
        &["explain", "foo"],
    ] {
        assert_eq!(refuse(&host, 2, arguments), missing, "{arguments:?}");
    }
    host.await_inventory(&before);
    let status = host.try_run(&["status", "foo"]);
    assert_eq!(
        (status.status.code(), &status.stdout[..]),
        (Some(2), &b"gone\n"[..])
    );
    let destroyed = host.try_run(&["destroy", "foo"]);
    assert!(
        destroyed.status.success() && destroyed.stderr.is_empty(),
        "{destroyed:?}"
    );
}

#[test]
fn what_is_no_system_is_refused_before_anything_is_made() {
    let host = Host::new();
    let no_init = "is not a NixOS system: it has no `init`; \
                   give the store path of a system's toplevel\n";
    host.shell("mkdir /run/throwaway/empty");
    let before = host.inventory();
    for (path, why) in [
        (
            "/run/throwaway/empty",
            format!("/run/throwaway/empty {no_init}"),
        ),
        ("/nix/store", format!("/nix/store {no_init}")),
        (
            "/nix/store/none",
            "the system /nix/store/none does not exist\n".to_owned(),
        ),
    ] {
        let stderr = refuse(&host, 1, &["create", "foo", "--system-path", path]);
        assert_eq!(stderr, format!("error: {why}"));
    }
    let stderr = refuse(&host, 1, &["create", "foo", "--config-file", "/none.nix"]);
    assert_eq!(
        stderr,
        "error: the configuration file /none.nix does not exist\n"
    );
    host.await_inventory(&before);
}

#[test]
fn without_nixpkgs_the_user_is_told_how_to_give_it() {
    let host = Host::new();
    let program = env!("CARGO_BIN_EXE_nixos-container");
    let mut create = host.command("env");
    create.args(["NIX_PATH=", program, "create", "foo"]);
    let before = host.inventory();
    let stderr = refused(1, &mut create);
    let end = "\nerror: cannot build the system of container 'foo': Nix cannot find nixpkgs; set \
               NIX_PATH=nixpkgs=PATH or give --nixos-path PATH/nixos\n";
    assert!(stderr.ends_with(end), "{stderr}");
    // The hint is for a missing nixpkgs only.
    let stderr = refuse(&host, 1, &["create", "foo", "--nixos-path", "/none"]);
    assert!(
        stderr.ends_with("see Nix's output above; nothing was changed\n"),
        "{stderr}"
    );
    host.await_inventory(&before);
}

#[test]
fn without_nix_the_user_is_told_how_to_get_it() {
    let host = Host::new();
    let program = env!("CARGO_BIN_EXE_nixos-container");
    let mut create = host.command("env");
    create.args(["PATH=/none", program, "create", "foo"]);
    let before = host.inventory();
    let stderr = refused(1, &mut create);
    assert_eq!(
        after_addresses(&stderr),
        "error: cannot build the system of container 'foo': Nix is not installed: `nix-build` is \
         not in $PATH; install it with `apt install nix-bin` or your distribution's package \
         manager\n"
    );
    host.await_inventory(&before);
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let host = Host::new();
    host.create("foo");
    host.shell("ip address add 10.99.0.1/24 dev lo");
    let before = host.inventory();
    for (host_address, local_address, why) in [
        (
            "10.233.1.1",
            "10.1.1.2",
            "the address 10.233.1.1 is taken by container 'foo'; choose another, or none to get \
             the next free pair",
        ),
        (
            "10.1.1.1",
            "10.233.1.2",
            "the address 10.233.1.2 is taken by container 'foo'; choose another, or none to get \
             the next free pair",
        ),
        (
            "10.1.1.1",
            "10.99.0.1",
            "the address 10.99.0.1 is the host's own; choose another, or none to get the next \
             free pair",
        ),
        (
            "10.1.1.1",
            "10.1.1.1",
            "the host and the container cannot both be 10.1.1.1; choose two addresses, or none \
             to get the next free pair",
        ),
    ] {
        let stderr = refuse(
            &host,
            1,
            &[
                "create",
                "bar",
                "--system-path",
                minimal_system(),
                "--host-address",
                host_address,
                "--local-address",
                local_address,
            ],
        );
        assert_eq!(stderr, format!("error: {why}\n"));
    }
    host.await_inventory(&before);
}

#[test]
fn an_address_that_is_taken_when_it_starts_is_named() {
    let host = Host::new();
    host.create_and_start("bar");
    host.create_and_start("foo");
    host.run(&["stop", "foo"]);
    let conf = host.conf_path("foo");
    host.shell(&format!("sed -i s/10.233.2/10.233.1/ {conf}"));
    let before = host.inventory_after_stop("foo");
    assert_eq!(
        refuse(&host, 1, &["start", "foo"]),
        "error: cannot start container 'foo': cannot add route to 10.233.1.2/32 through ve-foo: \
         it exists already; perhaps another container has the same address; see `ip route show \
         10.233.1.2/32`\n"
    );
    host.await_inventory(&before);
}

#[test]
fn an_error_in_a_configuration_file_names_file_line_and_key() {
    let host = Host::new();
    host.create("foo");
    let conf = host.conf_path("foo");
    host.shell(&format!("cp {conf} /run/throwaway/good.conf"));
    let before = host.inventory();
    for (line, why) in [
        (
            "nonsense",
            "\"nonsense\" has no =; a line is KEY=VALUE, empty, or a comment after #",
        ),
        (
            "AUTO_START=\"1",
            "AUTO_START has a quote that does not end; a line is KEY=VALUE, empty, or a comment \
             after #",
        ),
        (
            "LOCAL_ADDRESS=10.0.0.300",
            "LOCAL_ADDRESS is \"10.0.0.300\", but must be an IPv4 address, as 10.233.1.2 or \
             10.233.1.2/24",
        ),
        (
            "SYSTEM_PATH=here",
            "SYSTEM_PATH is \"here\", but must be an absolute path",
        ),
        (
            "TIMEOUT_START_SEC=soon",
            "TIMEOUT_START_SEC is \"soon\", but must be a time span, as 90, 5min or infinity",
        ),
        (
            "FLAKE=--impure",
            "FLAKE is \"--impure\", but must be a flake, as ./mine, github:me/mine or ./mine#name",
        ),
    ] {
        host.shell(&format!(
            "cp /run/throwaway/good.conf {conf}; echo '{line}' >>{conf}"
        ));
        for (command, doing) in [
            ("start", "cannot start container 'foo': "),
            ("show-ip", ""),
            ("explain", ""),
        ] {
            let stderr = refuse(&host, 1, &[command, "foo"]);
            assert_eq!(
                stderr,
                format!("error: {doing}{conf}:8: {why}\n"),
                "{command}"
            );
        }
    }
    host.await_inventory(&before);
    // It can be seen and removed all the same.
    assert_eq!(host.run(&["list"]), "foo\n");
    assert_eq!(host.run(&["status", "foo"]), "down\n");
    host.run(&["destroy", "foo"]);
    assert_eq!(host.run(&["list"]), "");
}

#[test]
fn a_configuration_file_that_is_not_one_is_named_in_one_line() {
    let host = Host::new();
    let before = host.inventory();
    for (make, why) in [
        ("mkdir -p", "Is a directory (os error 21)"),
        ("printf '\\377' >", "stream did not contain valid UTF-8"),
    ] {
        let conf = host.conf_path("foo");
        host.shell(&format!(
            "mkdir -p $NIXOS_CONTAINER_CONF_DIR; {make} {conf}"
        ));
        assert_eq!(host.run(&["list"]), "foo\n");
        let cannot = format!("cannot read {conf}: {why}\n");
        for words in [&["list", "--long"][..], &["list", "--json"]] {
            let output = host.try_run(words);
            assert!(output.status.success(), "{output:?}");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(stderr, format!("warning: {cannot}"), "{words:?}");
        }
        for word in ["show-ip", "explain"] {
            assert_eq!(refuse(&host, 1, &[word, "foo"]), format!("error: {cannot}"));
        }
        assert_eq!(
            refuse(&host, 1, &["start", "foo"]),
            format!("error: cannot start container 'foo': {cannot}")
        );
        host.run(&["destroy", "foo"]);
        assert_eq!(host.run(&["list"]), "");
        host.await_inventory(&before);
    }
}

#[test]
fn a_flake_of_another_user_gets_a_tip() {
    let host = Host::new();
    host.shell(
        "mkdir -p /run/throwaway/bin /run/throwaway/mine/.git /run/throwaway/mine/sub
         chown -R 1000 /run/throwaway/mine
         printf '#!/bin/sh\\necho it fails >&2; exit 1\\n' >/run/throwaway/bin/nix
         chmod +x /run/throwaway/bin/nix",
    );
    let create = |flake: &str| {
        let mut create = host.command("env");
        create.arg("PATH=/run/throwaway/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        create.arg(env!("CARGO_BIN_EXE_nixos-container"));
        refused(1, create.args(["create", "foo", "--flake", flake]))
    };
    let tip = "see Nix's output above; nothing was changed; /run/throwaway/mine belongs to user 1000, and git refuses repositories of \
               others; either allow it with `git config --global --add safe.directory \
               /run/throwaway/mine`, or name the flake as path:/run/throwaway/mine";
    for (flake, behind) in [
        ("/run/throwaway/mine", ""),
        ("/run/throwaway/mine/sub#web", "/sub"),
        ("git+file:///run/throwaway/mine?ref=x", ""),
    ] {
        let stderr = create(flake);
        assert!(stderr.ends_with(&format!(": {tip}{behind}\n")), "{stderr}");
    }
    host.shell("chown 0 /run/throwaway/mine /run/throwaway/mine/.git");
    for flake in [
        "/run/throwaway/mine",
        "path:/run/throwaway/mine",
        "github:me/mine",
    ] {
        let stderr = create(flake);
        assert!(!stderr.contains("safe.directory"), "{stderr}");
    }
}

#[test]
fn a_configured_system_that_is_gone_is_named_with_the_place_that_names_it() {
    let host = Host::new();
    host.create("foo");
    let conf = host.conf_path("foo");
    host.append_conf("foo", "SYSTEM_PATH=/nix/store/none");
    assert_eq!(
        refuse(&host, 1, &["start", "foo"]),
        format!(
            "error: cannot start container 'foo': cannot use SYSTEM_PATH of {conf}: the \
             system /nix/store/none does not exist\n"
        )
    );
    host.shell(&format!("sed -i '$d' {conf}"));
    let profile = host
        .place("PROFILE_DIR")
        .join("foo/system")
        .display()
        .to_string();
    host.shell(&format!("rm {profile}"));
    let before = host.inventory();
    assert_eq!(
        refuse(&host, 1, &["start", "foo"]),
        format!(
            "error: cannot start container 'foo': cannot use the container's profile: the system \
             {profile} does not exist\n"
        )
    );
    host.await_inventory(&before);
}

#[test]
fn a_key_of_a_later_version_is_warned_of_once() {
    let host = Host::new();
    host.create("foo");
    let conf = host.conf_path("foo");
    host.append_conf("foo", "FROM_THE_FUTURE=1");
    let output = host.try_run(&["start", "foo"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!("note: {conf} has unknown keys: FROM_THE_FUTURE\n")
    );
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    host.run(&["destroy", "foo"]);
}

#[test]
fn a_configuration_directory_that_cannot_be_written_changes_nothing() {
    let host = Host::new();
    host.create("foo");
    let conf_dir = host.place("CONF_DIR").display().to_string();
    host.shell(&format!(
        "mount --bind {conf_dir} {conf_dir}; mount -o remount,bind,ro {conf_dir}"
    ));
    let before = host.inventory();
    assert_eq!(
        refuse(
            &host,
            1,
            &["create", "bar", "--system-path", minimal_system()]
        ),
        format!(
            "error: cannot make {conf_dir}/.bar.creating: Read-only file system (os error 30)\n"
        )
    );
    host.await_inventory(&before);
    // Containers that exist can be used all the same.
    host.run(&["start", "foo"]);
    host.run(&["stop", "foo"]);
}

#[test]
fn without_cgroups_the_user_is_told_how_to_get_them() {
    let host = Host::new();
    host.create("foo");
    host.run(&["start", "foo"]);
    host.run(&["stop", "foo"]);
    host.shell("umount /sys/fs/cgroup");
    let before = host.inventory_after_stop("foo");
    assert_eq!(
        refuse(&host, 1, &["start", "foo"]),
        "error: cannot start container 'foo': cannot find the host's cgroups: no cgroup2 at \
         /sys/fs/cgroup or /sys/fs/cgroup/unified; mount it with `mount -t cgroup2 none \
         /sys/fs/cgroup`\n"
    );
    host.await_inventory(&before);
}

#[test]
fn an_ordinary_user_may_look_and_is_told_what_needs_root() {
    let host = Host::new();
    host.create("foo");
    // The program may stand where only root can reach it.
    let program = "/run/throwaway/nixos-container";
    host.shell(&format!(
        "touch {program}; mount --bind {} {program}",
        env!("CARGO_BIN_EXE_nixos-container")
    ));
    let as_nobody = |arguments: &[&str]| {
        let mut command = host.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
        command.args(arguments);
        command
    };
    let before = host.inventory();
    for arguments in [
        &["create", "bar"][..],
        &["start", "foo"],
        &["stop", "foo"],
        &["restart", "foo"],
        &["terminate", "foo"],
        &["run", "foo", "--", "true"],
        &["root-login", "foo"],
        &["destroy", "foo"],
        &["logs", "foo"],
        &["explain", "foo"],
    ] {
        let word = arguments[0];
        assert_eq!(
            refused(1, &mut as_nobody(arguments)),
            format!("error: `{word}` needs root; try `sudo nixos-container {word} …`\n")
        );
    }
    host.await_inventory(&before);
    assert_eq!(common::succeed(&mut as_nobody(&["list"])), "foo\n");
    assert_eq!(
        common::succeed(&mut as_nobody(&["status", "foo"])),
        "down\n"
    );
    assert_eq!(
        common::succeed(&mut as_nobody(&["show-ip", "foo"])),
        "10.233.1.2\n"
    );
}

#[test]
fn an_init_that_cannot_be_executed_is_named() {
    let host = Host::new();
    let system = "/run/throwaway/broken";
    host.shell(&format!("mkdir {system}; echo nothing >{system}/init"));
    host.create("foo");
    host.run(&["start", "foo"]);
    host.run(&["stop", "foo"]);
    host.shell(&format!(
        "echo SYSTEM_PATH={system} >>{}",
        host.conf_path("foo")
    ));
    let before = host.inventory_after_stop("foo");
    assert_eq!(
        refuse(&host, 1, &["start", "foo"]),
        format!(
            "error: cannot start container 'foo': cannot execute {system}/init: No such file or \
             directory (os error 2)\n"
        )
    );
    host.await_inventory(&before);
}

#[test]
fn rootless_containers_are_not_supported_yet() {
    assert_eq!(
        refuse(&Host::new(), 1, &["rootless-install"]),
        "error: rootless containers are not supported yet; run containers as root, with `sudo \
         nixos-container …`\n"
    );
}

/// As on a full disk, which `/dev/full` is.
#[test]
fn words_that_cannot_be_written_stop_no_work() {
    const CANNOT: &str = "error: cannot print: No space left on device (os error 28)\n";
    let host = Host::new();
    let ours = env!("CARGO_BIN_EXE_nixos-container");
    let create = |name: &str, system: &str| format!("{ours} create {name} --system-path {system}");
    let minimal = create("foo", minimal_system());
    host.shell(&format!(
        "{minimal} 2>/dev/full; {ours} stop foo 2>/dev/full"
    ));
    let mut named = host.command("sh");
    named.args([
        "-c",
        &format!("{minimal} --ensure-unique-name --auto-start >/dev/full"),
    ]);
    let stderr = String::from_utf8(named.output().expect("it runs").stderr).expect("UTF-8");
    assert!(stderr.ends_with(CANNOT), "{stderr}");
    assert_eq!(host.run(&["status", "foo-0"]), "up\n");
    for words in ["status foo", "show-ip foo", "generations foo", "list"] {
        let said = host.shell(&format!("{ours} {words} 2>&1 >/dev/full || echo $?"));
        assert_eq!(said, format!("{CANNOT}1\n"), "{words}");
    }
    // A supervisor in the foreground says that it lets the host forward packets.
    let ended = create("ended", &host.system_with_init("exit 0"));
    host.shell(&format!(
        "{ours} stop foo-0; {ended}; {ours} supervise ended 2>/dev/full"
    ));
}

#[test]
fn boots_that_end_in_reboots_have_the_time_for_one() {
    let host = Host::new();
    let shell = host.shell(&format!(
        "sed -n '1s/^#!\\([^ ]*\\).*/\\1/p' {}/init",
        minimal_system()
    ));
    let system = host.system_with_init(&format!("exec {} reboot -f", shell.trim()));
    host.create_of("foo", &system);
    host.shell(&format!(
        "echo TIMEOUT_START_SEC=2 >>{}",
        host.conf_path("foo")
    ));
    let mut start = host.command("timeout");
    start.args(["60", env!("CARGO_BIN_EXE_nixos-container"), "start", "foo"]);
    let stderr = refused(1, &mut start);
    assert!(
        stderr.contains("the system had not booted after 2 s and was killed"),
        "{stderr}"
    );
}

#[test]
fn places_are_absolute_paths() {
    let host = Host::new();
    let ours = env!("CARGO_BIN_EXE_nixos-container");
    assert_eq!(
        host.shell(&format!(
            "NIXOS_CONTAINER_RUN_DIR=run/containers {ours} list 2>&1 || echo $?"
        )),
        "error: NIXOS_CONTAINER_RUN_DIR is \"run/containers\", but must be an absolute path\n1\n"
    );
}
