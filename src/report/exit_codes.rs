//! The exit codes of the command: the only place where they are numbers. Their
//! meanings, and those of codes that other programs choose, are in
//! `docs/man/overview.txt`: clap exits with 2; NixOS' `switch-to-configuration` exits
//! with 4, and `run` passes it on.

/// The command failed.
pub const FAILURE: u8 = 1;

/// The container does not exist: the code of nixpkgs' tool, where it is the number of
/// `ENOENT`. It is also clap's code for a wrong command line.
pub const NO_SUCH_CONTAINER: u8 = 2;

/// `create`: a container of this name exists, or has left its files. nixpkgs' tool has
/// this code for it.
pub const EXISTS: u8 = 25;

/// The container's configuration is wrong: `EX_CONFIG` of `sysexits.h`. Systemd
/// does not restart the container's unit (`RestartPreventExitStatus=`).
pub const MISCONFIGURED: u8 = 78;

/// The container rebooted, and the caller of `supervise` is to start it again.
/// nixpkgs' unit has this code for it (`RestartForceExitStatus=`).
pub const REBOOTED: u8 = 133;

/// An error with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CodedError {
    code: u8,
    message: String,
}

impl CodedError {
    /// An error with one of the codes above.
    pub fn new(code: u8, message: String) -> Self {
        Self { code, message }
    }
}

/// The exit code of a command that failed with this error.
pub fn of(error: &anyhow::Error) -> u8 {
    let coded = error.chain().find_map(|cause| cause.downcast_ref());
    coded.map_or(FAILURE, |coded: &CodedError| coded.code)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_code_outlasts_further_causes() {
        let error = CodedError::new(EXISTS, "it exists".to_owned());
        let error = Err::<(), _>(error).context("cannot make it");
        let error = error.expect_err("an error");
        assert_eq!(of(&error), EXISTS);
        assert_eq!(format!("{error:#}"), "cannot make it: it exists");
        assert_eq!(of(&anyhow::anyhow!("it failed")), FAILURE);
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
