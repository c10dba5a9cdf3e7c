//! The exit codes of the command: the only place where they are numbers. Their
//! meanings, and those of codes that other programs choose, are in
//! `docs/man/overview.txt`: clap exits with 2; NixOS' `switch-to-configuration` exits
//! with 4, and `run` passes it on.

/// The command failed; for `status`, the container does not exist.
pub const FAILURE: u8 = 1;

/// The container's configuration is wrong: `EX_CONFIG` of `sysexits.h`. Systemd
/// does not restart the container's unit (`RestartPreventExitStatus=`).
pub const MISCONFIGURED: u8 = 78;

/// The container rebooted, and the caller of `supervise` is to start it again.
/// nixpkgs' unit has this code for it (`RestartForceExitStatus=`).
pub const REBOOTED: u8 = 133;

#[cfg(test)]
mod tests {
    use super::*;

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
