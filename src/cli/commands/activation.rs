//! Activating the system of a running container.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};

use super::exec;
use crate::container::Container;
use crate::container::running::Running;
use crate::control::{Event, State};
use crate::lifecycle;
use crate::nix::shared;
use crate::spec::{closure, system_inside};

/// `reload NAME`
pub fn reload(container: &Container) -> Result<ExitCode> {
    container.require_running()?;
    if lifecycle::reload(container)? {
        return Ok(ExitCode::SUCCESS);
    }
    activate(container)
}

/// Activates a container's system if it runs, as nixpkgs' unit does on a reload.
/// Returns the exit code of NixOS' `switch-to-configuration`: 4 if a unit failed.
pub fn activate(container: &Container) -> Result<ExitCode> {
    let Some(running) = container.running()? else {
        return Ok(ExitCode::SUCCESS);
    };
    if !await_up(container, running)? {
        return Ok(ExitCode::SUCCESS);
    }
    // Another program of the host, as nixpkgs' tool, may have changed the profile.
    shared::take_over_profile(container)?;
    let config = container.config()?;
    closure::add_current(container, &config)?;
    let system = system_inside(&config);
    let status = exec::run_for_text(container, switch(&system))?;
    if status != ExitCode::SUCCESS {
        let name = container.name();
        crate::report::print_error(&anyhow!(
            "{container} has its new system, but could not activate all of it; \
             `nixos-container run {name} -- systemctl --failed` shows units that failed, \
             `nixos-container rollback {name}` goes back"
        ));
    }
    Ok(status)
}

fn switch(system: &Path) -> Vec<OsString> {
    let program = system.join("bin/switch-to-configuration");
    vec![program.into(), "test".into()]
}

/// Waits while the container boots, because its systemd changes the units. Returns
/// whether the container is up.
fn await_up(container: &Container, mut running: Running) -> Result<bool> {
    while running.state == State::Starting {
        let event = running
            .connection
            .next_event()
            .with_context(|| format!("lost the connection to the supervisor of {container}"))?;
        match event {
            Some((Event::State { state, .. }, _)) => running.state = state,
            Some(_) => {}
            None => match container.running()? {
                // This command was paused, and the supervisor has given it up.
                Some(again) => running = again,
                None => return Ok(false),
            },
        }
    }
    Ok(running.state == State::Up)
}
