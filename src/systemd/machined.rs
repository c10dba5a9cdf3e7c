//! The host's list of machines (`man 5 org.freedesktop.machine1`), through
//! which machinectl(1), `systemctl -M` and name lookups find a container.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use runtime::Id128;
use zbus::Connection;

use crate::container::Container;

#[zbus::proxy(
    interface = "org.freedesktop.machine1.Manager",
    default_service = "org.freedesktop.machine1",
    default_path = "/org/freedesktop/machine1",
    gen_blocking = false
)]
trait Machines {
    #[zbus(allow_interactive_auth)]
    #[allow(clippy::too_many_arguments, reason = "the interface has them")]
    fn register_machine_with_network(
        &self,
        name: &str,
        id: &[u8],
        service: &str,
        class: &str,
        leader: u32,
        root_directory: &str,
        ifindices: &[i32],
    ) -> zbus::Result<zbus::zvariant::OwnedObjectPath>;

    fn unregister_machine(&self, name: &str) -> zbus::Result<()>;
}

/// There where machined can be asked, running or not.
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// As long as systemd's own programs wait for an answer (sd_bus_call(3)): on a
/// slow host, whose containers all start at once, the first has to wait until
/// machined has been started.
const PATIENCE: Duration = Duration::from_secs(25);

/// What a container is to machined.
pub struct Machine<'a> {
    /// The id that its system has, or will have.
    pub id: Id128,
    /// The pid of its init.
    pub leader: i32,
    /// Its root directory on the host.
    pub root: &'a Path,
    /// The host's ends of its links, by their indices.
    pub links: Vec<i32>,
}

/// Enters a container into the list.
pub fn register(container: &Container, machine: &Machine<'_>) -> Result<()> {
    let name = container.name().as_str();
    let root = machine.root.to_string_lossy();
    let leader = u32::try_from(machine.leader).context("a leader has a pid")?;
    ask(async |machines| {
        machines
            .register_machine_with_network(
                name,
                &machine.id.bytes(),
                "nixos-container",
                "container",
                leader,
                &root,
                &machine.links,
            )
            .await
            .map(drop)
    })
    .with_context(|| format!("cannot register container '{name}' with machined"))
}

/// Takes a container off the list.
pub fn unregister(container: &Container) -> Result<()> {
    let name = container.name().as_str();
    ask(async |machines| machines.unregister_machine(name).await)
        .with_context(|| format!("cannot take container '{name}' off machined's list"))
}

/// Asks machined; nothing on a host without D-Bus.
fn ask(question: impl AsyncFnOnce(MachinesProxy<'_>) -> zbus::Result<()>) -> Result<()> {
    if !Path::new(SYSTEM_BUS).exists() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asking = async {
        let bus = Connection::system().await?;
        question(MachinesProxy::new(&bus).await?).await
    };
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await }) {
        Ok(Err(zbus::Error::MethodError(error, ..))) if is_absence(&error) => Ok(()),
        Ok(answer) => Ok(answer?),
        Err(_) => anyhow::bail!("it has not answered for {} s", PATIENCE.as_secs()),
    }
}

/// The bus knows of no machined (`man 5 org.freedesktop.DBus`, activation).
fn is_absence(error: &zbus::names::ErrorName<'_>) -> bool {
    [
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.systemd1.NoSuchUnit",
        "org.freedesktop.machine1.NoSuchMachine",
    ]
    .contains(&error.as_str())
}
