//! The filter as a program for the kernel (`man 2 seccomp`).
//!
//! `seccompiler` compiles the rules. A filter of its own has one answer and kills
//! processes that make 32-bit calls, so each rule is a filter there, and this
//! module joins them to one program: it tells the machine's calls from those of
//! its 32-bit kind, and goes on to the next rule where one does not match.
//!
//! The kernel runs one program for each system call that way, and finds out by
//! itself which calls are always allowed, for which it then runs none.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::MemfdFlags;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use super::calls::Table;

/// An answer to some system calls.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// The names of the calls.
    pub calls: BTreeSet<&'static str>,
    /// Conditions on the arguments, all of which must hold.
    pub conditions: Vec<Condition>,
    /// The error that the calls fail with; 0 makes them succeed without effect.
    pub errno: libc::c_int,
}

/// Some bits of an argument have this value. Only the lower half of the argument
/// is compared: it is an `int`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    /// Number of the argument, from 0.
    pub argument: u8,
    /// Bits to compare.
    pub mask: u32,
    /// Their value.
    pub value: u32,
}

// The kernel's numbers for the machine's and for its 32-bit kind's system calls
// (`AUDIT_ARCH_*` of `linux/audit.h`), and the compiler's name of the machine.
#[cfg(target_arch = "x86_64")]
const MACHINES: (u32, u32) = (0xc000_003e, 0x4000_0003);
#[cfg(target_arch = "x86_64")]
const MACHINE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const MACHINES: (u32, u32) = (0xc000_00b7, 0x4000_0028);
#[cfg(target_arch = "aarch64")]
const MACHINE: TargetArch = TargetArch::aarch64;

/// The first number of x86's third kind, the x32 system calls
/// (`__X32_SYSCALL_BIT`), all of which are refused. No other machine has numbers
/// this high.
const FIRST_X32: u32 = 0x4000_0000;

/// A filter as the kernel takes it. Another process can receive it and install
/// the same filter.
#[derive(Clone)]
pub struct FilterProgram(BpfProgram);

impl FilterProgram {
    /// Answers as the first matching rule says, and allows all other calls.
    ///
    /// # Errors
    ///
    /// A rule that `seccompiler` does not compile, or not to the form that
    /// [`Frame`] describes.
    pub(super) fn of(rules: &[Rule]) -> io::Result<Self> {
        let (native, compat) = MACHINES;
        let frame = Frame::of_filters()?;
        let compat_rules = frame.section(rules, Table::Compat)?;
        let mut program = vec![
            load(ARCH),
            jump_if(JUMP_IF_EQUAL, compat, 1, 0),
            skip(compat_rules.len().try_into().map_err(io::Error::other)?),
        ];
        program.extend(compat_rules);
        program.extend([
            jump_if(JUMP_IF_EQUAL, native, 1, 0),
            answer(SeccompAction::KillProcess),
            load(NUMBER),
            jump_if(JUMP_IF_AT_LEAST, FIRST_X32, 0, 1),
            answer(fail(libc::ENOSYS)),
        ]);
        program.extend(frame.section(rules, Table::Native)?);
        Ok(Self(program))
    }

    /// A file in memory that holds the program (`man 2 memfd_create`).
    pub fn to_file(&self) -> io::Result<OwnedFd> {
        let file = rustix::fs::memfd_create("system call filter", MemfdFlags::CLOEXEC)?;
        let mut file = File::from(file);
        let bytes: Vec<u8> = self.0.iter().flat_map(to_bytes).collect();
        file.write_all(&bytes)?;
        Ok(file.into())
    }

    /// Reads the program from a file of [`FilterProgram::to_file`]. The kernel
    /// checks it when it is installed.
    pub fn from_file(file: BorrowedFd<'_>) -> io::Result<Self> {
        let file = File::from(file.try_clone_to_owned()?);
        let length = file.metadata()?.len();
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        // Other processes may read it at the same time, by the same open file.
        file.read_exact_at(&mut bytes, 0)?;
        let (instructions, _) = bytes.as_chunks();
        Ok(Self(instructions.iter().map(from_bytes).collect()))
    }

    /// Filters the system calls of the calling thread and of all programs that it
    /// executes. That needs CAP_SYS_ADMIN or `no_new_privs` (`man 2 seccomp`).
    /// `seccompiler::apply_filter` sets the latter, and no setuid program inside
    /// would gain anything any more.
    pub(crate) fn install(&self) -> io::Result<()> {
        let length = self.0.len().try_into();
        let program = libc::sock_fprog {
            len: length.map_err(io::Error::other)?,
            filter: self.0.as_ptr().cast_mut().cast(),
        };
        // SAFETY: the kernel copies as many instructions as `len` says and
        // changes none of them; both types of them are laid out as in
        // `linux/filter.h`.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            )
        };
        nix::errno::Errno::result(answer)?;
        Ok(())
    }

    /// The program's instructions.
    #[cfg(test)]
    pub(super) fn instructions(&self) -> &[sock_filter] {
        &self.0
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

/// The instructions that `seccompiler` puts around the rules of each filter. The
/// program has made the check already, and in place of the answer comes a jump to the
/// next rule.
struct Frame {
    /// The check of the machine.
    check: BpfProgram,
    /// The answer to calls that no rule matches.
    mismatch: sock_filter,
}

impl Frame {
    /// A filter without rules is nothing but its frame.
    fn of_filters() -> io::Result<Self> {
        let none = Rule {
            calls: BTreeSet::new(),
            conditions: Vec::new(),
            errno: libc::EPERM,
        };
        let mut check = compile(&none, BTreeSet::new()).map_err(io::Error::other)?;
        let mismatch = check.pop().ok_or_else(unknown_form)?;
        Ok(Self { check, mismatch })
    }

    /// The rules for one table of numbers: an answer for every call.
    fn section(&self, rules: &[Rule], table: Table) -> io::Result<BpfProgram> {
        let mut program = Vec::new();
        for rule in rules {
            let numbers = table.numbers(&rule.calls);
            if !numbers.is_empty() {
                program.extend(self.part(rule, numbers)?);
            }
        }
        program.push(answer(SeccompAction::Allow));
        Ok(program)
    }

    /// One rule: returns its answer, or ends behind its last instruction.
    fn part(&self, rule: &Rule, numbers: BTreeSet<u32>) -> io::Result<BpfProgram> {
        let compiled = compile(rule, numbers).map_err(io::Error::other)?;
        let mut body = compiled
            .strip_prefix(&self.check[..])
            .and_then(|body| body.strip_suffix(std::slice::from_ref(&self.mismatch)))
            .ok_or_else(unknown_form)?;
        let mut program = Vec::with_capacity(body.len());
        // Of the five instructions for a call without conditions, two are needed. A
        // filter with every call would be too long otherwise.
        while let Some((first, behind)) = body.split_first() {
            program.push(first.clone());
            body = match behind {
                [to_match, to_mismatch, matched, _, rest @ ..]
                    if *to_match == skip(1) && *to_mismatch == skip(2) =>
                {
                    program.push(matched.clone());
                    rest
                }
                rest => rest,
            };
        }
        for (behind, instruction) in (0..).zip(program.iter_mut().rev()) {
            if *instruction == self.mismatch {
                *instruction = skip(behind);
            }
        }
        Ok(program)
    }
}

fn unknown_form() -> io::Error {
    io::Error::other("seccompiler has made a program of an unknown form")
}

/// A filter with the rule for the calls with these numbers.
fn compile(rule: &Rule, numbers: BTreeSet<u32>) -> Result<BpfProgram, BackendError> {
    let condition = |condition: &Condition| {
        let operator = SeccompCmpOp::MaskedEq(condition.mask.into());
        let value = condition.value.into();
        SeccompCondition::new(condition.argument, SeccompCmpArgLen::Dword, operator, value)
    };
    let conditions = rule.conditions.iter().map(condition);
    let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
    // No condition is no rule: the call matches whatever its arguments.
    let rules = if conditions.is_empty() {
        Vec::new()
    } else {
        vec![SeccompRule::new(conditions)?]
    };
    let rules = numbers
        .into_iter()
        .map(|number| (number.into(), rules.clone()))
        .collect();
    SeccompFilter::new(rules, SeccompAction::Allow, fail(rule.errno), MACHINE)?.try_into()
}

// Offsets in `struct seccomp_data` of `linux/seccomp.h`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

// Instructions of `linux/bpf_common.h`.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const SKIP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

fn load(offset: u32) -> sock_filter {
    instruction(LOAD, offset, 0, 0)
}

fn skip(count: u32) -> sock_filter {
    instruction(SKIP, count, 0, 0)
}

fn answer(answer: SeccompAction) -> sock_filter {
    instruction(RETURN, answer.into(), 0, 0)
}

/// Compares the loaded word, and skips this number of instructions for yes or no.
fn jump_if(comparison: u16, value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(comparison, value, yes, no)
}

fn instruction(code: u16, operand: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        code,
        jt: yes,
        jf: no,
        k: operand,
    }
}

fn fail(errno: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(errno.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use libc::seccomp_data;
    use proptest::prelude::*;

    use super::*;

    const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K

    /// The word of the lower half of an argument.
    fn lower(argument: u64) -> u32 {
        (argument & 0xffff_ffff) as u32
    }

    /// Runs a program as the kernel does (`Documentation/networking/filter.rst` of
    /// Linux), as far as filters of system calls need it. Returns
    /// the answer.
    fn run(program: &[sock_filter], call: &seccomp_data) -> u32 {
        let word = |offset: u32| match offset {
            0 => call.nr.cast_unsigned(),
            4 => call.arch,
            16..64 => {
                let argument = call.args[(offset as usize - 16) / 8];
                lower(argument >> (offset % 8 * 8))
            }
            _ => panic!("a load from {offset}"),
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let jump = |yes: bool| usize::from(if yes { jt } else { jf });
            match code {
                LOAD => accumulator = word(k),
                AND => accumulator &= k,
                SKIP => at += k as usize,
                JUMP_IF_EQUAL => at += jump(accumulator == k),
                JUMP_IF_AT_LEAST => at += jump(accumulator >= k),
                RETURN => return k,
                code => panic!("the instruction {code:#x}"),
            }
        }
    }

    /// The meaning of the rules, without a program.
    fn answer_by_rules(rules: &[Rule], call: &seccomp_data) -> u32 {
        let (native, compat) = MACHINES;
        let number = call.nr.cast_unsigned();
        let table = match call.arch {
            arch if arch == compat => Table::Compat,
            arch if arch == native && number >= FIRST_X32 => {
                return libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
            }
            arch if arch == native => Table::Native,
            _ => return libc::SECCOMP_RET_KILL_PROCESS,
        };
        let holds = |condition: &Condition| {
            let argument = lower(call.args[usize::from(condition.argument)]);
            argument & condition.mask == condition.value & condition.mask
        };
        let matches = |rule: &&Rule| {
            table.numbers(&rule.calls).contains(&number) && rule.conditions.iter().all(holds)
        };
        match rules.iter().find(matches) {
            Some(rule) => libc::SECCOMP_RET_ERRNO | rule.errno.unsigned_abs(),
            None => libc::SECCOMP_RET_ALLOW,
        }
    }

    /// Calls of interest to the rules: few of the numbers, arguments and values
    /// that there are, so that they often meet.
    const NAMES: [&str; 8] = [
        "read",
        "ioctl",
        "socket",
        "openat",
        "mmap2",
        "arm_fadvise64_64",
        "fsync",
        "keyctl",
    ];

    fn value() -> impl Strategy<Value = u32> {
        prop_oneof![0..4_u32, Just(0x8000_0001), Just(u32::MAX)]
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let condition = (0..6_u8, value(), value()).prop_map(|(argument, mask, value)| Condition {
            argument,
            mask,
            value,
        });
        let calls = prop::collection::btree_set(prop::sample::select(&NAMES), 0..5);
        let conditions = prop::collection::vec(condition, 0..4);
        (calls, conditions, 0..50_i32).prop_map(|(calls, conditions, errno)| Rule {
            calls,
            conditions,
            errno,
        })
    }

    fn call() -> impl Strategy<Value = seccomp_data> {
        let (native, compat) = MACHINES;
        let named = prop::sample::select(&NAMES).prop_flat_map(|name| {
            let calls = BTreeSet::from([name]);
            let numbers = [Table::Native, Table::Compat].map(|table| table.numbers(&calls));
            let numbers: Vec<_> = numbers.into_iter().flatten().chain([0]).collect();
            prop::sample::select(numbers)
        });
        let number = (named, prop_oneof![9 => Just(0), 1 => Just(FIRST_X32)]);
        let number =
            prop_oneof![9 => number.prop_map(|(number, x32)| number | x32), 1 => any::<u32>()];
        let arch = prop_oneof![4 => Just(native), 4 => Just(compat), 1 => any::<u32>()];
        let argument = (value(), value());
        let argument = argument.prop_map(|(low, high)| u64::from(high) << 32 | u64::from(low));
        (number, arch, prop::array::uniform6(argument)).prop_map(|(number, arch, args)| {
            seccomp_data {
                nr: number.cast_signed(),
                arch,
                instruction_pointer: 0,
                args,
            }
        })
    }

    proptest! {
        #[test]
        fn a_program_answers_as_its_rules_say(
            rules in prop::collection::vec(rule(), 0..8),
            calls in prop::collection::vec(call(), 1..40),
        ) {
            let program = FilterProgram::of(&rules).expect("it compiles");
            for call in calls {
                let answer = run(program.instructions(), &call);
                prop_assert_eq!(answer, answer_by_rules(&rules, &call), "{:?}", call);
            }
        }
    }

    #[test]
    fn a_call_without_conditions_takes_two_instructions() {
        let length = |calls: &[&'static str]| {
            let rule = Rule {
                calls: calls.iter().copied().collect(),
                conditions: Vec::new(),
                errno: libc::EPERM,
            };
            let numbers = Table::Native.numbers(&rule.calls);
            let frame = Frame::of_filters().expect("it compiles");
            frame.part(&rule, numbers).expect("it compiles").len()
        };
        assert_eq!(length(&["read"]), 3);
        assert_eq!(length(&["read", "write", "ioctl"]), 7);
    }
}
