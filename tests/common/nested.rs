//! A host that is a container itself: with systemd and the NixOS module.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::{Host, succeed, system};

/// The container that is the host.
const NAME: &str = "host";

/// A host that systemd runs, and on it the command under test as the NixOS
/// module installs it. It ends with the throwaway host that it is on.
pub struct NestedHost {
    below: Host,
}

impl NestedHost {
    /// Builds a host with this NixOS module besides that of containers, and
    /// boots it.
    pub fn new(module: &str) -> Self {
        let below = Host::with_nix_daemon();
        let base: PathBuf = [env!("CARGO_MANIFEST_DIR"), "vm-tests/host.nix"]
            .iter()
            .collect();
        let system = system(&format!(
            "import {} {{ program = {}; scenario = ({module}); }}",
            base.display(),
            env!("CARGO_BIN_EXE_nixos-container")
        ));
        // The pool of addresses is for the containers on it.
        let addresses = [
            "--host-address",
            "192.0.2.1",
            "--local-address",
            "192.0.2.2",
        ];
        below.create_with(
            NAME,
            &[&["--system-path", &system][..], &addresses].concat(),
        );
        below.run(&["start", NAME]);
        Self { below }
    }

    /// A program on this host, run by root, to be configured further.
    pub fn command(&self, program: &str) -> Command {
        self.below
            .nixos_container(&["run", NAME, "--", "env", "--chdir=/root", program])
    }

    /// Runs a shell script as root, which must succeed; what it printed.
    pub fn shell(&self, script: &str) -> String {
        // Traced, for a failure to name the line.
        succeed(self.command("bash").args(["-euxc", script]))
    }

    /// Runs a shell script as root.
    pub fn try_shell(&self, script: &str) -> Output {
        let mut command = self.command("bash");
        command.args(["-euc", script]).output().expect("it runs")
    }

    /// Runs a shell script as root, which must fail with exit code 1; what it
    /// wrote to standard error.
    pub fn fail(&self, script: &str) -> String {
        let output = self.try_shell(script);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{script}: {stderr}");
        stderr
    }

    /// A shell script of root's at a terminal.
    pub fn at_terminal(&self, script: &str) -> Command {
        let mut command = self.command("script");
        command.args(["--quiet", "--return", "--command", script, "/dev/null"]);
        command
    }
}

/// A shell command as a user of the host runs it who has logged in. The words
/// of `command` must be without single quotes.
pub fn as_user(user: &str, command: &str) -> String {
    assert!(!command.contains('\''), "{command}");
    format!("runuser --login {user} --command '{command}'")
}
