//! The outputs of `flake.nix`, as far as Nix can evaluate them without nixpkgs.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::succeed;
use serde_json::Value;

fn here(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), path].iter().collect()
}

/// The flake's outputs, shown by `tests/flake/outputs.nix`.
fn outputs() -> Value {
    let mut nix = Command::new("nix-instantiate");
    nix.args(["--eval", "--strict", "--json"])
        .arg(here("tests/flake/outputs.nix"));
    serde_json::from_str(&succeed(&mut nix)).expect("JSON")
}

#[test]
fn the_package_has_all_sources_that_cargo_looks_for() {
    let package = &outputs()["package"];
    assert_eq!(package["pname"], "nixos-container");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    let build = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let build = build.path();
    for path in package["src"].as_array().expect("a list") {
        let mut copy = Command::new("cp");
        copy.current_dir(here("")).args(["-r", "--parents"]);
        succeed(copy.arg(path.as_str().expect("a path")).arg(build));
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--no-deps", "--offline", "--locked"])
        .args(["--format-version=1"])
        .current_dir(build);
    let metadata: Value = serde_json::from_str(&succeed(&mut cargo)).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    assert_eq!(packages.len(), 4, "{metadata}");
    assert!(build.join("systemd/container@.service").exists());
    let sources = succeed(Command::new("find").arg(build).args(["-name", "*.rs"]));
    for source in sources.lines().map(Path::new) {
        let text = std::fs::read_to_string(source).expect("readable");
        let included = text.split("include_str!(\"").skip(1);
        for name in included.filter_map(|rest| rest.split('"').next()) {
            let file = source.parent().expect("a directory").join(name);
            assert!(file.exists(), "{} includes {name}", source.display());
        }
    }
}

/// The program's sources read these variables when they are compiled.
#[test]
fn the_package_has_the_directories_that_nixpkgs_module_gives_it() {
    let outputs = outputs();
    let sources = std::fs::read_to_string(here("src/container/paths.rs")).expect("readable");
    for (variable, directory) in [
        ("DEFAULT_CONF_DIR", "/etc/containers"),
        ("DEFAULT_STATE_DIR", "/var/lib/containers"),
    ] {
        assert_eq!(outputs["moved"][variable], directory);
        assert!(sources.contains(&format!("option_env!(\"{variable}\")")));
    }
}

#[test]
fn there_is_a_check_for_each_scenario() {
    let outputs = outputs();
    let checks = outputs["checks"].as_object().expect("a set");
    let names: BTreeSet<_> = checks.keys().map(String::as_str).collect();
    let scenarios = std::fs::read_dir(here("vm-tests/scenarios")).expect("a directory");
    let scenarios: BTreeSet<String> = scenarios
        .filter_map(|file| {
            let name = file.expect("readable").file_name();
            Some(name.to_str()?.strip_suffix(".py")?.to_owned())
        })
        .collect();
    assert_eq!(names, scenarios.iter().map(String::as_str).collect());
    for (name, check) in checks {
        assert_eq!(check["name"], format!("nixos-container-{name}"));
        assert_eq!(check["imports"], true, "{name}");
    }
}

#[test]
fn module_and_overlay_and_shell_are_there() {
    let outputs = outputs();
    assert_eq!(outputs["module"], true);
    assert_eq!(outputs["overlay"], "nixos-container");
    let shell = outputs["shell"].as_array().expect("a list");
    assert!(shell.contains(&"clippy".into()), "{shell:?}");
}
