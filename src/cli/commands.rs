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

use super::args::{Cli, Command, Inside, Life, Look, Names, System};
use crate::container::Container;
use crate::container::name::ContainerName;
use crate::container::paths::Places;
use crate::lifecycle::ephemeral;
use crate::lifecycle::replacement;

/// Does what the command line asks for.
pub fn execute(cli: Cli) -> Result<ExitCode> {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root && !is_for_everybody(&cli.command) {
        return Err(needs_root(&cli));
    }
    let places = Places::from_environment()?;
    // Others do not even see the locks.
    if is_root && let Err(error) = ephemeral::destroy_left_over(&places) {
        crate::report::print_error(&error);
    }
    match cli.command {
        Command::System(command) => execute_system(&places, *command, cli.show_trace),
        Command::Life(command) => execute_life(&places, command),
        Command::Inside(command) => execute_inside(&places, command),
        Command::Look(command) => execute_look(&places, command),
        Command::RootlessInstall => bail!(
            "containers of users who are not root are not there yet; run containers as root, as \
             with `sudo nixos-container …`"
        ),
        Command::Man(man) => man::write(&man.directory).map(|()| ExitCode::SUCCESS),
    }
}

fn execute_system(places: &Places, command: System, show_trace: bool) -> Result<ExitCode> {
    let container = |name: ContainerName| container(places, name);
    match command {
        System::Create(create) => create::create(places, &create, show_trace)?,
        System::Update(update) => {
            return update::update(&container(update.name.clone())?, &update, show_trace);
        }
        System::Rollback(name) => return update::rollback(&container(name.name)?),
        System::PullConfig(pull) => {
            return update::pull_config(&container(pull.name.clone())?, &pull, show_trace);
        }
        System::Reload(name) => return activation::reload(&container(name.name)?),
        System::Activate(name) => return activation::activate(&container(name.name)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn execute_life(places: &Places, command: Life) -> Result<ExitCode> {
    match command {
        Life::Start(names) => each(places, names, life::start)?,
        Life::Stop(stop) => each(places, stop.names, |c| life::stop(c, stop.timeout))?,
        Life::Terminate(terminate) => {
            life::terminate(&container(places, terminate.name)?, terminate.signal)?;
        }
        Life::Restart(names) => each(places, names, life::restart)?,
        Life::Destroy(destroy) => {
            each(places, destroy.names, |c| {
                destroy::destroy(c, destroy.force)
            })?;
        }
        Life::Supervise(supervise) => {
            return life::supervise(&container(places, supervise.name)?, supervise.detached);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn execute_inside(places: &Places, command: Inside) -> Result<ExitCode> {
    let container = |name: ContainerName| container(places, name);
    match command {
        Inside::Run(run) => inside::run_as_root(&container(run.name)?, run.command),
        Inside::Login(name) => login::login(&container(name.name)?),
        Inside::RootLogin(name) => inside::run_as_root(&container(name.name)?, Vec::new()),
        Inside::Enter(enter) => inside::enter_as_user(&container(enter.name.clone())?, enter),
        Inside::ServeLogin(name) => login::serve(&container(name.name)?),
    }
}

fn execute_look(places: &Places, command: Look) -> Result<ExitCode> {
    let container = |name: ContainerName| container(places, name);
    match command {
        Look::List(arguments) => list::list(places, &arguments)?,
        Look::Status(name) => return look::status(&container(name.name)?),
        Look::ShowIp(name) => look::show_ip(&container(name.name)?)?,
        Look::ShowHostKey(name) => inside::show_host_key(&container(name.name)?)?,
        Look::Generations(name) => update::generations(&container(name.name)?)?,
        Look::Logs(logs) => look::logs(&container(logs.name.clone())?, &logs)?,
        Look::Explain(explain) => look::explain(&container(explain.name)?, explain.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What changes nothing and shows nothing that is closed to the host's users.
fn is_for_everybody(command: &Command) -> bool {
    matches!(
        command,
        Command::Inside(Inside::Login(_))
            | Command::Look(
                Look::List(_) | Look::Status(_) | Look::ShowIp(_) | Look::Generations(_)
            )
            | Command::RootlessInstall
            | Command::Man(_)
    )
}

/// Namespaces, mounts and links of the host are root's to make.
fn needs_root(cli: &Cli) -> anyhow::Error {
    let word = &cli.word;
    let instead = match &cli.command {
        Command::Inside(Inside::Enter(enter)) => format!(
            ", or log in with a password: `nixos-container login {}`",
            enter.name
        ),
        _ => String::new(),
    };
    anyhow!("`{word}` needs root; try `sudo nixos-container {word} …`{instead}")
}

/// The container of this name, if need be after an end to what killed commands
/// have left of it.
fn container(places: &Places, name: ContainerName) -> Result<Container> {
    let container = Container::new(places, name);
    replacement::finish_killed(&container)?;
    Ok(container)
}

/// One after the other, all of them: what fails for one is said, and the
/// others get their turn.
fn each(places: &Places, names: Names, act: impl Fn(&Container) -> Result<()>) -> Result<()> {
    let containers = names.names.into_iter().map(|name| container(places, name));
    let containers: Vec<_> = containers.collect::<Result<_>>()?;
    let mut failure = None;
    for container in &containers {
        if let Err(error) = act(container)
            && let Some(earlier) = failure.replace(error)
        {
            crate::report::print_error(&earlier);
        }
    }
    failure.map_or(Ok(()), Err)
}
