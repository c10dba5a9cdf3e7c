//! The system call filter, for interfaces that neither namespaces nor the bounding
//! set contain.
//!
//! Most of the kernel is out of a container's reach because of its capabilities
//! (clocks, raw I/O, accounting), or has a namespace. The rest are interfaces of
//! the whole kernel, open to any process or to a capability that a booted system
//! needs. The filter answers as a kernel without them does.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use serde::Serialize;

use super::capabilities::CapabilitySet;
use super::joined;

mod calls;
mod program;

pub use calls::named as calls_named;
pub use program::FilterProgram;

use program::{Condition, Rule};

/// A system call that containers cannot make.
#[derive(Debug)]
pub struct Denied {
    /// Its name, as in `man 2 syscalls`.
    pub name: &'static str,
    /// The reason.
    pub reason: &'static str,
    /// A container with this capability can make the call: the capability is for it.
    unless: Option<CapabilitySet>,
}

const fn denied(name: &'static str, reason: &'static str) -> Denied {
    Denied {
        name,
        reason,
        unless: None,
    }
}

impl Denied {
    const fn unless(self, capability: CapabilitySet) -> Self {
        Self {
            unless: Some(capability),
            ..self
        }
    }
}

const KEYRINGS: &str = "keyrings have no namespace (man 7 keyrings)";
const KERNEL: &str = "replaces or extends the running kernel";
const HOST_WIDE: &str = "acts on the whole host";
const EXPLOITED: &str = "seldom needed, often a way into the kernel";
const UNSEEN: &str = "makes calls that no filter sees, and is often a way into the kernel";
const HANDLES: &str = "a guessed handle opens any file of the file system below a bind mount";

/// The calls that fail with `ENOSYS`, as on a kernel built without them: programs
/// are prepared for that.
pub const DENIED: &[Denied] = &[
    denied("add_key", KEYRINGS),
    denied("keyctl", KEYRINGS),
    denied("request_key", KEYRINGS),
    denied("init_module", KERNEL).unless(CapabilitySet::SYS_MODULE),
    denied("finit_module", KERNEL).unless(CapabilitySet::SYS_MODULE),
    denied("delete_module", KERNEL).unless(CapabilitySet::SYS_MODULE),
    denied("kexec_load", KERNEL),
    denied("kexec_file_load", KERNEL),
    denied("bpf", KERNEL).unless(CapabilitySet::BPF),
    denied("swapon", HOST_WIDE),
    denied("swapoff", HOST_WIDE),
    denied("quotactl", HOST_WIDE),
    denied("quotactl_fd", HOST_WIDE),
    denied("syslog", "reads and clears the host's kernel log").unless(CapabilitySet::SYSLOG),
    denied("perf_event_open", EXPLOITED).unless(CapabilitySet::PERFMON),
    denied("userfaultfd", EXPLOITED),
    denied("io_uring_setup", UNSEEN),
    denied("io_uring_enter", UNSEEN),
    denied("io_uring_register", UNSEEN),
    denied("open_by_handle_at", HANDLES),
];

/// The system calls that programs can make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemCallFilter {
    /// Calls that fail as on a kernel without them (`ENOSYS`).
    pub absent: BTreeSet<&'static str>,
    /// Calls that are not permitted (`EPERM`).
    pub prohibited: BTreeSet<&'static str>,
    /// Whether requests to write to disk at once, as by `fsync`, are ignored.
    pub suppress_sync: bool,
    /// Whether no further user namespaces can be made.
    pub no_user_namespaces: bool,
    /// Whether sockets to virtual machines and their host (AF_VSOCK) can be made. They
    /// have no namespace: a container would be the host to them.
    pub vsock: bool,
}

impl SystemCallFilter {
    /// The filter of every container with this bounding set.
    pub fn for_bounding_set(capabilities: CapabilitySet) -> Self {
        let has = |capability| capabilities.contains(capability);
        Self {
            absent: DENIED
                .iter()
                .filter(|denied| !denied.unless.is_some_and(has))
                .map(|denied| denied.name)
                .collect(),
            prohibited: BTreeSet::new(),
            suppress_sync: false,
            no_user_namespaces: false,
            vsock: false,
        }
    }

    /// The filter as the kernel takes it.
    ///
    /// # Errors
    ///
    /// The compiler's; no filter that was seen has any.
    pub fn program(&self) -> io::Result<FilterProgram> {
        FilterProgram::of(&self.rules())
    }

    fn rules(&self) -> Vec<Rule> {
        let mut rules = vec![
            refuse(self.prohibited.clone(), libc::EPERM),
            refuse(self.absent.clone(), libc::ENOSYS),
            audit_socket(),
        ];
        rules.extend(terminal_input());
        if !self.vsock {
            rules.push(vsock());
        }
        if self.suppress_sync {
            rules.extend(no_sync());
        }
        if self.no_user_namespaces {
            rules.extend(no_user_namespaces());
        }
        rules
    }
}

impl fmt::Display for SystemCallFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ENOSYS for {}; no audit sockets; TIOCSTI and TIOCLINUX blocked",
            joined(&self.absent, " ")
        )?;
        if !self.prohibited.is_empty() {
            write!(f, "; EPERM for {}", joined(&self.prohibited, " "))?;
        }
        if !self.vsock {
            write!(f, "; no AF_VSOCK")?;
        }
        if self.suppress_sync {
            write!(f, "; fsync and the like ignored")?;
        }
        if self.no_user_namespaces {
            write!(f, "; no user namespaces")?;
        }
        Ok(())
    }
}

fn refuse(calls: BTreeSet<&'static str>, errno: libc::c_int) -> Rule {
    Rule {
        calls,
        conditions: Vec::new(),
        errno,
    }
}

/// Audit has no namespace. Without its socket, `libaudit` takes the kernel for one
/// without audit, and dbus, PAM and systemd work quietly.
fn audit_socket() -> Rule {
    let is = |argument, value: libc::c_int| is(argument, value.cast_unsigned());
    Rule {
        calls: BTreeSet::from(["socket"]),
        conditions: vec![is(0, libc::AF_NETLINK), is(2, libc::NETLINK_AUDIT)],
        errno: libc::EAFNOSUPPORT,
    }
}

/// As on a kernel without the module, which systemd's generators are prepared for. A
/// filter cannot see the family in `socketcall` of 32-bit programs of x86.
fn vsock() -> Rule {
    Rule {
        calls: BTreeSet::from(["socket"]),
        conditions: vec![is(0, libc::AF_VSOCK.cast_unsigned())],
        errno: libc::EAFNOSUPPORT,
    }
}

// Requests of `asm-generic/ioctls.h`. libc's constants have 64 bits; the kernel reads
// 32 of them.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

/// Text that a program puts into a terminal's input (TIOCSTI), or selects and
/// pastes there (TIOCLINUX), reaches the shell behind it as if its user had typed
/// it (`man 2 ioctl_tty`, `man 2 ioctl_console`): after `su` or `enter`, another
/// user's shell.
fn terminal_input() -> impl Iterator<Item = Rule> {
    [TIOCSTI, TIOCLINUX].into_iter().map(|request| Rule {
        calls: BTreeSet::from(["ioctl"]),
        conditions: vec![is(1, request)],
        errno: libc::EPERM,
    })
}

fn is(argument: u8, value: u32) -> Condition {
    Condition {
        argument,
        mask: u32::MAX,
        value,
    }
}

/// Requests to write to disk succeed at once. Files cannot be opened so that each
/// write is such a request (`O_DSYNC`, which is part of `O_SYNC`). A filter cannot
/// see the flags of `openat2`: programs fall back to `openat`.
fn no_sync() -> Vec<Rule> {
    let no_sync_flag = |call, argument| Rule {
        calls: BTreeSet::from([call]),
        conditions: vec![Condition {
            argument,
            mask: libc::O_DSYNC.cast_unsigned(),
            value: libc::O_DSYNC.cast_unsigned(),
        }],
        errno: libc::EINVAL,
    };
    vec![
        refuse(calls_named("@sync").unwrap_or_default(), 0),
        no_sync_flag("open", 1),
        no_sync_flag("openat", 2),
        no_sync_flag("open_by_handle_at", 2),
        refuse(BTreeSet::from(["openat2"]), libc::ENOSYS),
    ]
}

/// A user namespace gives every user all capabilities over a new set of namespaces,
/// and so opens most of the kernel (`man 7 user_namespaces`). A filter cannot see the
/// flags of `clone3`: programs fall back to `clone`.
fn no_user_namespaces() -> Vec<Rule> {
    let flag = libc::CLONE_NEWUSER.cast_unsigned();
    let with_flag = |call| Rule {
        calls: BTreeSet::from([call]),
        conditions: vec![Condition {
            argument: 0,
            mask: flag,
            value: flag,
        }],
        errno: libc::EPERM,
    };
    vec![
        with_flag("clone"),
        with_flag("unshare"),
        refuse(BTreeSet::from(["clone3"]), libc::ENOSYS),
    ]
}

#[cfg(test)]
mod tests {
    use super::calls::Table;
    use super::*;

    /// Makes the call in a thread of its own: a filter cannot be removed.
    fn filtered_by<T: Send + 'static>(
        filter: SystemCallFilter,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let thread = std::thread::spawn(move || {
            // Tests need not run as root; the filter then needs this.
            rustix::thread::set_no_new_privs(true).expect("it may always be set");
            filter
                .program()
                .and_then(|program| program.install())
                .expect("a filter that the kernel takes");
            call()
        });
        thread.join().expect("no panic")
    }

    fn usual() -> SystemCallFilter {
        SystemCallFilter::for_bounding_set(CapabilitySet::SYSTEM)
    }

    fn filtered<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
        filtered_by(usual(), call)
    }

    /// The error of a call with meaningless arguments.
    fn errno_of(number: libc::c_long) -> Option<i32> {
        // SAFETY: none of the calls below acts on these arguments.
        let answer = unsafe { libc::syscall(number, -1, -1, -1, -1, -1, -1) };
        (answer < 0).then(|| io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    fn numbers(table: Table) -> BTreeSet<u32> {
        table.numbers(&usual().absent)
    }

    #[test]
    fn denied_calls_are_not_implemented_and_others_are() {
        assert_eq!(numbers(Table::Native).len(), DENIED.len());
        for number in numbers(Table::Native) {
            let errno = filtered(move || errno_of(number.into()));
            assert_eq!(errno, Some(libc::ENOSYS), "{number}");
        }
        assert_eq!(filtered(|| errno_of(libc::SYS_getppid)), None);
        assert_eq!(filtered(|| errno_of(libc::SYS_close)), Some(libc::EBADF));
    }

    #[test]
    fn a_capability_permits_its_calls() {
        let with_modules = CapabilitySet::SYSTEM.with(CapabilitySet::SYS_MODULE);
        let absent = SystemCallFilter::for_bounding_set(with_modules).absent;
        assert!(!absent.contains("init_module") && absent.contains("bpf"));
        let absent = SystemCallFilter::for_bounding_set(CapabilitySet::ALL).absent;
        assert!(absent.contains("keyctl") && !absent.contains("bpf"));
    }

    #[test]
    fn prohibited_calls_are_not_permitted_even_if_they_are_absent() {
        let filter = SystemCallFilter {
            prohibited: BTreeSet::from(["getppid", "keyctl"]),
            ..usual()
        };
        for call in [libc::SYS_getppid, libc::SYS_keyctl] {
            let errno = filtered_by(filter.clone(), move || errno_of(call));
            assert_eq!(errno, Some(libc::EPERM));
        }
        let other = filtered_by(filter, || errno_of(libc::SYS_add_key));
        assert_eq!(other, Some(libc::ENOSYS));
    }

    #[test]
    fn a_filter_may_hold_every_call() {
        let filter = SystemCallFilter {
            prohibited: calls_named("@known").expect("a group"),
            ..usual()
        };
        let program = filter.program().expect("a filter");
        let length = program.instructions().len();
        // BPF_MAXINSNS of linux/bpf_common.h.
        assert!(length < 4096, "{length} instructions");
    }

    #[test]
    fn audit_sockets_are_not_supported() {
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

    #[test]
    fn text_cannot_be_put_into_the_input_of_a_terminal() {
        let ioctl = |request: libc::c_ulong| {
            filtered(move || {
                // SAFETY: there is no such descriptor to act on.
                unsafe { libc::syscall(libc::SYS_ioctl, -1, request, 0) };
                io::Error::last_os_error().raw_os_error()
            })
        };
        for request in [libc::TIOCSTI, libc::TIOCLINUX] {
            assert_eq!(ioctl(request), Some(libc::EPERM));
            // The kernel reads the lower half only.
            assert_eq!(ioctl(request | 1 << 32), Some(libc::EPERM));
        }
        assert_eq!(ioctl(libc::TCGETS), Some(libc::EBADF));
    }

    #[test]
    fn requests_to_write_to_disk_are_ignored() {
        let filter = SystemCallFilter {
            suppress_sync: true,
            ..usual()
        };
        let open = |flags: libc::c_int| {
            let filter = filter.clone();
            filtered_by(filter, move || {
                // SAFETY: the path is a string that ends.
                match unsafe { libc::open(c"/dev/null".as_ptr(), flags) } {
                    -1 => io::Error::last_os_error().raw_os_error(),
                    _ => None,
                }
            })
        };
        assert_eq!(open(libc::O_RDWR | libc::O_CLOEXEC), None);
        assert_eq!(open(libc::O_RDWR | libc::O_SYNC), Some(libc::EINVAL));
        assert_eq!(open(libc::O_RDWR | libc::O_DSYNC), Some(libc::EINVAL));
        // Without the filter it fails for a bad descriptor.
        assert_eq!(filtered(|| errno_of(libc::SYS_fsync)), Some(libc::EBADF));
        assert_eq!(filtered_by(filter, || errno_of(libc::SYS_fsync)), None);
    }

    #[test]
    fn no_user_namespace_can_be_made() {
        let filter = SystemCallFilter {
            no_user_namespaces: true,
            ..usual()
        };
        let unshare = |flags: libc::c_int| {
            filtered_by(filter.clone(), move || {
                // SAFETY: takes a number; the thread ends after it.
                match unsafe { libc::unshare(flags) } {
                    -1 => io::Error::last_os_error().raw_os_error(),
                    _ => None,
                }
            })
        };
        assert_eq!(unshare(libc::CLONE_FILES), None);
        let user = libc::CLONE_NEWUSER;
        assert_eq!(unshare(user), Some(libc::EPERM));
        assert_eq!(unshare(user | libc::CLONE_FILES), Some(libc::EPERM));
        let clone3 = filtered_by(filter.clone(), || errno_of(libc::SYS_clone3));
        assert_eq!(clone3, Some(libc::ENOSYS));
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
        // All but kexec_file_load, which they do not have.
        assert_eq!(numbers(Table::Compat).len(), DENIED.len() - 1);
        for number in numbers(Table::Compat) {
            assert_eq!(filtered(move || call_32(number)), -libc::ENOSYS, "{number}");
        }
        assert!(filtered(|| call_32(GETPPID)) >= 0);
        assert_eq!(filtered(|| call_32(CLOSE)), -libc::EBADF);
        let filter = SystemCallFilter {
            prohibited: BTreeSet::from(["getppid"]),
            suppress_sync: true,
            ..usual()
        };
        const FSYNC: u32 = 118;
        let prohibited = filtered_by(filter.clone(), || call_32(GETPPID));
        assert_eq!(prohibited, -libc::EPERM);
        assert_eq!(filtered(|| call_32(FSYNC)), -libc::EBADF);
        assert_eq!(filtered_by(filter, || call_32(FSYNC)), 0);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn x32_is_no_way_around_the_filter() {
        const X32: libc::c_long = 0x4000_0000;
        for number in numbers(Table::Native) {
            let errno = filtered(move || errno_of(X32 | libc::c_long::from(number)));
            assert_eq!(errno, Some(libc::ENOSYS), "{number}");
        }
    }
}
