//! The devices that a container's processes can open or make: a BPF program on
//! their cgroup decides (`man 2 bpf`; kernel documentation,
//! admin-guide/cgroup-v2, "Device controller").
//!
//! Root inside may make device nodes (CAP_MKNOD). Without this filter one of
//! them could be the host's disk.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::spec::{Device, DeviceAccess, DeviceKind};

/// One instruction (`struct bpf_insn` of `linux/bpf.h`).
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Opcodes of `linux/bpf_common.h` and `linux/bpf.h`.
const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const AND: u8 = 0x57; // BPF_ALU64 | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x77; // BPF_ALU64 | BPF_RSH | BPF_K
const JUMP_UNLESS_EQUAL: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const JUMP_IF_ANY_BIT: u8 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const MOVE: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

// Numbers of `linux/bpf.h`. The kind is in the lower half of the context's
// first word, the access in the upper half.
const BLOCK_DEVICE: i32 = 1;
const CHARACTER_DEVICE: i32 = 2;
const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

// The program's registers: the context comes in 1, the answer leaves in 0.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const MAJOR: u8 = 3;
const MINOR: u8 = 4;
const ACCESS: u8 = 5;

/// The program: it answers 1 to allow an access, 0 to refuse it.
fn program(allowed: &[Device]) -> Vec<Instruction> {
    // Offsets of `struct bpf_cgroup_dev_ctx`.
    let load = |to, offset| instruction(LOAD_WORD, to, CONTEXT, offset, 0);
    let mut program = vec![
        load(KIND, 0),
        load(ACCESS, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
    ];
    for device in allowed {
        program.extend(allow(device));
    }
    program.extend(answer(0));
    program
}

/// Answers 1 for an access to this device of which every part is granted;
/// otherwise continues behind.
fn allow(device: &Device) -> Vec<Instruction> {
    let kind = match device.kind {
        DeviceKind::Character => CHARACTER_DEVICE,
        DeviceKind::Block => BLOCK_DEVICE,
    };
    let DeviceAccess { read, write, make } = device.access;
    let refused = [(read, READ), (write, WRITE), (make, MAKE)]
        .iter()
        .filter(|(granted, _)| !granted)
        .fold(0, |all, (_, bit)| all | bit);
    let mut conditions = vec![
        (JUMP_UNLESS_EQUAL, KIND, kind),
        (JUMP_UNLESS_EQUAL, MAJOR, device.major.cast_signed()),
    ];
    if let Some(minor) = device.minor {
        conditions.push((JUMP_UNLESS_EQUAL, MINOR, minor.cast_signed()));
    }
    conditions.push((JUMP_IF_ANY_BIT, ACCESS, refused));
    // The two instructions of the answer are behind the last condition.
    let mut program: Vec<_> = (2..)
        .zip(conditions.into_iter().rev())
        .map(|(behind, (jump, register, value))| instruction(jump, register, 0, behind, value))
        .collect();
    program.reverse();
    program.extend(answer(1));
    program
}

fn answer(value: i32) -> [Instruction; 2] {
    [
        instruction(MOVE, ANSWER, 0, 0, value),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: from << 4 | to,
        offset,
        immediate,
    }
}

/// Attaches the filter to a cgroup, for it and all groups below. Returns false
/// inside another container, where the kernel refuses that and the filter of the
/// outer container holds.
pub(crate) fn attach(cgroup: BorrowedFd<'_>, allowed: &[Device]) -> io::Result<bool> {
    match load(&program(allowed)).and_then(|program| attach_program(&program, cgroup)) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => Ok(false),
        Err(error) => Err(error),
    }
}

// Commands and numbers of `linux/bpf.h`.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Filters of groups further up hold as well.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
}

/// The head of `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: program.len().try_into().map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
    };
    // SAFETY: the attributes point to the program and to a string, both of
    // which outlive the call.
    let descriptor = unsafe { bpf(BPF_PROG_LOAD, &attributes) }?;
    // SAFETY: the kernel has just made the descriptor; nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn attach_program(program: &OwnedFd, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attach {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attributes hold numbers only.
    unsafe { bpf(BPF_PROG_ATTACH, &attributes) }?;
    Ok(())
}

/// # Safety
///
/// `attributes` is laid out as the head of `union bpf_attr` for the command,
/// and what it points to is alive.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads as many bytes as it is told and takes the rest
    // of the union for zeros; the caller vouches for what they mean.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    libc::c_int::try_from(nix::errno::Errno::result(answer)?).map_err(io::Error::other)
}
