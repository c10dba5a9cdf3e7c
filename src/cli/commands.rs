//! The commands, one function each.

mod activation;
pub mod complete;
mod create;
mod destroy;
mod edit;
mod exec;
mod lifecycle;
mod list;
mod login;
mod man;
mod query;
mod sources;
mod update;

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};

use super::args::{Build, Cli, Command, Exec, Lifecycle, Names, Query};
use crate::container::Container;
use crate::container::name::ContainerName;
use crate::container::paths::Places;
use crate::lifecycle::{ephemeral, replacement};
use crate::report::{self, Failures};

/// Executes a command.
pub fn execute(cli: Cli) -> Result<ExitCode> {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root && !is_for_all_users(&cli.command) {
        return Err(needs_root(&cli));
    }
    let places = Places::from_environment()?;
    // Only root can see the locks.
    if is_root && let Err(error) = ephemeral::destroy_left_over(&places) {
        report::print_error(&error);
    }
    match cli.command {
        Command::Build(command) => execute_build(&places, *command, cli.show_trace),
        Command::Lifecycle(command) => execute_lifecycle(&places, command),
        Command::Exec(command) => execute_exec(&places, command),
        Command::Query(command) => execute_query(&places, command),
        Command::RootlessInstall => bail!(
            "rootless containers are not supported yet; run containers as root, with \
             `sudo nixos-container …`"
        ),
        Command::Man(man) => man::write(&man.directory).map(|()| ExitCode::SUCCESS),
    }
}

fn execute_build(places: &Places, command: Build, show_trace: bool) -> Result<ExitCode> {
    let container = |name: ContainerName| container(places, name);
    match command {
        Build::Create(create) => {
            create::create(places, &create, show_trace).map(|()| ExitCode::SUCCESS)
        }
        Build::Update(update) => {
            update::update(&container(update.name.clone())?, &update, show_trace)
        }
        Build::Rollback(name) => update::rollback(&container(name.name)?),
        Build::PullConfig(pull) => {
            update::pull_config(&container(pull.name.clone())?, &pull, show_trace)
        }
        Build::Reload(name) => activation::reload(&container(name.name)?),
        Build::Edit(name) => edit::edit(&container(name.name)?).map(|()| ExitCode::SUCCESS),
        Build::Activate(name) => activation::activate(&container(name.name)?),
    }
}

fn execute_lifecycle(places: &Places, command: Lifecycle) -> Result<ExitCode> {
    match command {
        Lifecycle::Start(names) => for_each(places, names, lifecycle::start)?,
        Lifecycle::Stop(stop) => {
            for_each(places, stop.names, |c| lifecycle::stop(c, stop.timeout))?
        }
        Lifecycle::Terminate(terminate) => {
            lifecycle::terminate(&container(places, terminate.name)?, terminate.signal)?;
        }
        Lifecycle::Restart(names) => for_each(places, names, lifecycle::restart)?,
        Lifecycle::Destroy(destroy) => {
            for_each(places, destroy.names, |c| {
                destroy::destroy(c, destroy.force)
            })?;
        }
        Lifecycle::Supervise(supervise) => {
            return lifecycle::supervise(&container(places, supervise.name)?, supervise.detached);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn execute_exec(places: &Places, command: Exec) -> Result<ExitCode> {
    let container = |name: ContainerName| container(places, name);
    match command {
        Exec::Run(run) => exec::run_as_root(&container(run.name)?, run.command),
        Exec::Login(name) => login::login(&container(name.name)?),
        Exec::RootLogin(name) => exec::run_as_root(&container(name.name)?, Vec::new()),
        Exec::Enter(enter) => exec::enter_as_user(&container(enter.name.clone())?, enter),
        Exec::ServeLogin(name) => login::serve(&container(name.name)?),
    }
}

fn execute_query(places: &Places, command: Query) -> Result<ExitCode> {
    let container = |name: ContainerName| container(places, name);
    match command {
        Query::List(arguments) => list::list(places, &arguments)?,
        Query::Status(name) => return query::status(&container(name.name)?),
        Query::ShowIp(name) => query::show_ip(&container(name.name)?)?,
        Query::ShowHostKey(name) => exec::show_host_key(&container(name.name)?)?,
        Query::Generations(name) => update::generations(&container(name.name)?)?,
        Query::Logs(logs) => query::logs(&container(logs.name.clone())?, &logs)?,
        Query::Check(name) => return lifecycle::check(&container(name.name)?),
        Query::Explain(explain) => query::explain(&container(explain.name)?, explain.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether users of the host other than root may execute this command: it changes
/// nothing, and prints nothing that only root may read.
fn is_for_all_users(command: &Command) -> bool {
    matches!(
        command,
        Command::Exec(Exec::Login(_))
            | Command::Query(
                Query::List(_) | Query::Status(_) | Query::ShowIp(_) | Query::Generations(_)
            )
            | Command::RootlessInstall
            | Command::Man(_)
    )
}

/// The error for a user who is not root.
fn needs_root(cli: &Cli) -> anyhow::Error {
    let word = &cli.word;
    let instead = match &cli.command {
        Command::Exec(Exec::Enter(enter)) => format!(
            ", or log in with a password: `nixos-container login {}`",
            enter.name
        ),
        _ => String::new(),
    };
    anyhow!("`{word}` needs root; try `sudo nixos-container {word} …`{instead}")
}

/// Looks up a container, first finishing a replacement that a killed command left
/// half done.
fn container(places: &Places, name: ContainerName) -> Result<Container> {
    let container = Container::new(places, name);
    replacement::finish_interrupted(&container)?;
    Ok(container)
}

/// Executes a command for one container after the other, whether or not it fails
/// for some.
fn for_each(places: &Places, names: Names, act: impl Fn(&Container) -> Result<()>) -> Result<()> {
    let containers = names.names.into_iter().map(|name| container(places, name));
    let containers: Vec<_> = containers.collect::<Result<_>>()?;
    let mut failures = Failures::default();
    for container in &containers {
        failures.keep(act(container));
    }
    failures.into_result()
}
