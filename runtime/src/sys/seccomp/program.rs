//! The filter as a program for the kernel (`man 2 seccomp`).
//!
//! One program for all rules, so that the kernel runs one for each system call;
//! and it finds out by itself which calls are always allowed, for which it then
//! runs none.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::mem::offset_of;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use libc::{seccomp_data, sock_filter};
use rustix::fs::MemfdFlags;

use super::calls::Table;

/// How some calls are answered.
#[derive(Debug)]
pub(super) struct Rule {
    /// By their names.
    pub calls: BTreeSet<&'static str>,
    /// Arguments of which all must be so.
    pub conditions: Vec<Condition>,
    /// The error they fail with; 0 makes them succeed and do nothing.
    pub errno: libc::c_int,
}

/// An argument, as far as a mask lets it be seen, has a value. Only its lower
/// half is looked at: it is an `int`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    /// Which, from 0.
    pub argument: usize,
    /// Bits to compare.
    pub mask: u32,
    /// What they are.
    pub value: u32,
}

// How the kernel names the machine's and its 32-bit kind's system calls
// (`AUDIT_ARCH_*` of `linux/audit.h`).
#[cfg(target_arch = "x86_64")]
const MACHINES: (u32, u32) = (0xc000_003e, 0x4000_0003);
#[cfg(target_arch = "aarch64")]
const MACHINES: (u32, u32) = (0xc000_00b7, 0x4000_0028);

/// The first number of x86's third kind, the x32 system calls
/// (`__X32_SYSCALL_BIT`); no other machine has numbers this high. They are there
/// for nobody.
const FIRST_X32: u32 = 0x4000_0000;

/// A filter as the kernel takes it. It can be handed to another process, which
/// can then have the same one.
#[derive(Clone)]
pub struct FilterProgram(Vec<sock_filter>);

impl FilterProgram {
    /// Answers as the first rule that fits says, and lets all else through.
    pub(super) fn of(rules: &[Rule]) -> Self {
        let (native, compat) = MACHINES;
        let compat_rules = section(rules, Table::Compat);
        let mut program = vec![
            load(offset_of!(seccomp_data, arch)),
            jump_if(libc::BPF_JEQ, compat, 1, 0),
            skip(compat_rules.len()),
        ];
        program.extend(compat_rules);
        program.extend([
            jump_if(libc::BPF_JEQ, native, 1, 0),
            answer(libc::SECCOMP_RET_KILL_PROCESS),
            load(NUMBER),
            jump_if(libc::BPF_JGE, FIRST_X32, 0, 1),
            fail(libc::ENOSYS),
        ]);
        program.extend(section(rules, Table::Native));
        Self(program)
    }

    /// A file in memory with the program in it (`man 2 memfd_create`).
    pub fn to_file(&self) -> io::Result<OwnedFd> {
        let file = rustix::fs::memfd_create("system call filter", MemfdFlags::CLOEXEC)?;
        let mut file = File::from(file);
        let bytes: Vec<u8> = self.0.iter().flat_map(to_bytes).collect();
        file.write_all(&bytes)?;
        Ok(file.into())
    }

    /// The program in a file of [`FilterProgram::to_file`]. The kernel judges it
    /// when it is installed.
    pub fn from_file(file: BorrowedFd<'_>) -> io::Result<Self> {
        let file = File::from(file.try_clone_to_owned()?);
        let length = file.metadata()?.len();
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        // Others may read it at the same time, by the same open file.
        file.read_exact_at(&mut bytes, 0)?;
        let (instructions, _) = bytes.as_chunks();
        Ok(Self(instructions.iter().map(from_bytes).collect()))
    }

    /// Filters the system calls of the calling thread and of all that it will
    /// execute. It needs CAP_SYS_ADMIN: whoever has not must set `no_new_privs`
    /// first, and with that no setuid program inside would ever gain anything
    /// (`man 2 seccomp`).
    pub(crate) fn install(&self) -> io::Result<()> {
        let length = self.0.len().try_into();
        let program = libc::sock_fprog {
            len: length.map_err(io::Error::other)?,
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel copies as many instructions as `len` says and
        // changes none of them.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            )
        };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// How many instructions it has.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for FilterProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilterProgram of {} instructions", self.0.len())
    }
}

fn to_bytes(instruction: &sock_filter) -> [u8; size_of::<sock_filter>()] {
    let [code, more] = instruction.code.to_ne_bytes();
    let [a, b, c, d] = instruction.k.to_ne_bytes();
    [code, more, instruction.jt, instruction.jf, a, b, c, d]
}

fn from_bytes(bytes: &[u8; size_of::<sock_filter>()]) -> sock_filter {
    let [code, more, yes, no, a, b, c, d] = *bytes;
    sock_filter {
        code: u16::from_ne_bytes([code, more]),
        jt: yes,
        jf: no,
        k: u32::from_ne_bytes([a, b, c, d]),
    }
}

/// Ends with an answer for every call.
fn section(rules: &[Rule], table: Table) -> Vec<sock_filter> {
    let mut program = vec![load(NUMBER)];
    for rule in rules {
        for number in table.numbers(&rule.calls) {
            let answer = answer_to(rule);
            program.push(jump_if(libc::BPF_JEQ, number, 0, answer.len()));
            program.extend(answer);
        }
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

/// What a rule does with a call of its own. If its conditions are not met, the
/// number is loaded again for the rules behind.
fn answer_to(rule: &Rule) -> Vec<sock_filter> {
    let mut program = Vec::new();
    for (index, condition) in rule.conditions.iter().enumerate() {
        let behind = 3 * (rule.conditions.len() - index - 1) + 1;
        program.extend([
            load(offset_of!(seccomp_data, args) + LOWER_HALF + 8 * condition.argument),
            instruction(
                libc::BPF_ALU | libc::BPF_AND | libc::BPF_K,
                0,
                0,
                condition.mask,
            ),
            jump_if(libc::BPF_JEQ, condition.value, 0, behind),
        ]);
    }
    program.push(fail(rule.errno));
    if !rule.conditions.is_empty() {
        program.push(load(NUMBER));
    }
    program
}

const NUMBER: usize = offset_of!(seccomp_data, nr);

/// Of an argument's eight bytes.
const LOWER_HALF: usize = if cfg!(target_endian = "little") { 0 } else { 4 };

fn load(offset: usize) -> sock_filter {
    instruction(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        0,
        0,
        offset as u32,
    )
}

/// Compares what is loaded, and skips as many instructions as is said for yes
/// or no.
fn jump_if(comparison: u32, value: u32, yes: usize, no: usize) -> sock_filter {
    instruction(
        libc::BPF_JMP | comparison | libc::BPF_K,
        yes as u8,
        no as u8,
        value,
    )
}

fn skip(count: usize) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, count as u32)
}

fn fail(errno: libc::c_int) -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs())
}

fn answer(answer: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, answer)
}

fn instruction(code: u32, yes: u8, no: u8, operand: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: yes,
        jf: no,
        k: operand,
    }
}
