//! The units and conf files that the NixOS module makes of a configuration.

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Host, succeed};

fn here(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), path].iter().collect()
}

/// The `/etc` that mini-nixpkgs builds from the configuration in a file.
fn etc(configuration: &Path) -> PathBuf {
    let mut nix = Command::new(here("tests/throwaway-host"));
    nix.args(["nix-build", "--no-out-link", "-E"]).arg(format!(
        "(import <nixpkgs/nixos> {{ configuration = {}; }}).config.system.build.etc",
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
    // nixpkgs' own scripts.
    for word in ["systemd-nspawn", "ExecStartPre", "ExecStartPost"] {
        assert!(!made.contains(word), "{word} is left in a unit");
    }
}

/// Each conf file of the golden configuration means something to the command.
#[test]
fn the_command_understands_every_conf_file_of_the_module() {
    let etc = etc(&here("tests/nixos_module/host.nix"));
    let host = Host::new();
    let place = host.place("CONF_DIR");
    host.shell(&format!(
        "mkdir -p {1}; cp -L {0}/nixos-containers/*.conf {1}; ip link add br0 type bridge; ip link add br1 type bridge
         mkdir -p /srv/films /srv/music",
        etc.display(),
        place.display()
    ));
    for name in ["plain", "words", "bridged", "strange", "devices", "limited"] {
        let shown = host.try_run(&["explain", name]);
        let errors = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.status.success(), "{name}: {errors}");
        assert!(!errors.contains("known"), "{name}: {errors}");
    }
}
