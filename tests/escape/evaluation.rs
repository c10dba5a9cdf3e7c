//! Attempts by the configuration in a container that an `update` on the host evaluates
//! and builds.

use crate::common::Host;
use crate::common::wait::until;
use std::process::{Output, Stdio};

/// Where the host's secrets are.
const HOSTS: &str = "/run/throwaway/hosts";

/// The word that each of them holds. It is another one in each run: the store is the
/// machine's, and keeps what was built.
fn secret() -> String {
    format!("a-secret-of-{}", std::process::id())
}

/// A host with secrets, and a container with users of its own.
fn prepare(host: &Host) {
    let secret = secret();
    host.shell(&format!(
        "mkdir {HOSTS}; cd {HOSTS}
         echo {secret} | tee open >closed; chmod 600 closed
         echo '\"{secret}\"' >import.nix
         mkdir tree repository {secret}; cp open tree/file; tar -cf tree.tar tree
         cp open repository/file; cd repository
         git init -q .; git add file; git -c user.name=x -c user.email=x@y commit -qm x"
    ));
    host.create_with("foo", &["--config", ""]);
    host.append_conf("foo", "PRIVATE_USERS=pick");
    host.run(&["start", "foo"]);
}

/// Has the container put this into its configuration, as root inside; the `update` on
/// the host.
fn update_with(host: &Host, definitions: &str) -> Output {
    let write = format!(
        "cat >/etc/nixos/configuration.nix <<'END'\n\
         {{ pkgs, ... }}: {{ boot.isNspawnContainer = true; {definitions} }}\nEND"
    );
    host.inside("foo", &write);
    // The host has settings of its own for Nix, which would hold otherwise.
    let mut update = host.command("env");
    update.args([
        format!("SECRET_OF_ROOT={}", secret()),
        format!(
            "NIX_CONFIG=allow-unsafe-native-code-during-evaluation = true\n\
             access-tokens = example.org={}",
            secret()
        ),
    ]);
    update.args([env!("CARGO_BIN_EXE_nixos-container"), "update", "foo"]);
    update.output().expect("it runs")
}

/// Expressions whose value is a secret of the host, if they have one.
const READS: [(&str, &str); 16] = [
    (
        "a file of root alone",
        "builtins.readFile /run/throwaway/hosts/closed",
    ),
    (
        "a file that all can read",
        "builtins.readFile /run/throwaway/hosts/open",
    ),
    (
        "a directory",
        "toString (builtins.attrNames (builtins.readDir /run/throwaway/hosts))",
    ),
    ("an expression", "import /run/throwaway/hosts/import.nix"),
    (
        "a path as a string",
        "builtins.readFile \"${/run/throwaway/hosts/open}\"",
    ),
    (
        "a path that is added to the store",
        "builtins.readFile (builtins.path { path = /run/throwaway/hosts/open; name = \"x\"; })",
    ),
    (
        "a filtered tree",
        "builtins.readFile (builtins.filterSource (_: _: true) /run/throwaway/hosts/tree + \"/file\")",
    ),
    ("a variable", "builtins.getEnv \"SECRET_OF_ROOT\""),
    (
        "the environment of a process",
        "builtins.readFile /proc/self/environ",
    ),
    ("the settings of Nix", "builtins.getEnv \"NIX_CONFIG\""),
    (
        "an address of a file",
        "builtins.readFile (builtins.fetchurl \"file:///run/throwaway/hosts/open\")",
    ),
    (
        "an address of an archive",
        "builtins.readFile (builtins.fetchTarball \"file:///run/throwaway/hosts/tree.tar\" + \"/file\")",
    ),
    (
        "a repository of the host",
        "builtins.readFile (builtins.fetchGit \"file:///run/throwaway/hosts/repository\" + \"/file\")",
    ),
    (
        "a program that is run by the evaluator",
        "builtins.exec [ \"/bin/sh\" \"-c\" \"echo '\\\"'$(cat /run/throwaway/hosts/closed)'\\\"'\" ]",
    ),
    (
        "a builder",
        "builtins.readFile (derivation { name = \"reads-NONCE\"; system = builtins.currentSystem; \
         builder = \"/bin/sh\"; args = [ \"-c\" \"read x < /run/throwaway/hosts/open; echo $x > $out\" ]; })",
    ),
    (
        "a builder of a fixed result",
        "builtins.readFile (derivation { name = \"fixed-NONCE\"; system = builtins.currentSystem; \
         builder = \"/bin/sh\"; outputHash = \"OUTPUT\"; outputHashAlgo = \"sha256\"; outputHashMode = \"flat\"; \
         args = [ \"-c\" \"read x < /run/throwaway/hosts/open; echo $x > $out\" ]; })",
    ),
];

fn nothing_of_the_host_is_read(host: &Host) {
    prepare(host);
    let output = host.shell(&format!("sha256sum {HOSTS}/open | cut -d' ' -f1"));
    let system = host.place("PROFILE_DIR").join("foo/system");
    let leak = format!("cat {}/etc/leak 2>/dev/null || true", system.display());
    let mut leaked = Vec::new();
    for (what, expression) in READS {
        let expression = expression
            .replace("OUTPUT", output.trim())
            .replace("NONCE", &secret());
        update_with(host, &format!("environment.etc.leak.text = {expression};"));
        if host.shell(&leak).contains(&secret()) {
            leaked.push(what);
        }
        // What has succeeded stays the system.
        update_with(host, "");
    }
    assert_eq!(leaked, Vec::<&str>::new());
}

#[test]
fn a_configuration_reads_nothing_of_the_host() {
    nothing_of_the_host_is_read(&Host::new());
}

#[test]
fn a_configuration_reads_nothing_of_a_host_with_a_nix_daemon() {
    let host = Host::with_nix_daemon();
    prepare(&host);
    // Builders are the daemon's.
    let system = host.place("PROFILE_DIR").join("foo/system");
    let leak = format!("cat {}/etc/leak 2>/dev/null || true", system.display());
    for (what, expression) in &READS[..READS.len() - 2] {
        update_with(&host, &format!("environment.etc.leak.text = {expression};"));
        assert!(!host.shell(&leak).contains(&secret()), "{what}");
        let output = update_with(&host, "");
        assert!(output.status.success(), "{output:?}");
    }
}

/// A repository whose configuration names a program (CVE-2022-24765 by class).
#[test]
fn git_runs_no_program_of_the_container_on_the_host() {
    let host = Host::new();
    prepare(&host);
    host.shell(&format!(
        "cd $NIXOS_CONTAINER_STATE_DIR/foo/etc/nixos; git init -q g; cd g; touch file; git add file
         git -c user.name=x -c user.email=x@y commit -qm x
         cat >program <<'END'\n#!/bin/sh
         id -u >{HOSTS}/ran; cat {HOSTS}/closed >{HOSTS}/copied; touch /nix/store/planted-by-git
         touch /nix/var/nix/profiles/planted-by-git; kill -9 1; kill -9 $PPID\nEND
         chmod +x program; git config core.fsmonitor \"$PWD/program\"; chown -R 0:0 ."
    ));
    // The path of the repository in the copy.
    let inside = "sed -i 's|fsmonitor = .*|fsmonitor = ../g/program|' /etc/nixos/g/.git/config";
    host.inside("foo", inside);
    for expression in [
        "builtins.fetchGit ./g",
        "builtins.fetchGit { url = ./g; ref = \"HEAD\"; }",
        "builtins.fetchGit \"git+file://${toString ./g}\"",
    ] {
        let definition = format!("environment.etc.g.source = {expression};");
        update_with(&host, &definition);
        let traces = host.shell(&format!(
            "ls -d {HOSTS}/ran {HOSTS}/copied /nix/store/planted-by-git \
             /nix/var/nix/profiles/planted-by-git 2>/dev/null || true"
        ));
        assert_eq!(traces, "", "{expression}");
    }
}

/// Builders write their results, and nothing else of the store. They see no process and no
/// setting of the host.
#[test]
fn a_builder_changes_nothing_on_the_host() {
    let host = Host::new();
    prepare(&host);
    let victim = host.shell(&format!("nix-store --add {HOSTS}/open"));
    let victim = victim.trim();
    let process = host.shell("sleep 1000 </dev/null >/dev/null 2>&1 & echo $!");
    let process = process.trim();
    let state = || {
        host.shell(&format!(
            "stat -c '%i %Y %a' {victim}; cat {victim} /proc/sys/kernel/core_pattern
             kill -0 {process} && echo alive
             find /nix/var/nix/profiles /nix/var/nix/gcroots /nix/var/nix/db /nix/var/nix/temproots \
                  /etc /usr/local {HOSTS} -name 'planted*'
             ls /nix/store | grep '^planted' || true"
        ))
    };
    let before = state();
    let script = format!(
        "chmod u+w {victim}; echo planted >>{victim}; rm -f {victim}
         for place in /nix/store /nix/var/nix/profiles /nix/var/nix/profiles/per-user \
             /nix/var/nix/gcroots /nix/var/nix/gcroots/auto /nix/var/nix/db \
             /nix/var/nix/temproots /etc /usr/local {HOSTS}; do echo >$place/planted-{}; done
         echo planted >/proc/sys/kernel/core_pattern; kill -9 {process}
         echo done >$out",
        secret()
    );
    let definition = format!(
        "environment.etc.built.source = derivation {{ name = \"plants-{}\"; \
         system = builtins.currentSystem; builder = \"/bin/sh\"; \
         PATH = \"/usr/bin:/bin\"; args = [ \"-c\" ''{script}'' ]; }};",
        secret()
    );
    let output = update_with(&host, &definition);
    // An unregistered file of the store is nobody's, but it is in the way.
    host.shell(&format!("rm -f /nix/store/planted-{}", secret()));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(state(), before);
}

/// Abstract sockets belong to a network namespace, and the sandbox has the host's
/// (CVE-2020-15257 by class). Landlock can keep from them since Linux 6.12.
#[test]
fn a_builder_reaches_no_abstract_socket_of_the_host() {
    let host = Host::new();
    prepare(&host);
    let name = secret();
    host.shell(&format!(
        "perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un(qq(\\0{name}))) or die;
         listen(S, 9); open(F, q(>), q({HOSTS}/listens)); close(F);
         accept(C, S); open(F, q(>), q({HOSTS}/connected))' </dev/null >/dev/null 2>&1 &
         until [ -e {HOSTS}/listens ]; do sleep 0.01; done"
    ));
    let connect = format!(
        "socket(S, PF_UNIX, SOCK_STREAM, 0); \
         print connect(S, sockaddr_un(qq(\\0{name}))) ? q(reached) : q(refused)"
    );
    let definition = format!(
        "environment.etc.built.source = derivation {{ name = \"connects-{name}\"; \
         system = builtins.currentSystem; builder = \"/usr/bin/perl\"; \
         args = [ \"-MSocket\" \"-e\" ''open(STDOUT, q(>), $ENV{{out}}); {connect}'' ]; }};"
    );
    let output = update_with(&host, &definition);
    assert!(output.status.success(), "{output:?}");
    let built = host.shell("cat $NIXOS_CONTAINER_PROFILE_DIR/foo/system/etc/built");
    assert_eq!(built, "refused");
    assert_eq!(
        host.shell(&format!("ls {HOSTS}/connected 2>/dev/null || true")),
        ""
    );
}

/// A command that is killed takes all with it that runs at the word of the container.
#[test]
fn nothing_of_an_evaluation_outlives_its_command() {
    let host = Host::new();
    prepare(&host);
    let processes = "ps -eo uid=,args= | grep -E 'nix-(build|daemon)|sleep 987654' | grep -v grep \
                     || true";
    host.inside(
        "foo",
        &format!(
            "cat >/etc/nixos/configuration.nix <<'END'\n\
             {{ ... }}: {{ boot.isNspawnContainer = builtins.readFile (derivation {{
                 name = \"waits-{}\"; system = builtins.currentSystem; builder = \"/bin/sh\";
                 PATH = \"/usr/bin:/bin\"; args = [ \"-c\" \"sleep 987654\" ]; }}) == \"\"; }}\nEND",
            secret()
        ),
    );
    let mut update = host.nixos_container(&["update", "foo"]);
    let mut update = update.stderr(Stdio::null()).spawn().expect("it runs");
    until("a build for an evaluation by nobody", || {
        let processes = host.shell(processes);
        let lines: Vec<_> = processes.lines().map(str::trim_start).collect();
        let runs = |uid: &str, program: &str| {
            let found = |line: &&str| line.starts_with(uid) && line.contains(program);
            lines.iter().any(found)
        };
        runs("65534 ", "nix-build") && runs("30", "sleep 987654")
    });
    update.kill().expect("killed");
    update.wait().expect("waited for");
    until("the end of it", || host.shell(processes).is_empty());
    let output = update_with(&host, "");
    assert!(output.status.success(), "{output:?}");
    let left = "ls -A $NIXOS_CONTAINER_STATE_DIR | grep updating || true";
    assert_eq!(host.shell(left), "");
}
