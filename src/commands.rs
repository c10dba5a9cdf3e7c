//! The commands, a file for each group. Each reads as a short script.

mod activation;
pub mod complete;
mod create;
mod destroy;
mod inside;
mod life;
mod list;
mod login;
mod look;
mod man;
mod sources;
mod update;

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};

use crate::cli::{Cli, Command};
use crate::container::Container;
use crate::ephemeral;
use crate::name::ContainerName;
use crate::paths::Places;
use crate::replacement;

/// Does what the command line asks for.
pub fn execute(cli: Cli) -> Result<ExitCode> {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root && !is_for_everybody(&cli.command) {
        return Err(needs_root(&cli));
    }
    let places = Places::from_environment();
    let show_trace = cli.show_trace;
    let container = |name: ContainerName| {
        let container = Container::new(&places, name);
        replacement::finish_killed(&container).map(|()| container)
    };
    let containers = |names: Vec<ContainerName>| {
        let containers = names.into_iter().map(container);
        containers.collect::<Result<Vec<_>>>()
    };
    // Others do not even see the locks.
    if is_root && let Err(error) = ephemeral::destroy_left_over(&places) {
        crate::print_error(&error);
    }
    match cli.command {
        Command::List(arguments) => list::list(&places, &arguments)?,
        Command::Status(name) => return look::status(&container(name.name)?),
        Command::ShowIp(name) => look::show_ip(&container(name.name)?)?,
        Command::Logs(logs) => look::logs(&container(logs.name)?, logs.follow)?,
        Command::Explain(explain) => look::explain(&container(explain.name)?, explain.json)?,
        Command::Create(create) => {
            create::create(&places, &create, show_trace)?;
        }
        Command::Start(names) => {
            each(&containers(names.names)?, life::start)?;
        }
        Command::Stop(stop) => {
            each(&containers(stop.names.names)?, |c| {
                life::stop(c, stop.timeout)
            })?;
        }
        Command::Restart(names) => {
            each(&containers(names.names)?, life::restart)?;
        }
        Command::Terminate(terminate) => {
            life::terminate(&container(terminate.name)?, terminate.signal)?;
        }
        Command::Destroy(destroy) => {
            each(&containers(destroy.names.names)?, |c| {
                destroy::destroy(c, destroy.force)
            })?;
        }
        Command::Reload(name) => return activation::reload(&container(name.name)?),
        Command::Activate(name) => return activation::activate(&container(name.name)?),
        Command::Update(update) => {
            return update::update(&container(update.name.clone())?, &update, show_trace);
        }
        Command::Rollback(name) => return update::rollback(&container(name.name)?),
        Command::Generations(name) => update::generations(&container(name.name)?)?,
        Command::PullConfig(pull) => {
            return update::pull_config(&container(pull.name.clone())?, &pull, show_trace);
        }
        Command::RootlessInstall => bail!(
            "containers of users who are not root are not there yet; run containers as root, as \
             with `sudo nixos-container …`"
        ),
        Command::Man(man) => man::write(&man.directory)?,
        Command::Run(run) => return inside::run_as_root(&container(run.name)?, run.command),
        Command::Login(name) => return login::login(&container(name.name)?),
        Command::RootLogin(name) => return inside::run_as_root(&container(name.name)?, Vec::new()),
        Command::Enter(enter) => {
            return inside::enter_as_user(&container(enter.name.clone())?, enter);
        }
        Command::ShowHostKey(name) => {
            inside::show_host_key(&container(name.name)?)?;
        }
        Command::ServeLogin(name) => return login::serve(&container(name.name)?),
        Command::Supervise(supervise) => {
            return life::supervise(&container(supervise.name)?, supervise.detached);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What changes nothing and shows nothing that is closed to the host's users.
fn is_for_everybody(command: &Command) -> bool {
    matches!(
        command,
        Command::List(_)
            | Command::Status(_)
            | Command::ShowIp(_)
            | Command::Generations(_)
            | Command::Login(_)
            | Command::RootlessInstall
            | Command::Man(_)
    )
}

/// Namespaces, mounts and links of the host are root's to make.
fn needs_root(cli: &Cli) -> anyhow::Error {
    let word = &cli.word;
    let instead = match &cli.command {
        Command::Enter(enter) => format!(
            ", or log in with a password: `nixos-container login {}`",
            enter.name
        ),
        _ => String::new(),
    };
    anyhow!("`{word}` needs root; try `sudo nixos-container {word} …`{instead}")
}

/// One after the other, all of them: what fails for one is said, and the
/// others get their turn.
fn each(containers: &[Container], act: impl Fn(&Container) -> Result<()>) -> Result<()> {
    let mut failure = None;
    for container in containers {
        if let Err(error) = act(container)
            && let Some(earlier) = failure.replace(error)
        {
            crate::print_error(&earlier);
        }
    }
    failure.map_or(Ok(()), Err)
}
