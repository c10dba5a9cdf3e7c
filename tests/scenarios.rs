//! The scenarios of `vm-tests/` on hosts that are containers: with systemd,
//! machined and the NixOS module, and without a kernel of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn here(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), path].iter().collect()
}

#[test]
fn every_scenario_holds_on_a_nested_host() {
    let program = Path::new(env!("CARGO_BIN_EXE_nixos-container"));
    let programs = program.parent().expect("a program is in a directory");
    let path = std::env::var("PATH").expect("a PATH");
    let output = Command::new(here("tests/throwaway-host"))
        .arg("--nix-daemon")
        .arg(here("vm-tests/run"))
        .env("PATH", format!("{}:{path}", programs.display()))
        .stdin(Stdio::null())
        .output()
        .expect("tests/throwaway-host runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let steps = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{steps}", output.status);
}
