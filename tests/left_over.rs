//! Files of a container that is gone: its configuration was removed, as `nixos-rebuild
//! switch` does with a container that is no longer declared.

mod common;

use std::process::Stdio;

use common::{Host, minimal_system, system};

/// A container that has a file of its own, and no configuration.
fn leave(host: &Host, name: &str) {
    host.create_and_start(name);
    host.run(&["run", name, "--", "touch", "/root/mine"]);
    host.run(&["stop", name]);
    host.shell(&format!("rm {}", host.conf_path(name)));
}

/// The words of `create` with a system that is built already.
fn create<'a>(name: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let words = ["create", name, "--system-path", minimal_system()];
    [&words, options].concat()
}

/// The files of the host that belong to containers, but for locks.
fn files(host: &Host) -> Vec<String> {
    let lines = host.inventory().into_iter();
    lines.filter(|line| line.starts_with("file ")).collect()
}

#[test]
fn files_of_a_container_that_is_gone_are_listed_and_destroyed_by_name() {
    let host = Host::new();
    leave(&host, "foo");
    host.create("bar");
    assert_eq!(host.run(&["list"]), "bar\n");
    assert_eq!(host.run(&["list", "--orphaned"]), "foo\n");
    let root = host.place("STATE_DIR").join("foo");
    let output = host.try_run(&["destroy", "foo"]);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "note: removed {} and the other files that container 'foo' had left\n",
            root.display()
        )
    );
    assert_eq!(host.run(&["list", "--orphaned"]), "");
    host.run(&["destroy", "bar"]);
    assert_eq!(files(&host), Vec::<String>::new());
}

#[test]
fn a_creation_takes_over_files_only_with_reuse_root() {
    let host = Host::new();
    leave(&host, "foo");
    let root = host.place("STATE_DIR").join("foo").display().to_string();
    let before = files(&host);
    for option in [&[][..], &["--force"]] {
        let stderr = host.fail(25, &create("foo", option));
        assert_eq!(
            stderr,
            format!(
                "error: container 'foo' does not exist, but has left its files in {root}; \
                 --reuse-root takes them over, `nixos-container destroy foo` removes them\n"
            )
        );
        assert_eq!(files(&host), before);
    }
    host.fail(
        1,
        &["create", "foo", "--reuse-root", "--config", "nonsense"],
    );
    host.shell(&format!("[ -e {root}/root/mine ]"));
    assert_eq!(host.run(&["list", "--orphaned"]), "foo\n");
    let unique = host.run(&create("foo", &["--ensure-unique-name"]));
    assert_eq!(unique, "foo-0\n");
    host.run(&create("foo", &["--reuse-root"]));
    host.run(&["start", "foo"]);
    host.run(&["run", "foo", "--", "test", "-e", "/root/mine"]);
    assert_eq!(host.run(&["list", "--orphaned"]), "");
    // Without files, there is nothing to take over.
    host.run(&create("new", &["--reuse-root"]));
}

#[test]
fn an_empty_root_directory_was_made_for_the_container() {
    let host = Host::new();
    let root = host.place("STATE_DIR").join("foo").display().to_string();
    host.shell(&format!("mkdir -p {root}"));
    host.run(&create("foo", &[]));
    host.run(&["start", "foo"]);
}

#[test]
fn files_of_a_running_container_are_not_removed() {
    let host = Host::new();
    host.create_and_start("foo");
    host.shell(&format!("mv {0} {0}.away", host.conf_path("foo")));
    assert_eq!(host.run(&["list", "--orphaned"]), "");
    let _ = host.try_run(&create("foo", &[]));
    host.shell(&format!("mv {0}.away {0}", host.conf_path("foo")));
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    host.run(&["run", "foo", "--", "test", "-d", "/root"]);
}

#[test]
fn a_declared_container_says_whose_files_it_takes_over() {
    let host = Host::new();
    leave(&host, "foo");
    let conf = host.conf_path("foo");
    let other = system("{ environment.etc.other.text = \"\"; }");
    host.write_conf("foo", &format!("SYSTEM_PATH={other}"));
    let start = || {
        let output = host.try_run(&["start", "foo"]);
        assert!(output.status.success());
        host.run(&["stop", "foo"]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(start(), "");
    host.shell(&format!(
        "mount --bind {conf} {conf}; mount -o remount,bind,ro {conf}"
    ));
    let profile = host.place("PROFILE_DIR").join("foo");
    assert_eq!(
        start(),
        format!(
            "note: container 'foo' is declared in the host's configuration, but its root \
             directory {} was that of a container that was created with this name; move the \
             directory away if it is another one's, or remove {} if it is meant to be the same\n",
            host.place("STATE_DIR").join("foo").display(),
            profile.display()
        )
    );
    host.shell(&format!("rm -r {}", profile.display()));
    assert_eq!(start(), "");
}

#[test]
fn the_end_of_a_killed_creation_is_not_that_of_the_files_it_took_over() {
    let host = Host::new();
    leave(&host, "foo");
    // As a creation leaves it that is killed at once.
    host.shell("touch $NIXOS_CONTAINER_CONF_DIR/.foo.creating");
    let root = host.place("STATE_DIR").join("foo").display().to_string();
    let output = host.try_run(&["destroy", "foo"]);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "note: undid a creation of container 'foo' that was killed; the files in {root} were \
             there before, and another `nixos-container destroy foo` removes them\n"
        )
    );
    host.shell(&format!("[ -e {root}/root/mine ]"));
    host.run(&["destroy", "foo"]);
    assert_eq!(files(&host), Vec::<String>::new());
}

#[test]
fn what_is_being_created_is_not_destroyed() {
    let host = Host::new();
    // Nix waits until it may go on.
    host.shell(
        "mkdir /run/throwaway/bin; mkfifo /run/throwaway/go /run/throwaway/reached
         printf '#!/bin/sh\\necho >/run/throwaway/reached; cat /run/throwaway/go; exit 1\\n' \
             >/run/throwaway/bin/nix
         chmod +x /run/throwaway/bin/nix",
    );
    let mut create = host.command("env");
    create.arg("PATH=/run/throwaway/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    create.arg(env!("CARGO_BIN_EXE_nixos-container"));
    create.args(["create", "foo", "--flake", "/nowhere"]);
    let mut create = create.stderr(Stdio::null()).spawn().expect("it runs");
    host.shell("cat /run/throwaway/reached; touch $NIXOS_CONTAINER_STATE_DIR/foo/mine");
    let output = host.try_run(&["destroy", "foo"]);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "note: container 'foo' is being created; nothing was removed\n"
    );
    host.shell("[ -e $NIXOS_CONTAINER_STATE_DIR/foo/mine ]; echo >/run/throwaway/go");
    assert!(!create.wait().expect("waited for").success());
    assert_eq!(files(&host), Vec::<String>::new());
}
