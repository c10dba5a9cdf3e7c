//! Settings of the container's cgroup, with the numbers of this host.

use anyhow::{Context, Result, bail};
use runtime::CgroupSetting;
use runtime::sys::cgroup::Owner;
use runtime::sys::proc;

use crate::config::{DEFAULT_TASKS_MAX, Property, PropertyValue};
use crate::container::Container;

/// The settings of the container's group, and the most tasks of its users together,
/// which the kernel counts if `counts_tasks`.
///
/// Without its controller, a flag is an error, as it is a setting of systemd's unit; a
/// key has no effect and gives a notice, so that one configuration serves unlike hosts.
pub fn resolve(
    properties: &[Property],
    container: &Container,
    counts_tasks: bool,
    notices: &mut Vec<String>,
) -> Result<(Vec<CgroupSetting>, Option<u64>)> {
    let cgroup = container.cgroup()?;
    let controllers = cgroup
        .available_controllers()
        .context("cannot read the host's cgroup controllers")?;
    let is_available = |name: &str| controllers.iter().any(|available| available == name);
    let mut settings = Vec::new();
    let mut tasks = Some(DEFAULT_TASKS_MAX);
    for property in properties {
        let Property {
            name, controller, ..
        } = property;
        let value = value(&property.value)?;
        if property.file == TASKS {
            // "max" is not a number.
            tasks = value.parse().ok();
        }
        if is_available(controller) {
            settings.push(CgroupSetting {
                file: property.file.to_owned(),
                value,
            });
            continue;
        }
        match property.key {
            Some(_) if property.file == TASKS && counts_tasks => {}
            Some(key) => notices.push(format!(
                "{key} has no effect: the container's cgroup does not get the controller \
                 '{controller}'; {REMEDY}"
            )),
            None => bail!(
                "--property={name} needs the controller '{controller}', which the container's \
                 cgroup does not get; {REMEDY}"
            ),
        }
    }
    // In a unit, it is TasksMax= of the unit.
    let is_default = !properties.iter().any(|property| property.file == TASKS);
    if is_default && is_available("pids") && cgroup.owner() == Owner::Container {
        settings.push(CgroupSetting {
            file: TASKS.to_owned(),
            value: DEFAULT_TASKS_MAX.to_string(),
        });
    }
    Ok((settings, tasks.filter(|_| counts_tasks)))
}

/// The file with the most tasks.
const TASKS: &str = "pids.max";

/// What an administrator can do about a missing controller.
const REMEDY: &str = "on a host with cgroup version 1, add \
                      systemd.unified_cgroup_hierarchy=1 to the kernel's command line";

/// The memory in bytes that settings limit the container to, if that is less than the
/// machine's.
pub fn memory(settings: &[CgroupSetting]) -> Option<u64> {
    let mut limits = settings.iter().rev();
    let limit = limits.find(|setting| setting.file == "memory.max")?;
    // "max" is not a number.
    let bytes = limit.value.parse().ok()?;
    (bytes < machine_memory()).then_some(bytes)
}

/// The machine's memory in bytes.
fn machine_memory() -> u64 {
    let machine = rustix::system::sysinfo();
    machine.totalram * u64::from(machine.mem_unit)
}

/// The contents of the cgroup file for a property.
fn value(value: &PropertyValue) -> Result<String> {
    let share = |whole: u64, percent: u8| whole / 100 * u64::from(percent);
    Ok(match value {
        PropertyValue::Words(words) => words.clone(),
        PropertyValue::PercentOfMemory(percent) => share(machine_memory(), *percent).to_string(),
        PropertyValue::PercentOfTasks(percent) => share(max_tasks()?, *percent).to_string(),
    })
}

/// The most tasks that the host can have (`man 5 proc_sys_kernel`).
fn max_tasks() -> Result<u64> {
    let read = |name: &str| -> Result<u64> {
        proc::setting(name).with_context(|| format!("cannot read /proc/sys/{name}"))
    };
    Ok(read("kernel/pid_max")?.min(read("kernel/threads-max")?))
}
