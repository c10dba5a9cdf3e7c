//! Help that concerns all commands: examples, environment variables and files.

use crate::report::exit_codes;

/// Command lines from a container's creation to its destruction.
pub const EXAMPLES: &str = "Examples:
  nixos-container create foo --config 'services.openssh.enable = true;'
  nixos-container start foo
  nixos-container run foo -- uname -a
  ssh root@$(nixos-container show-ip foo)
  nixos-container destroy foo";

/// Environment variables and their meanings.
pub const ENVIRONMENT: [(&str, &str); 8] = [
    (
        "NIXOS_CONTAINER_CONF_DIR",
        "Directory of configuration files. Default: /etc/nixos-containers.",
    ),
    (
        "NIXOS_CONTAINER_STATE_DIR",
        "Directory of root directories. Default: /var/lib/nixos-containers.",
    ),
    (
        "NIXOS_CONTAINER_PROFILE_DIR",
        "Directory of Nix profiles. Default: /nix/var/nix/profiles/per-container.",
    ),
    (
        "NIXOS_CONTAINER_GCROOT_DIR",
        "Directory of garbage collector roots. Default: /nix/var/nix/gcroots/per-container.",
    ),
    (
        "NIXOS_CONTAINER_RUN_DIR",
        "Directory of running containers. Default: /run/nixos-containers.",
    ),
    (
        "NIXOS_CONTAINER_ADDRESS_POOL",
        "Network for addresses of containers, of length 22 or less. Default: 10.233.0.0/16.",
    ),
    (
        "NIXOS_CONTAINER_LOG",
        "Level of the log: off, error, warn, info, debug or trace. Default: off.",
    ),
    (
        "NIXOS_CONTAINER_COMPLETE",
        "Name of a shell (bash, zsh or fish): print its completion script.",
    ),
];

/// Files and their contents.
pub const FILES: [(&str, &str); 5] = [
    (
        "/etc/nixos-containers/NAME.conf",
        "The container's configuration, see nixos-container.conf(5).",
    ),
    (
        "/var/lib/nixos-containers/NAME",
        "The container's root directory.",
    ),
    (
        "/nix/var/nix/profiles/per-container/NAME/system",
        "The container's system, with its earlier generations beside it.",
    ),
    (
        "/nix/var/nix/gcroots/per-container/NAME",
        "The container's own garbage collector roots.",
    ),
    (
        "/run/nixos-containers/NAME",
        "Sockets, locks and logs of a running container.",
    ),
];

/// The end of `--help`.
pub fn help() -> String {
    format!(
        "{EXAMPLES}\n\nExit codes:\n{}\n\nEnvironment variables:\n{}",
        list(&exit_codes::MEANINGS),
        list(&ENVIRONMENT)
    )
}

fn list(entries: &[(&str, &str)]) -> String {
    let width = entries
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let lines: Vec<_> = entries
        .iter()
        .map(|(name, meaning)| format!("  {name:width$}  {meaning}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The variables of this project that a source file names, tests aside.
    fn variables(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                variables(&path, found);
            } else if !path.ends_with("cli/args/overview.rs") {
                let source = fs::read_to_string(&path).unwrap_or_default();
                let code = source
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
                let names = code.split('"').filter(|text| {
                    text.starts_with("NIXOS_CONTAINER_")
                        && text.bytes().all(|c| c == b'_' || c.is_ascii_uppercase())
                });
                found.extend(names.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_environment_variable_is_documented() {
        let mut read = BTreeSet::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        variables(&root.join("src"), &mut read);
        let documented = ENVIRONMENT.map(|(name, _)| name.to_owned());
        assert_eq!(read, BTreeSet::from(documented));
    }
}
