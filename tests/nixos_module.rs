//! The units and conf files that the NixOS module makes of a configuration.

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::nested::NestedHost;
use common::{Host, succeed};

fn here(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), path].iter().collect()
}

/// The `/etc` that mini-nixpkgs builds from the configuration in a file.
fn etc(configuration: &Path) -> PathBuf {
    etc_with(configuration, "{ }")
}

/// The same with another module beside it.
fn etc_with(configuration: &Path, module: &str) -> PathBuf {
    let mut nix = Command::new(here("tests/throwaway-host"));
    nix.args(["nix-build", "--no-out-link", "-E"]).arg(format!(
        "(import <nixpkgs/nixos> {{ configuration.imports = [ {} ({module}) ]; }})
         .config.system.build.etc",
        configuration.display()
    ));
    succeed(&mut nix).trim().into()
}

/// What containers are made of in an `/etc`, file by file, with the hashes of
/// store paths left out.
fn containers_in(etc: &Path) -> String {
    let mut text = String::new();
    for directory in ["systemd/system", "systemd/network", "nixos-containers"] {
        let files = std::fs::read_dir(etc.join(directory)).expect("a directory");
        let mut files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
        files.sort();
        for file in files {
            let name = file.file_name().expect("a name").to_string_lossy();
            if directory == "systemd/system" && !name.starts_with("container@") {
                continue;
            }
            let contents = std::fs::read_to_string(&file).expect("readable");
            writeln!(text, "=== {directory}/{name}\n{}", contents.trim()).expect("writable");
        }
    }
    without_hashes(&text)
}

fn without_hashes(text: &str) -> String {
    let mut parts = text.split("/nix/store/");
    let mut without = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        without.push_str("/nix/store/…");
        without.push_str(&part[32..]);
    }
    without
}

/// `UPDATE_GOLDEN=1` writes down what there is; look at the difference before
/// it is committed.
#[test]
fn units_and_conf_files_are_those_of_the_golden_file() {
    let golden = here("tests/nixos_module/golden");
    let made = containers_in(&etc(&here("tests/nixos_module/host.nix")));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &made).expect("writable");
    }
    let expected = std::fs::read_to_string(&golden).expect("a golden file");
    assert!(made == expected, "not as in {}:\n{made}", golden.display());
}

/// The text of a unit's hook, such as `ExecStartPre`.
fn hook(unit: &str, directive: &str) -> String {
    let prefix = format!("{directive}=");
    let line = unit.lines().find_map(|line| line.strip_prefix(&prefix));
    let script = line.and_then(|line| line.split(' ').find(|word| word.contains("script")));
    script.map_or_else(String::new, |script| {
        std::fs::read_to_string(script).expect("readable")
    })
}

#[test]
fn what_a_configuration_adds_to_a_unit_stays_and_nixpkgs_scripts_go() {
    let units = etc(&here("tests/nixos_module/host.nix")).join("systemd/system");
    let unit = |name: &str| {
        let path = units.join(format!("container@{name}.service"));
        std::fs::read_to_string(path).expect("readable")
    };
    let hooks = unit("hooks");
    assert_eq!(
        hook(&hooks, "ExecStartPre"),
        "mkdir -p \"$root/srv/${INSTANCE}\""
    );
    assert_eq!(hook(&hooks, "ExecStartPost"), "ip link set ve-hooks up");
    assert_eq!(hook(&hooks, "ExecStopPost"), "true");
    for line in [
        "After=db.service",
        "DeviceAllow=/dev/kvm rw",
        "Environment=\"WORD=value\"",
        "Nice=5",
        "TasksMax=100",
    ] {
        assert!(hooks.lines().any(|l| l == line), "{line}: {hooks}");
    }
    let plain = unit("plain");
    assert!(!plain.contains("ExecStartPre") && !plain.contains("ExecStartPost"));
    // Shell commands that come before the program.
    let script = unit("script");
    let start = script
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .and_then(|line| line.strip_suffix(" %i"))
        .expect("an argument");
    let script = std::fs::read_to_string(start).expect("readable");
    let commands: Vec<_> = script.lines().skip(1).collect();
    assert_eq!(commands[..2], ["set -e", "echo first"]);
    assert!(commands[2].starts_with("exec "), "{script}");
    assert!(commands[2].ends_with("/bin/nixos-container supervise \"$1\""));
}

#[test]
fn directories_of_a_host_from_before_22_05_are_those_of_the_program() {
    let of_then = "{ lib, ... }: { system.stateVersion = lib.mkForce \"21.11\"; }";
    let etc = etc_with(&here("tests/nixos_module/host.nix"), of_then);
    let unit = etc.join("systemd/system/container@plain.service");
    let unit = std::fs::read_to_string(unit).expect("readable");
    let program = "/nixos-container-in/var/lib/containers-of/etc/containers/bin/nixos-container";
    assert!(
        unit.contains(&format!("ExecStart={program} supervise %i\n")),
        "{unit}"
    );
    assert!(etc.join("containers/plain.conf").exists());
}

/// Each conf file of the golden configuration means something to the command.
#[test]
fn the_command_understands_every_conf_file_of_the_module() {
    let etc = etc(&here("tests/nixos_module/host.nix"));
    let host = Host::new();
    let place = host.place("CONF_DIR");
    host.shell(&format!(
        "mkdir -p {1}; cp -L {0}/nixos-containers/*.conf {1}; ip link add br0 type bridge; ip link add br1 type bridge
         mkdir -p /srv/films /srv/music '/srv/more music'",
        etc.display(),
        place.display()
    ));
    for name in [
        "plain", "words", "bridged", "strange", "devices", "limited", "hooks",
    ] {
        let shown = host.try_run(&["explain", name]);
        let errors = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.status.success(), "{name}: {errors}");
        assert!(!errors.contains("known"), "{name}: {errors}");
    }
}

/// On a host with systemd: hooks run around the program with the unit's variables, and
/// the first start of a declared flake builds it.
#[test]
fn hooks_run_around_the_first_start_of_a_declared_flake() {
    let host = NestedHost::new(
        "{ lib, ... }: {
          containers.web.flake = \"path:/srv/web\";
          systemd.services.\"container@web\" = {
            # This host has no store of its own.
            environment.NIX_REMOTE = \"daemon\";
            preStart = \"echo before $INSTANCE $FLAKE >/run/hooks\";
            script = lib.mkBefore \"echo at the start >>/run/hooks\";
            postStart = \"echo after $INSTANCE >>/run/hooks\";
          };
        }",
    );
    let write_flake = |word: &str| {
        host.shell(&format!(
            "mkdir -p /srv/web; cat >/srv/web/flake.nix <<'END'
{{
  inputs.nixpkgs.url = \"path:{}\";
  outputs = {{ nixpkgs, ... }}: {{
    nixosConfigurations.container = nixpkgs.lib.nixosSystem {{
      system = \"x86_64-linux\";
      modules = [ {{ boot.isNspawnContainer = true; environment.etc.told.text = \"{word}\"; }} ];
    }};
  }};
}}
END",
            host.shell("nix-instantiate --find-file nixpkgs").trim()
        ));
    };
    let told = || host.shell("nixos-container run web -- cat /etc/told");
    write_flake("one");
    host.shell("nixos-container start web");
    assert_eq!(told(), "one");
    assert_eq!(
        host.shell("cat /run/hooks"),
        "before web path:/srv/web\nat the start\nafter web\n"
    );
    write_flake("two");
    host.shell("nixos-container update web");
    assert_eq!(told(), "two");
    host.shell("systemctl restart container@web");
    assert_eq!(told(), "two");
}

/// The hosts on which `make nixpkgs-check` compares the module with nixpkgs' own.
#[test]
fn hosts_of_the_nixpkgs_check_use_every_option() {
    let expression = format!(
        "let
           lib = import <nixpkgs/lib>;
           inherit (import <nixpkgs/nixos/lib/eval-config.nix> {{ modules = [ {} ]; }}) options;
           namesOf = option: lib.remove \"_module\" (lib.attrNames (option.type.getSubOptions [ ]));
           container = options.containers.type.getSubOptions [ ];
           hosts = import {} {{
             inherit lib;
             options = namesOf options.containers;
             vethOptions = namesOf container.extraVeths;
           }};
         in
         lib.subtractLists hosts.used.options (namesOf options.containers)
         ++ lib.subtractLists hosts.used.vethOptions (namesOf container.extraVeths)",
        here("nixos/module.nix").display(),
        here("tests/nixpkgs_check/hosts.nix").display()
    );
    let mut nix = Command::new(here("tests/throwaway-host"));
    nix.args([
        "nix-instantiate",
        "--eval",
        "--strict",
        "--expr",
        &expression,
    ]);
    assert_eq!(succeed(&mut nix).trim(), "[ ]");
}

#[test]
fn the_nixpkgs_check_asks_for_a_nixpkgs() {
    for (arguments, message) in [
        (&[][..], "say which nixpkgs: make nixpkgs-check NIXPKGS=DIR"),
        (&["/nowhere"][..], "/nowhere is not a nixpkgs"),
    ] {
        let output = Command::new(here("tests/nixpkgs_check/run"))
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(!output.status.success());
        let expected = format!("error: nixpkgs-check: {message}\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
}
