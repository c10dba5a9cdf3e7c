//! The `nix.conf` of the sandbox: the host's, without secrets and without programs that
//! Nix would run.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::read_if_present;

/// Its place in the sandbox.
pub(super) const PLACE: &str = "/etc/nix/nix.conf";

/// The settings that hold in the sandbox, too (`man 5 nix.conf`). With an `extra-`
/// before it, a name adds to a setting.
const KEPT: [&str; 42] = [
    "allow-dirty",
    "allow-import-from-derivation",
    "allowed-uris",
    "auto-optimise-store",
    "commit-lockfile-summary",
    "connect-timeout",
    "cores",
    "download-attempts",
    "download-buffer-size",
    "download-speed",
    "eval-cache",
    "experimental-features",
    "fallback",
    "flake-registry",
    "fsync-metadata",
    "hashed-mirrors",
    "http2",
    "http-connections",
    "keep-derivations",
    "keep-going",
    "keep-outputs",
    "log-lines",
    "max-build-log-size",
    "max-call-depth",
    "max-jobs",
    "max-silent-time",
    "max-substitution-jobs",
    "narinfo-cache-negative-ttl",
    "narinfo-cache-positive-ttl",
    "nix-path",
    "print-missing",
    "pure-eval",
    "require-sigs",
    "restrict-eval",
    "show-trace",
    "stalled-download-timeout",
    "substitute",
    "substituters",
    "system-features",
    "tarball-ttl",
    "timeout",
    "trusted-public-keys",
];

/// Settings of the evaluator: those that a flake asks for do not hold.
const OF_CLIENT: &str = "accept-flake-config = false\n";

/// Settings of a daemon for one build. Builders run as users of their own; the daemon
/// has no capability to make namespaces for them.
const OF_DAEMON: &str = "build-users-group = nixbld\nsandbox = false\ntrusted-users = root\n\
                         allowed-users = *\nbuilders =\n";

/// The settings of the evaluator.
pub(super) fn for_client() -> Result<String> {
    Ok(hosts_settings()? + OF_CLIENT)
}

/// The settings of a daemon for one build.
pub(super) fn for_daemon() -> Result<String> {
    Ok(hosts_settings()? + OF_DAEMON)
}

/// The settings of the host that are kept, in the order in which Nix reads them: the
/// last value of a name holds.
fn hosts_settings() -> Result<String> {
    let directory = env::var_os("NIX_CONF_DIR").filter(|directory| !directory.is_empty());
    let directory = directory.map_or_else(|| "/etc/nix".into(), PathBuf::from);
    let mut files = vec![directory.join("nix.conf")];
    match env::var_os("NIX_USER_CONF_FILES") {
        Some(list) => files.extend(env::split_paths(&list).filter(|file| file.is_absolute())),
        None => {
            let home = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
            let home = home.or(env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
            files.extend(home.map(|home| home.join("nix/nix.conf")));
        }
    }
    let mut kept = String::new();
    for file in &files {
        keep_of_file(file, DEEPEST, &mut kept)?;
    }
    let variable = env::var("NIX_CONFIG").unwrap_or_default();
    keep(&variable, Path::new("/"), DEEPEST, &mut kept)?;
    Ok(kept)
}

/// How deep files include others; a file that includes itself ends there.
const DEEPEST: u8 = 8;

fn keep_of_file(file: &Path, depth: u8, kept: &mut String) -> Result<()> {
    let text = read_if_present(file)?;
    keep(&text, file.parent().unwrap_or(file), depth, kept)
}

/// Adds the lines that are kept.
fn keep(text: &str, directory: &Path, depth: u8, kept: &mut String) -> Result<()> {
    for line in text.lines() {
        let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("include" | "!include"), Some(file)) => {
                if let Some(depth) = depth.checked_sub(1) {
                    keep_of_file(&directory.join(file), depth, kept)?;
                }
            }
            (Some(name), Some("=")) if is_kept(name) => {
                kept.push_str(line);
                kept.push('\n');
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_kept(name: &str) -> bool {
    KEPT.contains(&name.strip_prefix("extra-").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_programs_are_not_kept() {
        let mut kept = String::new();
        let text = "# mine\ncores = 2 # all\naccess-tokens = github.com=secret\n\
                    extra-experimental-features = flakes\nplugin-files = /p.so\n\
                    netrc-file = /n\npost-build-hook = /h\nextra-plugin-files = /q.so\n\
                    allow-unsafe-native-code-during-evaluation = true\ncores= 3\n";
        keep(text, Path::new("/"), 0, &mut kept).expect("no file");
        assert_eq!(kept, "cores = 2\nextra-experimental-features = flakes\n");
    }
}
