//! Registration with the host's machined (`man 5 org.freedesktop.machine1`), through
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

    #[zbus(object = "RegisteredMachine")]
    fn get_machine(&self, name: &str);
}

#[zbus::proxy(
    interface = "org.freedesktop.machine1.Machine",
    default_service = "org.freedesktop.machine1",
    gen_blocking = false
)]
trait RegisteredMachine {
    #[zbus(property(emits_changed_signal = "false"))]
    fn service(&self) -> zbus::Result<String>;
}

/// The name of this program in a registration.
const SERVICE: &str = "nixos-container";

/// The socket of the host's D-Bus, which starts machined on demand.
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// How long to wait for an answer: as long as systemd's own programs (`man 3
/// sd_bus_call`). On a slow host that starts many containers at once, the start of
/// machined takes its time.
const TIMEOUT: Duration = Duration::from_secs(25);

/// A container as machined registers it.
pub struct Machine<'a> {
    /// Its machine id.
    pub id: Id128,
    /// Pid of its init.
    pub leader: i32,
    /// Its root directory on the host.
    pub root: &'a Path,
    /// Indices of the host's ends of its links.
    pub links: Vec<i32>,
}

/// Registers a container.
pub fn register(container: &Container, machine: &Machine<'_>) -> Result<()> {
    let name = container.name().as_str();
    let root = machine.root.to_string_lossy();
    let leader = u32::try_from(machine.leader).context("the pid of init is negative")?;
    call(async |machines| {
        let register = async || {
            machines
                .register_machine_with_network(
                    name,
                    &machine.id.bytes(),
                    SERVICE,
                    "container",
                    leader,
                    &root,
                    &machine.links,
                )
                .await
                .map(drop)
        };
        match register().await {
            Err(zbus::Error::MethodError(error, ..)) if error == EXISTS => {
                // Its supervisor was killed: there is no other of this name.
                if machines.get_machine(name).await?.service().await? == SERVICE {
                    machines.unregister_machine(name).await?;
                }
                register().await
            }
            answer => answer,
        }
    })
    .with_context(|| format!("cannot register {container} with machined"))
}

/// Ends the registration of a container.
pub fn unregister(container: &Container) -> Result<()> {
    call(async |machines| machines.unregister_machine(container.name().as_str()).await)
        .with_context(|| format!("cannot unregister {container} with machined"))
}

/// Calls a method of machined. Does nothing on a host without D-Bus or machined, and
/// for a machine that is not registered.
fn call(method: impl AsyncFnOnce(MachinesProxy<'_>) -> zbus::Result<()>) -> Result<()> {
    if !Path::new(SYSTEM_BUS).exists() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let calling = async {
        let bus = Connection::system().await?;
        method(MachinesProxy::new(&bus).await?).await
    };
    match runtime.block_on(async { tokio::time::timeout(TIMEOUT, calling).await }) {
        Ok(Err(zbus::Error::MethodError(error, ..))) if is_absence(&error) => Ok(()),
        Ok(answer) => Ok(answer?),
        Err(_) => anyhow::bail!("machined has not answered for {} s", TIMEOUT.as_secs()),
    }
}

/// The error for a name that is registered already.
const EXISTS: &str = "org.freedesktop.machine1.MachineExists";

/// Whether an error says that there is no machined, or no such machine.
fn is_absence(error: &zbus::names::ErrorName<'_>) -> bool {
    [
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.systemd1.NoSuchUnit",
        "org.freedesktop.machine1.NoSuchMachine",
    ]
    .contains(&error.as_str())
}
