//! The system call filter: what neither namespaces nor the bounding set contain.
//!
//! Most of the kernel is already out of a container's reach through its
//! capabilities (clocks, raw I/O, accounting) or is namespaced. What is left
//! are interfaces of the whole kernel, open to any process or to a capability
//! that a booted system cannot do without. The filters answer them as a kernel
//! without them would.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
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
        filter(denied, libc::ENOSYS)?,
        filter(audit, libc::EAFNOSUPPORT)?,
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
