//! The system call filter: what neither namespaces nor the bounding set contain.
//!
//! Most of the kernel is already out of a container's reach through its
//! capabilities (clocks, raw I/O, accounting) or is namespaced. What is left
//! are interfaces of the whole kernel, open to any process or to a capability
//! that a booted system cannot do without. The filter answers them as a kernel
//! without them would.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use serde::Serialize;

use super::capabilities::CapabilitySet;

mod calls;
mod program;

pub use calls::named as calls_named;
pub use program::FilterProgram;

use program::{Condition, Rule};

/// A system call that a container does not get, and why.
#[derive(Debug)]
pub struct Denied {
    /// Its name, as in `man 2 syscalls`.
    pub name: &'static str,
    /// Why it is kept from containers.
    pub reason: &'static str,
    /// Who has this capability gets the call, too, which is what it is for.
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
const HANDLES: &str = "a guessed handle opens any file of the file system below a bind mount";

/// Answered with `ENOSYS`, as by a kernel built without them: programs have a
/// way to go on for that answer.
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
    denied("open_by_handle_at", HANDLES),
];

/// Which system calls programs get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemCallFilter {
    /// Those that are answered as by a kernel without them (`ENOSYS`).
    pub absent: BTreeSet<&'static str>,
    /// Those that are not permitted (`EPERM`).
    pub prohibited: BTreeSet<&'static str>,
    /// Whether nothing is written to disk for being asked for.
    pub suppress_sync: bool,
}

impl SystemCallFilter {
    /// The filter of every container whose bounding set this is.
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
        rules.extend(typing());
        if self.suppress_sync {
            rules.extend(no_sync());
        }
        rules
    }
}

impl fmt::Display for SystemCallFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |calls: &BTreeSet<&str>| calls.iter().copied().collect::<Vec<_>>().join(" ");
        write!(
            f,
            "lack {} and audit sockets; type into no terminal",
            words(&self.absent)
        )?;
        if !self.prohibited.is_empty() {
            write!(f, "; refuse {}", words(&self.prohibited))?;
        }
        if self.suppress_sync {
            write!(f, "; write nothing to disk for being asked for")?;
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

/// Audit has no namespace; refused its socket, `libaudit` takes the kernel for
/// one without audit, and dbus, PAM and systemd go on quietly.
fn audit_socket() -> Rule {
    let is = |argument, value: libc::c_int| is(argument, value.cast_unsigned());
    Rule {
        calls: BTreeSet::from(["socket"]),
        conditions: vec![is(0, libc::AF_NETLINK), is(2, libc::NETLINK_AUDIT)],
        errno: libc::EAFNOSUPPORT,
    }
}

/// What a program puts into a terminal's input (TIOCSTI), or selects and pastes
/// (TIOCLINUX), the shell there runs as its own user's (`man 2 ioctl_tty`,
/// `man 2 ioctl_console`): whoever ran `su` or `enter` at it, for one.
fn typing() -> impl Iterator<Item = Rule> {
    [libc::TIOCSTI, libc::TIOCLINUX]
        .into_iter()
        .map(|request| Rule {
            calls: BTreeSet::from(["ioctl"]),
            conditions: vec![is(1, request as u32)],
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

/// What asks for writing to disk succeeds at once; files are not opened so that
/// each write would ask for it (`O_DSYNC`, which is part of `O_SYNC`). The flags
/// of `openat2` are out of a filter's sight: programs fall back to `openat`.
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

#[cfg(test)]
mod tests {
    use super::calls::Table;
    use super::*;

    /// In a thread of its own, which takes its filter along when it ends.
    fn filtered_by<T: Send + 'static>(
        filter: SystemCallFilter,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let thread = std::thread::spawn(move || {
            // Tests need not be root's; the filter then needs this.
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

    /// The error that a call without arguments worth the name gets.
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
    fn what_a_capability_is_for_comes_with_it() {
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

    #[test]
    fn a_program_types_into_no_terminal() {
        let ioctl = |request: libc::c_ulong| {
            filtered(move || {
                // SAFETY: there is no such descriptor to act on.
                unsafe { libc::syscall(libc::SYS_ioctl, -1, request, 0) };
                io::Error::last_os_error().raw_os_error()
            })
        };
        for request in [libc::TIOCSTI, libc::TIOCLINUX] {
            assert_eq!(ioctl(request), Some(libc::EPERM));
            // The kernel looks at the lower half alone.
            assert_eq!(ioctl(request | 1 << 32), Some(libc::EPERM));
        }
        assert_eq!(ioctl(libc::TCGETS), Some(libc::EBADF));
    }

    #[test]
    fn nothing_is_written_to_disk_for_being_asked_for() {
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
        // Of a descriptor that is none, it would say so.
        assert_eq!(filtered(|| errno_of(libc::SYS_fsync)), Some(libc::EBADF));
        assert_eq!(filtered_by(filter, || errno_of(libc::SYS_fsync)), None);
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
