//! What the programs are built from: licences, sources and duplicates, as
//! `cargo metadata` lists them. (cargo-deny checks the same, and would have to be
//! compiled on every machine, in one and a half minutes of processor time.)

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Licences that let this project be MIT.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates of which there are several versions: those of macros, at build time.
const DUPLICATES: &[&str] = &["syn"];

/// The packages of a workspace and all that they depend on.
fn packages(manifest: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .args(["--manifest-path", manifest])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list").clone();
    assert!(packages.len() > 10, "{packages:?}");
    packages
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Whether an SPDX expression lets one choose among [`LICENCES`]: alternatives
/// in brackets, all of which have to be met (`(A OR B) AND C`). Older manifests
/// write `A/B`.
fn is_allowed(licence: &str) -> bool {
    let licence = licence.replace('/', " OR ");
    licence.split(" AND ").all(|part| {
        let part = part.trim_matches(['(', ')']);
        part.split(" OR ")
            .any(|name| LICENCES.contains(&name.trim()))
    })
}

#[test]
fn licences_of_dependencies_are_permissive() {
    assert!(is_allowed("(MIT OR GPL-2.0-only) AND Unicode-3.0"));
    assert!(!is_allowed("MIT AND GPL-2.0-only"));
    assert!(!is_allowed(""));
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        for package in packages(manifest) {
            let (name, licence) = (text(&package, "name"), text(&package, "license"));
            let own = package["source"].is_null();
            assert!(own || is_allowed(licence), "{name}: {licence:?}");
        }
    }
}

#[test]
fn dependencies_are_of_crates_io_and_of_one_version() {
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for package in packages("Cargo.toml") {
        let source = &package["source"];
        assert!(source.is_null() || source == CRATES_IO, "{package}");
        let name = text(&package, "name").to_owned();
        let version = text(&package, "version").to_owned();
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let duplicates: Vec<_> = versions.keys().collect();
    assert_eq!(duplicates, DUPLICATES, "{versions:?}");
}
