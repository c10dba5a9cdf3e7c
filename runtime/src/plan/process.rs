//! The last steps before init: privileges, resources, environment.

use super::api_file_systems::CREDENTIALS;
use super::step::{ProcessStep, StartStep, Step};
use super::{CONTAINER_MANAGER, RUN_HOST};
use crate::spec::Spec;
use crate::spec::accounts::Account;

/// The bounds of init and of all processes that it starts. The supervisor has
/// performed its steps by then: it may not set limits for a child that has become
/// another user. The user comes after the steps that need root's privileges. The
/// filter is last: it may refuse the calls of the others.
pub(super) fn restrict(spec: &Spec) -> Vec<Step> {
    let (privileges, resources) = (&spec.privileges, &spec.resources);
    let mut steps = vec![
        Step::Process(ProcessStep::Hostname {
            name: spec.hostname.clone(),
        }),
        Step::Process(ProcessStep::SessionKeyring),
    ];
    if let Some(cpus) = resources.cpus.clone() {
        steps.push(Step::Process(ProcessStep::Affinity { cpus }));
    }
    if let Some(machine) = resources.personality {
        steps.push(Step::Process(ProcessStep::Personality { machine }));
    }
    steps.push(Step::Start(StartStep::AwaitSupervisor));
    steps.push(Step::Process(ProcessStep::BoundingSet {
        keep: privileges.bounding,
    }));
    if let Some(user) = spec.init.user.clone() {
        steps.push(Step::Start(StartStep::User { user }));
    }
    if !privileges.ambient.is_empty() {
        steps.push(Step::Process(ProcessStep::AmbientSet {
            capabilities: privileges.ambient,
        }));
    }
    if privileges.no_new_privileges {
        steps.push(Step::Process(ProcessStep::NoNewPrivileges));
    }
    steps.push(Step::Process(ProcessStep::Seccomp {
        filter: privileges.system_calls.clone(),
    }));
    steps
}

pub(super) fn start_init(spec: &Spec) -> Vec<Step> {
    let init = &spec.init;
    let mut steps = vec![
        Step::Process(ProcessStep::ResetSignals),
        Step::Process(ProcessStep::WorkingDirectory {
            path: init.working_directory.clone(),
        }),
    ];
    if init.below_stub {
        steps.push(Step::Start(StartStep::StubInit));
    }
    steps.push(Step::Start(StartStep::Exec {
        program: init.program.clone(),
        arguments: init.arguments.clone(),
        environment: environment(spec),
    }));
    steps
}

/// The variables of the Container Interface and those that the kernel gives a first
/// process, with the configured ones beside them or in their place.
fn environment(spec: &Spec) -> Vec<(String, String)> {
    let mut environment = vec![
        ("container".to_owned(), CONTAINER_MANAGER.to_owned()),
        ("container_uuid".to_owned(), spec.machine_id.hyphenated()),
        ("NOTIFY_SOCKET".to_owned(), format!("{RUN_HOST}/notify")),
        ("TERM".to_owned(), "linux".to_owned()),
    ];
    // Those of another user are known when its account is found.
    if spec.init.user.is_none() {
        environment.extend(Account::bare_root().environment());
    }
    if !spec.credentials.is_empty() {
        environment.push(("CREDENTIALS_DIRECTORY".to_owned(), CREDENTIALS.to_owned()));
    }
    for (key, value) in &spec.init.environment {
        match environment.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => value.clone_into(old),
            None => environment.push((key.clone(), value.clone())),
        }
    }
    environment
}
