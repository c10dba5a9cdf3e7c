//! The exit codes of the command: the only place where they are numbers.

/// The command failed; for `status`, the container does not exist.
pub const FAILURE: u8 = 1;

/// The container's configuration is wrong: `EX_CONFIG` of `sysexits.h`. Systemd
/// does not restart the container's unit (`RestartPreventExitStatus=`).
pub const MISCONFIGURED: u8 = 78;

/// The container rebooted, and the caller of `supervise` is to start it again.
/// nixpkgs' unit has this code for it (`RestartForceExitStatus=`).
pub const REBOOTED: u8 = 133;

/// Every exit code and its meaning, for help and manual pages. Clap exits with
/// 2; NixOS' `switch-to-configuration` exits with 4, and `run` passes it on.
pub const MEANINGS: [(&str, &str); 8] = [
    ("0", "The command was done."),
    (
        "1",
        "The command failed; see standard error. For `status`: no such container.",
    ),
    ("2", "The command line is wrong."),
    (
        "4",
        "For `update`, `rollback`, `reload` and `pull-config`: a unit of the container failed.",
    ),
    ("78", "For a container's unit: the configuration is wrong."),
    (
        "133",
        "For a container's unit: the container rebooted and is to be started again.",
    ),
    (
        "128+N",
        "For `run`, `enter` and `root-login`: signal N killed the command.",
    ),
    (
        "any other",
        "For `run`, `enter` and `root-login`: the command's own exit code.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_meaning() {
        for code in [FAILURE, MISCONFIGURED, REBOOTED] {
            let code = code.to_string();
            assert!(MEANINGS.iter().any(|(text, _)| *text == code), "{code}");
        }
    }

    #[test]
    fn units_know_the_codes() {
        let unit = include_str!("../../systemd/container@.service");
        let module = include_str!("../../nixos/module.nix");
        for line in [
            format!("RestartForceExitStatus={REBOOTED}\n"),
            format!("SuccessExitStatus={REBOOTED}\n"),
            format!("RestartPreventExitStatus={MISCONFIGURED}\n"),
        ] {
            assert!(unit.contains(&line), "{line}");
        }
        let option = format!("RestartPreventExitStatus = \"{MISCONFIGURED}\";");
        assert!(module.contains(&option), "{option}");
    }
}
