//! Processes of the host.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use runtime::Namespace;
use rustix::event::{PollFd, PollFlags};

use super::kernel::{at, call, file, first};
use crate::attack::{Attack, Proof, Without};
use crate::canary::{Canary, OPEN_SECRET, SECRET};
use crate::weakened::Part;

const PIDS: &[Part] = &[Part::Own(Namespace::Pid), Part::Users];

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "pidfd_send_signal",
        class: "pidfd_send_signal",
        aim: "kill a process of the host",
        attempt: |canary| {
            let process = open_process(canary)?;
            call!(
                SYS_pidfd_send_signal,
                process.as_raw_fd(),
                libc::SIGCONT,
                0,
                0
            )?;
            Ok("sent a signal".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "kill by number",
        class: "kill",
        aim: "the same by its number on the host, which may be in use inside, too",
        attempt: |canary| {
            let pid: i32 = canary.number("pid")?;
            is_canary(pid)?;
            call!(SYS_kill, pid, libc::SIGCONT)?;
            Ok("sent a signal".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "ptrace",
        class: "ptrace",
        aim: "take over a process of the host",
        attempt: |canary| {
            let pid = find(canary)?;
            call!(SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0)?;
            Ok("it is traced".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "process_vm_readv",
        class: "process_vm_readv",
        aim: "read the memory of a process of the host",
        attempt: |canary| {
            let mut buffer = vec![0_u8; canary.number("length")?];
            let length = buffer.len();
            let mut local = [usize::from(at(&mut buffer[..])), length];
            let mut remote = [canary.number::<usize>("memory")?, length];
            let pid = find(canary)?;
            call!(
                SYS_process_vm_readv,
                pid,
                at(&mut local),
                1,
                at(&mut remote),
                1,
                0
            )?;
            Ok(String::from_utf8_lossy(&buffer).into_owned())
        },
        proof: Proof::Secret,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "/proc/PID/mem",
        class: "/proc/PID/mem",
        aim: "the same through its file",
        attempt: |canary| {
            let memory = File::open(format!("/proc/{}/mem", find(canary)?))?;
            let mut buffer = vec![0_u8; canary.number("length")?];
            memory.read_exact_at(&mut buffer, canary.number("memory")?)?;
            Ok(String::from_utf8_lossy(&buffer).into_owned())
        },
        proof: Proof::Secret,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "pidfd_getfd",
        class: "pidfd_getfd",
        aim: "take an open file from a process of the host",
        attempt: |canary| {
            let process = open_process(canary)?;
            let descriptor: i32 = canary.number("descriptor")?;
            let file = file(call!(SYS_pidfd_getfd, process.as_raw_fd(), descriptor, 0)?)?;
            read_from_start(&file)
        },
        proof: Proof::Secret,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "/proc/PID/fd",
        class: "/proc/PID/fd",
        aim: "open a file that a process of the host has open",
        attempt: |canary| {
            let descriptor: i32 = canary.number("descriptor")?;
            fs::read_to_string(format!("/proc/{}/fd/{descriptor}", find(canary)?))
        },
        proof: Proof::Secret,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "/proc/PID/root",
        class: "/proc/1/root",
        aim: "see the host's files through one of its processes",
        attempt: |canary| {
            let pids = [Ok(1), find(canary)];
            first(pids, |pid| {
                fs::read_to_string(format!("/proc/{}/root{SECRET}", pid?))
            })
        },
        proof: Proof::Secret,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "setns",
        class: "setns",
        aim: "move into the host's mount namespace",
        attempt: |canary| {
            let process = open_process(canary)?;
            call!(SYS_setns, process.as_raw_fd(), libc::CLONE_NEWNS)?;
            fs::read_to_string(SECRET)
        },
        proof: Proof::Secret,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
    Attack {
        name: "prlimit",
        class: "prlimit",
        aim: "limit a process of the host",
        attempt: |canary| {
            let pid = find(canary)?;
            let mut limit = [0_u64; 2];
            call!(SYS_prlimit64, pid, libc::RLIMIT_CORE, 0, at(&mut limit))?;
            call!(SYS_prlimit64, pid, libc::RLIMIT_CORE, at(&mut limit), 0)?;
            Ok("set its limit".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: PIDS,
        without_users: Without::Prevented,
    },
];

/// The canary's pid, as the attacker sees it.
fn find(_: &Canary) -> io::Result<i32> {
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = pid.filter(|pid| is_canary(*pid).is_ok()) {
            return Ok(pid);
        }
    }
    Err(io::Error::other("the canary is not among the processes"))
}

fn is_canary(pid: i32) -> io::Result<()> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"))?;
    match name.trim() {
        "canary-of-escap" => Ok(()),
        name => Err(io::Error::other(format!("{pid} is {name}"))),
    }
}

fn open_process(canary: &Canary) -> io::Result<File> {
    file(call!(SYS_pidfd_open, find(canary)?, 0)?)
}

fn read_from_start(file: &File) -> io::Result<String> {
    let mut buffer = [0_u8; 256];
    let length = file.read_at(&mut buffer, 0)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Looks into every process that comes, until the standard input ends, and prints what
/// it finds of the host.
pub fn watch() -> i32 {
    println!("watching");
    let ends = || {
        let stdin = std::io::stdin();
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        let now = rustix::event::Timespec::default();
        rustix::event::poll(&mut ready, Some(&now)) != Ok(0)
    };
    let mut found = BTreeSet::new();
    while !ends() {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for entry in entries {
            found.extend(look_into(&entry.path()));
        }
        while let Some(one) = found.pop_first() {
            println!("{one}");
        }
    }
    println!("end");
    0
}

/// What a process shows of the host.
fn look_into(process: &Path) -> Option<String> {
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    let environment = String::from_utf8_lossy(&environment);
    if let Some((_, secret)) = environment.split_once("HOST_SECRET=") {
        return Some(secret.to_owned());
    }
    let through = ["root", "cwd"].map(|link| process.join(link).join(&OPEN_SECRET[1..]));
    through
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
}
