//! The last steps before init: privileges, resources, environment.

use super::api_file_systems::CREDENTIALS;
use super::step::{ProcessStep, StartStep, Step};
use super::{CONTAINER_MANAGER, RUN_HOST};
use crate::spec::accounts::Account;
use crate::spec::{Init, Privileges, Spec};

/// The bounds of init and of all processes that it starts. The supervisor has
/// performed its steps by then: it may not set limits for a child that has become
/// another user. The user comes after the steps that need root's privileges. The
/// filter is last: it may refuse the calls of the others.
pub(super) fn confine(spec: &Spec) -> Vec<Step> {
    let (privileges, resources) = (&spec.privileges, &spec.resources);
    let (name, cpus) = (spec.hostname.clone(), resources.cpus.clone());
    let path = spec.init.working_directory.clone();
    let mut steps = vec![
        StartStep::WorkingDirectory { path }.into(),
        ProcessStep::Hostname { name }.into(),
        ProcessStep::SessionKeyring.into(),
    ];
    steps.extend(cpus.map(|cpus| ProcessStep::Affinity { cpus }.into()));
    let machine = resources.personality;
    steps.extend(machine.map(|machine| ProcessStep::Personality { machine }.into()));
    steps.push(StartStep::AwaitSupervisor.into());
    steps.extend(restrict(privileges, &spec.init));
    steps
}

/// The steps that take privileges away.
pub(super) fn restrict(privileges: &Privileges, init: &Init) -> Vec<Step> {
    let keep = privileges.bounding;
    let mut steps = vec![ProcessStep::BoundingSet { keep }.into()];
    let user = init.user.clone();
    steps.extend(user.map(|user| StartStep::User { user }.into()));
    if !privileges.ambient.is_empty() {
        let capabilities = privileges.ambient;
        steps.push(ProcessStep::AmbientSet { capabilities }.into());
    }
    if privileges.no_new_privileges {
        steps.push(ProcessStep::NoNewPrivileges.into());
    }
    let filter = privileges.system_calls.clone();
    steps.push(ProcessStep::Seccomp { filter }.into());
    steps
}

pub(super) fn start_init(spec: &Spec) -> Vec<Step> {
    let init = spec.init.clone();
    let mut steps = vec![ProcessStep::ResetSignals.into()];
    if init.below_stub {
        steps.push(StartStep::StubInit.into());
    }
    let exec = StartStep::Exec {
        program: init.program,
        arguments: init.arguments,
        environment: environment(spec),
    };
    steps.push(exec.into());
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
