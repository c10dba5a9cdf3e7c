//! The system call filter: what neither namespaces nor the bounding set contain.
//!
//! Most of the kernel is already out of a container's reach through its
//! capabilities (clocks, raw I/O, accounting) or is namespaced. What is left
//! are interfaces of the whole kernel, open to any process or to a capability
//! that a booted system cannot do without. The filters answer them as a kernel
//! without them would.

use std::collections::BTreeMap;
use std::io;
use std::mem::offset_of;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// A system call that a container does not get, and why.
pub struct Denied {
    /// Its name, as in `man 2 syscalls`.
    pub name: &'static str,
    number: libc::c_long,
    /// Why it is kept from containers.
    pub reason: &'static str,
}

macro_rules! denied {
    ($($call:ident, $name:literal: $reason:expr;)*) => {
        &[$(Denied { name: $name, number: libc::$call, reason: $reason }),*]
    };
}

const KEYRINGS: &str = "keyrings have no namespace (man 7 keyrings)";
const KERNEL: &str = "replaces or extends the running kernel";
const HOST_WIDE: &str = "acts on the whole host";
const EXPLOITED: &str = "seldom needed, often a way into the kernel";

/// Answered with `ENOSYS`, as by a kernel built without them: programs have a
/// way to go on for that answer.
pub const DENIED: &[Denied] = denied! {
    SYS_add_key, "add_key": KEYRINGS;
    SYS_keyctl, "keyctl": KEYRINGS;
    SYS_request_key, "request_key": KEYRINGS;
    SYS_init_module, "init_module": KERNEL;
    SYS_finit_module, "finit_module": KERNEL;
    SYS_delete_module, "delete_module": KERNEL;
    SYS_kexec_load, "kexec_load": KERNEL;
    SYS_kexec_file_load, "kexec_file_load": KERNEL;
    SYS_bpf, "bpf": KERNEL;
    SYS_swapon, "swapon": HOST_WIDE;
    SYS_swapoff, "swapoff": HOST_WIDE;
    SYS_quotactl, "quotactl": HOST_WIDE;
    SYS_quotactl_fd, "quotactl_fd": HOST_WIDE;
    SYS_syslog, "syslog": "reads and clears the host's kernel log";
    SYS_perf_event_open, "perf_event_open": EXPLOITED;
    SYS_userfaultfd, "userfaultfd": EXPLOITED;
    SYS_open_by_handle_at, "open_by_handle_at": "a guessed handle opens any file of the file system below a bind mount";
};

/// Filters the system calls of the calling thread and of all that it will
/// execute. It needs CAP_SYS_ADMIN: whoever has not must set `no_new_privs`
/// first, and with that no setuid program inside would ever gain anything
/// (`man 2 seccomp`).
pub(crate) fn filter_system_calls() -> io::Result<()> {
    for program in programs().map_err(io::Error::other)? {
        install(&program)?;
    }
    Ok(())
}

fn install(program: &BpfProgram) -> io::Result<()> {
    let length = program
        .len()
        .try_into()
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog {
        len: length,
        // Both types are the kernel's `struct sock_filter`.
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the kernel copies as many instructions as `len` says and changes
    // none of them.
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

/// The filters as programs for the kernel (`man 2 seccomp`). There are two
/// because a filter has one answer for all that it matches.
fn programs() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let denied = DENIED
        .iter()
        .map(|denied| (denied.number, Vec::new()))
        .collect();
    let audit = BTreeMap::from([(libc::SYS_socket, vec![audit_socket()?])]);
    Ok([
        with_32_bit(&deny_32_bit(), filter(denied, libc::ENOSYS)?),
        // Which family a 32-bit socket has may be out of a filter's sight
        // (`man 2 socketcall`).
        with_32_bit(&[allow()], filter(audit, libc::EAFNOSUPPORT)?),
    ])
}

fn filter(
    matched: BTreeMap<i64, Vec<SeccompRule>>,
    errno: libc::c_int,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(matched, SeccompAction::Allow, answer, ARCHITECTURE)?.try_into()
}

/// Audit has no namespace; refused its socket, `libaudit` takes the kernel for
/// one without audit, and dbus, PAM and systemd go on quietly.
fn audit_socket() -> Result<SeccompRule, seccompiler::BackendError> {
    let argument_is = |index, value: libc::c_int| {
        let value = u64::from(value.unsigned_abs());
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    SeccompRule::new(vec![
        argument_is(0, libc::AF_NETLINK)?,
        argument_is(2, libc::NETLINK_AUDIT)?,
    ])
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// How the kernel names its 32-bit system calls (`AUDIT_ARCH_I386` and
/// `AUDIT_ARCH_ARM` of `linux/audit.h`).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE_32: u32 = 0x4000_0003;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE_32: u32 = 0x4000_0028;

/// [`DENIED`], in the same order, by the numbers of 32-bit system calls
/// (`arch/x86/entry/syscalls/syscall_32.tbl` of the kernel, which has no
/// kexec_file_load, and `arch/arm/tools/syscall.tbl`).
#[cfg(target_arch = "x86_64")]
const DENIED_32: &[u32] = &[
    286, 288, 287, 128, 350, 129, 283, 357, 87, 115, 131, 443, 103, 336, 374, 342,
];
#[cfg(target_arch = "aarch64")]
const DENIED_32: &[u32] = &[
    309, 311, 310, 128, 379, 129, 347, 401, 386, 87, 115, 131, 443, 103, 364, 388, 371,
];

/// The first number of x86's third kind, the x32 system calls
/// (`__X32_SYSCALL_BIT`); no other architecture has numbers this high.
const FIRST_X32: u32 = 0x4000_0000;

/// Puts a program for 32-bit system calls before one that would kill whoever
/// makes them. They are there for 32-bit programs; x32 is there for nobody.
fn with_32_bit(program_32: &[sock_filter], program: BpfProgram) -> BpfProgram {
    let length = program_32.len() as u8;
    let mut whole = vec![
        load(offset_of!(libc::seccomp_data, arch)),
        skip_unless(libc::BPF_JEQ, ARCHITECTURE_32, length),
    ];
    whole.extend_from_slice(program_32);
    whole.extend([
        load(offset_of!(libc::seccomp_data, nr)),
        skip_unless(libc::BPF_JGE, FIRST_X32, 1),
        refuse(),
    ]);
    whole.extend(program);
    whole
}

fn deny_32_bit() -> Vec<sock_filter> {
    let mut program = vec![load(offset_of!(libc::seccomp_data, nr))];
    for number in DENIED_32 {
        program.extend([skip_unless(libc::BPF_JEQ, *number, 1), refuse()]);
    }
    program.push(allow());
    program
}

fn load(offset: usize) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset as u32)
}

/// Compares what was loaded, and skips the next `count` instructions if the
/// answer is no.
fn skip_unless(comparison: u32, value: u32, count: u8) -> sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, count, value)
}

fn refuse() -> sock_filter {
    let answer = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    instruction(libc::BPF_RET | libc::BPF_K, 0, answer)
}

fn allow() -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW)
}

fn instruction(code: u32, if_false: u8, operand: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: if_false,
        k: operand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own, which takes its filter along when it ends.
    fn filtered<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = std::thread::spawn(|| {
            // Tests need not be root's; the filter then needs this.
            rustix::thread::set_no_new_privs(true).expect("it may always be set");
            filter_system_calls().expect("a filter that the kernel takes");
            call()
        });
        thread.join().expect("no panic")
    }

    /// The error that a call without arguments worth the name gets.
    fn errno_of(number: libc::c_long) -> Option<i32> {
        // SAFETY: none of the calls below acts on these arguments.
        let answer = unsafe { libc::syscall(number, -1, -1, -1, -1, -1, -1) };
        (answer < 0).then(|| io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    #[test]
    fn denied_calls_are_not_implemented_and_others_are() {
        for denied in DENIED {
            let errno = filtered(|| errno_of(denied.number));
            assert_eq!(errno, Some(libc::ENOSYS), "{}", denied.name);
        }
        assert_eq!(filtered(|| errno_of(libc::SYS_getppid)), None);
        assert_eq!(filtered(|| errno_of(libc::SYS_close)), Some(libc::EBADF));
    }

    #[test]
    fn audit_is_a_kind_of_socket_that_is_not_there() {
        let socket = |protocol: libc::c_int| {
            filtered(move || {
                // SAFETY: takes numbers only.
                match unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol) } {
                    -1 => io::Error::last_os_error().raw_os_error(),
                    _ => None,
                }
            })
        };
        assert_eq!(socket(libc::NETLINK_AUDIT), Some(libc::EAFNOSUPPORT));
        assert_eq!(socket(libc::NETLINK_ROUTE), None);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn denied_calls_of_32_bit_programs_are_not_implemented_and_others_are() {
        /// A system call with the one argument -1, as 32-bit programs make it.
        fn call_32(number: u32) -> i32 {
            let answer: i32;
            // SAFETY: the kernel keeps all registers but the answer's; rbx,
            // which Rust wants back, holds the argument only meanwhile.
            unsafe {
                std::arch::asm!(
                    "xchg {argument}, rbx",
                    "int 0x80",
                    "xchg {argument}, rbx",
                    argument = inout(reg) u64::from(u32::MAX) => _,
                    inlateout("eax") number => answer,
                );
            }
            answer
        }
        // The setting of a kernel that has them (kernel documentation,
        // admin-guide/sysctl/abi).
        if !std::path::Path::new("/proc/sys/abi/vsyscall32").exists() {
            println!("skipped: this kernel runs no 32-bit programs");
            return;
        }
        const GETPPID: u32 = 64;
        const CLOSE: u32 = 6;
        for number in DENIED_32 {
            assert_eq!(filtered(|| call_32(*number)), -libc::ENOSYS, "{number}");
        }
        assert!(filtered(|| call_32(GETPPID)) >= 0);
        assert_eq!(filtered(|| call_32(CLOSE)), -libc::EBADF);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn x32_is_no_way_around_the_filter() {
        let x32 = |number: libc::c_long| number | libc::c_long::from(FIRST_X32);
        for denied in DENIED {
            let errno = filtered(move || errno_of(x32(denied.number)));
            assert_eq!(errno, Some(libc::ENOSYS), "{}", denied.name);
        }
    }
}
