//! From a [`Program`] to the steps of the child that becomes it.

use super::api_file_systems::devices;
use super::mounts::mounted;
use super::process::restrict;
use super::step::{MountStep, Namespace, ProcessStep, StartStep, Step};
use super::steps::{bind, directory, file, mount, options, symlink};
use super::{Plan, steps};
use crate::spec::Program;
use crate::spec::mount_attributes::{Attributes, Origin, Propagation};

/// The host name that the program sees.
const HOST_NAME: &str = "localhost";

/// The plan of one program. Each path of the host is resolved while the host's tree is
/// there, and the program starts when it is gone.
pub fn plan_program(program: &Program) -> Plan {
    let begin = [
        ProcessStep::DieWithSupervisor.into(),
        ProcessStep::UnshareCgroup.into(),
        MountStep::SetPropagation {
            propagation: Propagation::Slave,
        }
        .into(),
        MountStep::EmptyRoot {
            directory: program.mount_point.clone(),
            options: options("mode=755,size=16m,nr_inodes=16k"),
        }
        .into(),
    ];
    let end = [
        MountStep::PivotRoot.into(),
        MountStep::DetachHost.into(),
        StartStep::Pipe.into(),
        ProcessStep::Hostname {
            name: HOST_NAME.to_owned(),
        }
        .into(),
        ProcessStep::SessionKeyring.into(),
        StartStep::AwaitSupervisor.into(),
    ];
    let steps = [
        begin.to_vec(),
        api_file_systems(),
        files(program),
        end.to_vec(),
        restrict(&program.privileges, &program.init),
        vec![ProcessStep::ScopeAbstractSockets.into()],
        start(program),
    ];
    Plan {
        namespaces: vec![
            Namespace::Mount,
            Namespace::Pid,
            Namespace::Uts,
            Namespace::Ipc,
        ],
        host_steps: Vec::new(),
        steps: steps.concat(),
    }
}

/// `/proc`, whose settings nothing can change, and `/dev`.
fn api_file_systems() -> Vec<Step> {
    let mut steps = vec![
        mount("proc", "/proc", Attributes::KERNEL, ""),
        bind(
            Origin::Container,
            "/proc/sys",
            "/proc/sys",
            Attributes::NONE,
        ),
        steps::restrict("/proc/sys", Attributes::KERNEL_READ_ONLY),
    ];
    steps.extend(devices(None));
    steps.push(directory("/tmp", 0o1777));
    steps
}

/// What the program is given. Its root is read-only then.
fn files(program: &Program) -> Vec<Step> {
    let mut steps: Vec<_> = program
        .mounts
        .iter()
        .map(|mount| mounted(mount, None))
        .collect();
    for (path, text) in &program.files {
        if let Some(parent) = path.parent() {
            steps.push(directory(parent, 0o755));
        }
        steps.push(file(path.clone(), text));
    }
    for (path, target) in &program.links {
        steps.push(symlink(path.clone(), target));
    }
    steps.push(steps::restrict("/", Attributes::READ_ONLY));
    steps
}

fn start(program: &Program) -> Vec<Step> {
    let init = program.init.clone();
    let mut environment = init.environment;
    let mut steps = vec![
        ProcessStep::ResetSignals.into(),
        StartStep::WorkingDirectory {
            path: init.working_directory,
        }
        .into(),
    ];
    if init.below_stub {
        steps.push(StartStep::StubInit.into());
    }
    if let Some(descriptor) = program.socket {
        let pid = if init.below_stub { "2" } else { "1" };
        environment.push(("LISTEN_PID".to_owned(), pid.to_owned()));
        environment.push(("LISTEN_FDS".to_owned(), "1".to_owned()));
        steps.push(StartStep::PassSocket { descriptor }.into());
    }
    let exec = StartStep::Exec {
        program: init.program,
        arguments: init.arguments,
        environment,
    };
    steps.push(exec.into());
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::position;
    use crate::spec::accounts::User;
    use crate::spec::{Init, Privileges, Streams};
    use crate::sys::capabilities::CapabilitySet;
    use crate::sys::seccomp::SystemCallFilter;

    fn program() -> Program {
        Program {
            mount_point: "/run/foo/root".into(),
            mounts: Vec::new(),
            files: vec![("/etc/passwd".into(), "me:x:1:1::/:/bin/sh".to_owned())],
            links: vec![("/bin".into(), "usr/bin".into())],
            init: Init {
                program: "/bin/true".into(),
                arguments: Vec::new(),
                environment: Vec::new(),
                working_directory: "/".into(),
                user: Some(User::Number(1)),
                streams: Streams::Pipe,
                below_stub: true,
            },
            privileges: Privileges {
                bounding: CapabilitySet::NONE,
                ambient: CapabilitySet::NONE,
                no_new_privileges: true,
                system_calls: SystemCallFilter::for_bounding_set(CapabilitySet::NONE),
            },
            socket: Some(7),
        }
    }

    #[test]
    fn a_program_is_confined_when_the_hosts_tree_is_gone() {
        let steps = plan_program(&program()).steps;
        let at = |step: Step| position(&steps, |other| *other == step);
        let order = [
            at(steps::restrict("/", Attributes::READ_ONLY)),
            at(MountStep::PivotRoot.into()),
            at(MountStep::DetachHost.into()),
            at(ProcessStep::BoundingSet {
                keep: CapabilitySet::NONE,
            }
            .into()),
            at(StartStep::User {
                user: User::Number(1),
            }
            .into()),
            at(ProcessStep::NoNewPrivileges.into()),
            at(StartStep::StubInit.into()),
            at(StartStep::PassSocket { descriptor: 7 }.into()),
            steps.len() - 1,
        ];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn a_socket_is_for_the_process_that_executes_the_program() {
        let variables = |program: &Program| match plan_program(program).steps.pop() {
            Some(Step::Start(StartStep::Exec { environment, .. })) => environment,
            last => panic!("{last:?}"),
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut program = program();
        let expected = [pair("LISTEN_PID", "2"), pair("LISTEN_FDS", "1")];
        assert_eq!(variables(&program), expected);
        program.init.below_stub = false;
        assert_eq!(variables(&program)[0], pair("LISTEN_PID", "1"));
        program.socket = None;
        assert_eq!(variables(&program), []);
    }
}
