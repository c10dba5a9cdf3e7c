//! From the child to init: what it may do, what it may use, what it is told.

use super::{CONTAINER_MANAGER, RUN_HOST};
use crate::spec::Spec;
use crate::step::{ProcessStep, Step};

pub(super) fn restrict(spec: &Spec) -> Vec<Step> {
    let (privileges, resources) = (&spec.privileges, &spec.resources);
    let mut steps = vec![
        ProcessStep::Hostname {
            name: spec.hostname.clone(),
        },
        ProcessStep::SessionKeyring,
    ];
    steps.extend(
        resources
            .cpus
            .iter()
            .map(|cpus| ProcessStep::Affinity { cpus: cpus.clone() }),
    );
    steps.extend(
        resources
            .personality
            .map(|machine| ProcessStep::Personality { machine }),
    );
    steps.push(ProcessStep::BoundingSet {
        keep: privileges.bounding,
    });
    if !privileges.ambient.is_empty() {
        steps.push(ProcessStep::AmbientSet {
            capabilities: privileges.ambient,
        });
    }
    if privileges.no_new_privileges {
        steps.push(ProcessStep::NoNewPrivileges);
    }
    steps.push(ProcessStep::Seccomp {
        filter: privileges.system_calls.clone(),
    });
    steps.into_iter().map(Step::Process).collect()
}

pub(super) fn start_init(spec: &Spec) -> Vec<Step> {
    let init = &spec.init;
    vec![
        Step::AwaitSupervisor,
        Step::Process(ProcessStep::ResetSignals),
        Step::WorkingDirectory {
            path: init.working_directory.clone(),
        },
        Step::Exec {
            program: init.program.clone(),
            arguments: init.arguments.clone(),
            environment: environment(spec),
        },
    ]
}

/// What the Container Interface demands and the kernel gives a first process,
/// with what the container is configured to have besides or instead.
fn environment(spec: &Spec) -> Vec<(String, String)> {
    let interface = [
        ("container", CONTAINER_MANAGER.to_owned()),
        ("container_uuid", spec.machine_id.hyphenated()),
        ("NOTIFY_SOCKET", format!("{RUN_HOST}/notify")),
        ("TERM", "linux".to_owned()),
        ("HOME", "/root".to_owned()),
        ("USER", "root".to_owned()),
        ("LOGNAME", "root".to_owned()),
    ];
    let mut environment: Vec<_> = interface.map(|(key, value)| (key.to_owned(), value)).into();
    for (key, value) in &spec.init.environment {
        match environment.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => value.clone_into(old),
            None => environment.push((key.clone(), value.clone())),
        }
    }
    environment
}
