//! System calls that act on the whole kernel.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::kernel::{at, call, file, text};
use crate::attack::{Attack, Proof, Without};
use crate::canary::{Canary, Handle};
use crate::weakened::Part;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "open_by_handle_at",
        class: "open_by_handle_at (shocker)",
        aim: "open a file of the host by a guessed handle of the file system below",
        attempt: open_by_handle,
        proof: Proof::Secret,
        stopped_by: &[Part::SystemCallFilter, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "keyctl",
        class: "keyctl",
        aim: "read a key of the host's root by its number",
        attempt: |canary| {
            const READ: i32 = 11;
            let mut buffer = [0_u8; 256];
            let size = buffer.len();
            let key: i64 = canary.number("key")?;
            let length = call!(SYS_keyctl, READ, key, at(&mut buffer), size)?;
            let length = usize::try_from(length).unwrap_or_default().min(size);
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        },
        proof: Proof::Secret,
        stopped_by: &[Part::SystemCallFilter, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "bpf",
        class: "bpf",
        aim: "run a program in the kernel",
        attempt: load_program,
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter, Part::Users, Part::BoundingSet],
        without_users: Without::Prevented,
    },
    Attack {
        name: "userfaultfd",
        class: "userfaultfd",
        aim: "hold the kernel up in the midst of a copy, for exploits",
        attempt: |_| {
            const USER_MODE_ONLY: i32 = 1;
            file(call!(SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY)?)?;
            Ok("got one".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "io_uring",
        class: "io_uring",
        aim: "make calls that no filter sees, by an interface that exploits have come from",
        attempt: |_| {
            // `struct io_uring_params` of `linux/io_uring.h`.
            let mut parameters = [0_u32; 30];
            file(call!(SYS_io_uring_setup, 1, at(&mut parameters))?)?;
            Ok("got one".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "AF_VSOCK",
        class: "AF_VSOCK",
        aim: "talk to virtual machines and to the hypervisor as the host",
        attempt: |_| {
            let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
            file(call!(SYS_socket, libc::AF_VSOCK, kind, 0)?)?;
            Ok("got one".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "perf_event_open",
        class: "perf_event_open",
        aim: "reach a large part of the kernel that exploits have come from",
        attempt: |_| {
            // `struct perf_event_attr`: a clock of the process, without the kernel.
            let mut attributes = [0_u64; 16];
            attributes[0] = 1 | (128 << 32);
            attributes[5] = 1 << 5 | 1 << 6;
            file(call!(
                SYS_perf_event_open,
                at(&mut attributes),
                0,
                -1,
                -1,
                0
            )?)?;
            Ok("counts".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "kexec",
        class: "kexec_load",
        aim: "replace the running kernel",
        // Without segments it takes away a kernel that is loaded.
        attempt: |_| {
            let mut flags = u64::MAX;
            match call!(SYS_kexec_load, 0, 17, at(&mut flags), 0) {
                Err(cause) if cause.raw_os_error() == Some(libc::EINVAL) => {
                    Ok("only the segments are wrong".to_owned())
                }
                answer => answer.map(|_| String::new()),
            }
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "init_module",
        class: "init_module",
        aim: "load code into the kernel",
        attempt: |_| {
            let mut module = [0_u8; 64];
            match call!(SYS_init_module, at(&mut module), 64, c"") {
                Err(cause) if cause.raw_os_error() == Some(libc::ENOEXEC) => {
                    Ok("only the module is wrong".to_owned())
                }
                answer => answer.map(|_| String::new()),
            }
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter, Part::Users, Part::BoundingSet],
        without_users: Without::Prevented,
    },
    Attack {
        name: "dmesg",
        class: "syslog",
        aim: "read the host's kernel log",
        attempt: |_| {
            const READ_ALL: i32 = 3;
            let mut buffer = [0_u8; 4096];
            let length = call!(SYS_syslog, READ_ALL, at(&mut buffer), 4096)?;
            Ok(format!("read {length} bytes"))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter, Part::Users, Part::BoundingSet],
        without_users: Without::Prevented,
    },
    Attack {
        name: "swapon",
        class: "swapon",
        aim: "have the host swap to a file of the container's, and read its memory there",
        attempt: |_| only_missing(call!(SYS_swapon, c"/missing", 0)),
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "quotactl",
        class: "quotactl",
        aim: "change the quotas of the host's file systems",
        attempt: |_| {
            const SYNC: u32 = 0x0080_0001 << 8;
            call!(SYS_quotactl, SYNC, 0, 0, 0)?;
            Ok("it answers".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "clock",
        class: "clock_adjtime",
        aim: "set the host's clock",
        // To the frequency that it has.
        attempt: |_| {
            // SAFETY: all-zero is a value of this structure of numbers.
            let mut clock: libc::timex = unsafe { std::mem::zeroed() };
            call!(SYS_adjtimex, at(&mut clock))?;
            clock.modes = libc::ADJ_FREQUENCY;
            call!(SYS_clock_adjtime, libc::CLOCK_REALTIME, at(&mut clock))?;
            Ok("set its frequency".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::BoundingSet, Part::Users],
        without_users: Without::Prevented,
    },
    #[cfg(target_arch = "x86_64")]
    Attack {
        name: "iopl",
        class: "iopl",
        aim: "drive the machine's hardware",
        attempt: |_| {
            call!(SYS_iopl, 3)?;
            Ok("may do input and output".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::BoundingSet, Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "audit",
        class: "NETLINK_AUDIT",
        aim: "read and write the host's audit log",
        attempt: |_| {
            file(call!(
                SYS_socket,
                libc::AF_NETLINK,
                libc::SOCK_RAW,
                libc::NETLINK_AUDIT
            )?)?;
            Ok("got a socket".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "TIOCSTI",
        class: "TIOCSTI",
        aim: "type into the shell that has the same terminal, as after su or enter",
        attempt: |_| {
            let terminal = terminal()?;
            let mut letter = b'x';
            call!(
                SYS_ioctl,
                terminal.as_raw_fd(),
                libc::TIOCSTI,
                at(&mut letter)
            )?;
            Ok("typed a letter".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "TIOCLINUX",
        class: "TIOCLINUX",
        aim: "select and paste on a virtual console, which types",
        attempt: |_| {
            const TIOCLINUX: u32 = 0x541c;
            let terminal = terminal()?;
            let mut paste = 3_u8;
            match call!(SYS_ioctl, terminal.as_raw_fd(), TIOCLINUX, at(&mut paste)) {
                Err(cause) if cause.raw_os_error() == Some(libc::ENOTTY) => {
                    Ok("only the terminal is not a virtual console".to_owned())
                }
                answer => answer.map(|_| "pasted".to_owned()),
            }
        },
        proof: Proof::Answer,
        stopped_by: &[Part::SystemCallFilter],
        without_users: Without::Prevented,
    },
    Attack {
        name: "fanotify",
        class: "fanotify",
        aim: "watch, and hold up, every file that the host opens in a file system",
        attempt: watch_file_system,
        proof: Proof::Answer,
        stopped_by: &[Part::Users],
        without_users: Without::Open("CAP_SYS_ADMIN watches file systems"),
    },
    Attack {
        name: "host name",
        class: "sethostname",
        aim: "rename the host",
        attempt: |_| {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
            let name = name.trim();
            if name != "throwaway" {
                return Err(io::Error::other("the name is the container's own"));
            }
            call!(SYS_sethostname, &text(name), name.len())?;
            Ok(format!("set {name}"))
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Own(runtime::Namespace::Uts), Part::Users],
        without_users: Without::Prevented,
    },
];

/// Takes a call that fails only because a file is missing for one that is permitted.
fn only_missing(answer: io::Result<i64>) -> io::Result<String> {
    match answer {
        Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => {
            Ok("only the file is missing".to_owned())
        }
        Err(cause) => Err(cause),
        Ok(_) => Err(io::Error::other("that cannot be")),
    }
}

fn open_by_handle(canary: &Canary) -> io::Result<String> {
    let bad = || io::Error::other("it is not a handle");
    let mut handle = Handle::read(canary.fact("handle")?).ok_or_else(bad)?;
    // A mount of the same file system will do.
    super::kernel::first(["/", "/shared", "/run/throwaway"], |path| {
        let root = File::open(path)?;
        let descriptor = call!(
            SYS_open_by_handle_at,
            root.as_raw_fd(),
            at(&mut handle),
            libc::O_RDONLY
        )?;
        io::read_to_string(file(descriptor)?)
    })
}

fn load_program(_: &Canary) -> io::Result<String> {
    const LOAD: i32 = 5;
    const TRACEPOINT: u64 = 5;
    // r0 = 0; exit
    let mut instructions = [0xb7_u64, 0x95];
    let mut licence = *b"MIT\0";
    let attributes = [
        TRACEPOINT | 2 << 32,
        usize::from(at(&mut instructions)) as u64,
        usize::from(at(&mut licence)) as u64,
    ];
    let mut attributes = attributes;
    file(call!(SYS_bpf, LOAD, at(&mut attributes), 24)?)?;
    Ok("loaded one".to_owned())
}

/// A terminal of a session of the attacker's own.
fn terminal() -> io::Result<File> {
    let main = match File::options().read(true).write(true).open("/dev/ptmx") {
        Err(_) => File::options()
            .read(true)
            .write(true)
            .open("/dev/pts/ptmx")?,
        Ok(main) => main,
    };
    let mut locked = 0_i32;
    call!(
        SYS_ioctl,
        main.as_raw_fd(),
        libc::TIOCSPTLCK,
        at(&mut locked)
    )?;
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let terminal = file(call!(
        SYS_ioctl,
        main.as_raw_fd(),
        libc::TIOCGPTPEER,
        flags
    )?)?;
    // A leader of a process group cannot begin a session; this process has a child
    // of its own do the rest, unless it can itself.
    let _ = Errno::result(call!(SYS_setsid).unwrap_or(-1) as i32);
    call!(SYS_ioctl, terminal.as_raw_fd(), libc::TIOCSCTTY, 0)?;
    std::mem::forget(main);
    Ok(terminal)
}

fn watch_file_system(_: &Canary) -> io::Result<String> {
    const CONTENT: u32 = 4;
    const ADD_FILE_SYSTEM: u32 = 0x101;
    const OPEN_PERMISSION: u64 = 0x1_0000;
    let group = file(call!(SYS_fanotify_init, CONTENT, libc::O_RDONLY)?)?;
    let path = c"/shared";
    let path = if std::path::Path::new("/shared").exists() {
        path
    } else {
        c"/run/throwaway"
    };
    call!(
        SYS_fanotify_mark,
        group.as_raw_fd(),
        ADD_FILE_SYSTEM,
        OPEN_PERMISSION,
        libc::AT_FDCWD,
        path
    )?;
    Ok("watches".to_owned())
}
