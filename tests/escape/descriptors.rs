//! Descriptors that a supervisor is sent: the close of one can block (`man 7 socket`,
//! SO_LINGER), and the receiver closes it.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::talk::Talk;
use crate::common::{Host, PROGRAM};

/// Longer than a command takes on a busy machine, and shorter than it waits for a
/// supervisor that does not answer.
const PROMPTLY: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Own,
    /// Without SO_PASSRIGHTS, as before Linux 6.16.
    Older,
}

/// A host on which the container `foo` runs.
fn host_with_container(kernel: Kernel, lines: &str) -> Host {
    let host = Host::new();
    host.create("foo");
    host.append_conf("foo", lines);
    host.offer_program();
    start(&host, kernel);
    host
}

fn start(host: &Host, kernel: Kernel) {
    let mut start = host.nixos_container(&["start", "foo"]);
    if kernel == Kernel::Older {
        refuse_passrights(&mut start);
    }
    let output = start.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
}

/// The number of SO_PASSRIGHTS (the kernel's `asm-generic/socket.h`).
const SO_PASSRIGHTS: u32 = 83;

/// Runs a command, and all that it starts, with a filter of system calls that answers
/// the option as older kernels do.
fn refuse_passrights(command: &mut Command) {
    let answer = libc::SECCOMP_RET_ERRNO | libc::ENOPROTOOPT as u32;
    let set_option = libc::SYS_setsockopt as u32;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equals = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answers = libc::BPF_RET | libc::BPF_K;
    let mut filter = [
        // Offsets in struct seccomp_data: the call, and the third argument.
        step(load, 0, 0, 0),
        step(equals, 0, 3, set_option),
        step(load, 0, 0, 32),
        step(equals, 0, 1, SO_PASSRIGHTS),
        step(answers, 0, 0, answer),
        step(answers, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the kernel copies the program, which outlives the call.
        let answer = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
        };
        match answer {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: it makes a system call, and takes no lock.
    unsafe { command.pre_exec(install) };
}

/// Puts the attacker's program on the host or in a container.
fn plant(host: &Host, path: &str) {
    host.shell(&format!(
        "cc -static -O1 -o {path} {}/tests/escape/send-descriptors.c",
        env!("CARGO_MANIFEST_DIR")
    ));
}

fn promptly(host: &Host, arguments: &[&str]) -> String {
    let start = Instant::now();
    let printed = host.run(arguments);
    assert!(start.elapsed() < PROMPTLY, "{arguments:?}");
    printed
}

/// The container answers while attacks last and after one, and halts during another.
fn the_container_is_well(host: &Host, kernel: Kernel, attack: impl Fn(&str) -> Command) {
    let mut attacker = Talk::begin(&attack("3000"));
    attacker.hear("sending");
    for _ in 0..5 {
        answers_promptly(host);
    }
    let end = attacker.hear("sent ");
    let (sent, refused) = end.split_once(", refused ").expect("both");
    if kernel == Kernel::Own && host.refuses_descriptors() {
        assert_eq!(sent, "0");
        assert_ne!(refused, "0");
    } else {
        assert_ne!(sent, "0");
    }
    answers_promptly(host);
    // Until the container has stopped.
    Talk::begin(&attack("1000000")).hear("sending");
    promptly(host, &["stop", "foo"]);
    // No process holds what a start needs.
    start(host, kernel);
    promptly(host, &["destroy", "--force", "foo"]);
}

fn answers_promptly(host: &Host) {
    assert_eq!(promptly(host, &["status", "foo"]), "up\n");
    assert!(promptly(host, &["list", "--long"]).contains("foo"));
    promptly(host, &["run", "foo", "--", "true"]);
}

fn attack_from_the_host(kernel: Kernel) {
    let host = host_with_container(kernel, "");
    plant(&host, "/run/throwaway/send-descriptors");
    the_container_is_well(&host, kernel, |count| {
        let mut command = host.command("setpriv");
        command.args(["--reuid=54000", "--regid=54000", "--clear-groups"]);
        command.args(["/run/throwaway/send-descriptors"]);
        command.args(["/run/nixos-containers-public/foo", "seqpacket", count]);
        command
    });
}

fn attack_from_inside(kernel: Kernel) {
    let host = host_with_container(kernel, "PRIVATE_USERS=pick");
    plant(&host, "/run/throwaway/state/foo/send-descriptors");
    the_container_is_well(&host, kernel, |count| {
        let mut command = host.command(PROGRAM);
        command.args(["run", "foo", "--", "/send-descriptors"]);
        command.args(["/run/host/notify", "dgram", count]);
        command
    });
}

#[test]
fn an_ordinary_user_of_the_host_cannot_block_a_supervisor_with_descriptors() {
    attack_from_the_host(Kernel::Own);
}

#[test]
fn an_ordinary_user_of_the_host_cannot_block_a_supervisor_on_an_older_kernel() {
    attack_from_the_host(Kernel::Older);
}

#[test]
fn root_inside_cannot_block_its_supervisor_with_descriptors() {
    attack_from_inside(Kernel::Own);
}

#[test]
fn root_inside_cannot_block_its_supervisor_on_an_older_kernel() {
    attack_from_inside(Kernel::Older);
}
