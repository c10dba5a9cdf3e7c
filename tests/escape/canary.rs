//! The canary: a process of the host with a secret, and all that containers must
//! not reach of a host, as harmless examples.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::errno::Errno;

/// The file on the host that holds the secret, for its root only.
pub const SECRET: &str = "/run/throwaway/canary/secret";
/// The file on the host that holds it for every user who can see the file.
pub const OPEN_SECRET: &str = "/run/throwaway/canary/open-secret";
/// The directory of the host that containers see read-only as [`SHARED_INSIDE`].
pub const SHARED: &str = "/run/throwaway/canary/shared";
/// See [`SHARED`].
pub const SHARED_INSIDE: &str = "/shared";
/// A second place of the same inside.
pub const SHARED_TWICE: &str = "/shared-twice";
/// The directory of the host that containers may write to as [`DROP_INSIDE`], and
/// that users of the host can reach.
pub const DROP: &str = "/run/throwaway/canary/drop";
/// See [`DROP`].
pub const DROP_INSIDE: &str = "/drop";
/// The file inside that describes the canary to attackers, without the secret.
pub const DESCRIPTION: &str = "/escape/canary";
/// The name of the process, of its abstract socket, of its message queue and of a
/// group of the host's.
pub const NAME: &str = "canary-of-escape";
/// The link of the host's network.
pub const LINK: &str = "canary0";
/// The number of a segment of System V shared memory.
const SEGMENT: libc::key_t = 0x0ca9_a71e;
const QUEUE: &CStr = c"/canary-of-escape";

/// What an attacker may know of the canary: numbers that an attacker could guess or
/// try out, one after the other.
pub struct Canary {
    facts: BTreeMap<String, String>,
}

impl Canary {
    /// Reads the description in the container's root, or that of the host.
    pub fn described() -> io::Result<Self> {
        let on_host = "/run/throwaway/canary/description";
        let text = fs::read_to_string(DESCRIPTION).or_else(|_| fs::read_to_string(on_host))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let facts = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self {
            facts: facts.collect(),
        }
    }

    /// One of the facts.
    pub fn fact(&self, name: &str) -> io::Result<&str> {
        let missing = || io::Error::other(format!("the host has no {name}"));
        self.facts.get(name).map(String::as_str).ok_or_else(missing)
    }

    /// One of the facts that is a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> io::Result<T> {
        let bad = |_| io::Error::other(format!("{name} is not a number"));
        self.fact(name)?.parse().map_err(bad)
    }

    /// The number of the shared memory.
    pub fn segment() -> libc::key_t {
        SEGMENT
    }

    /// The name of the message queue.
    pub fn queue() -> &'static CStr {
        QUEUE
    }
}

/// Is the canary until its standard input ends; prints its description, and an
/// empty line.
pub fn keep(token: &str) -> i32 {
    match keep_until_end(token) {
        Ok(()) => 0,
        Err(cause) => {
            eprintln!("cannot be the canary: {cause}");
            1
        }
    }
}

fn keep_until_end(token: &str) -> io::Result<()> {
    rustix::thread::set_name(c"canary-of-escap")?;
    let secret = fs::File::open(SECRET)?;
    let memory = token.as_bytes().to_vec();
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(NAME)?)?;
    fill_segment(token)?;
    open_queue()?;
    let mut facts = vec![
        ("pid", std::process::id().to_string()),
        ("length", token.len().to_string()),
        ("memory", (memory.as_ptr() as usize).to_string()),
        ("descriptor", secret.as_raw_fd().to_string()),
        ("handle", handle_of(&secret)?),
    ];
    if let Ok(key) = add_key(token) {
        facts.push(("key", key.to_string()));
    }
    if let Ok(null) = fs::metadata("/dev/null") {
        facts.push(("null", format!("{}:{}", null.dev(), null.ino())));
    }
    let disk = fs::metadata("/").map(|root| root.dev());
    if let Ok(device) = disk {
        facts.push(("disk", device.to_string()));
    }
    if let Ok(binfmt) = fs::metadata("/run/throwaway/canary/binfmt") {
        facts.push(("binfmt", binfmt.dev().to_string()));
    }
    for (key, value) in facts {
        println!("{key}={value}");
    }
    println!();
    io::stdout().flush()?;
    let answer = memory.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = (&client).write_all(&answer);
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    // SAFETY: the path is a string that ends.
    unsafe { libc::mq_unlink(QUEUE.as_ptr()) };
    drop(memory);
    Ok(())
}

/// Shared memory that every user may read. It goes with the host's IPC namespace.
fn fill_segment(token: &str) -> io::Result<()> {
    // SAFETY: takes numbers only.
    let id = Errno::result(unsafe { libc::shmget(SEGMENT, 4096, libc::IPC_CREAT | 0o666) })?;
    // SAFETY: the kernel chooses the address of a segment of 4096 bytes, and nothing
    // else in this process uses it.
    unsafe {
        let address = libc::shmat(id, std::ptr::null(), 0);
        if address as isize == -1 {
            return Err(io::Error::last_os_error());
        }
        std::ptr::copy_nonoverlapping(token.as_ptr(), address.cast(), token.len());
    }
    Ok(())
}

fn open_queue() -> io::Result<()> {
    // SAFETY: takes a number only.
    let mask = unsafe { libc::umask(0) };
    // SAFETY: the path is a string that ends; no attributes are given.
    let queue = unsafe {
        let flags = libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC;
        libc::mq_open(
            QUEUE.as_ptr(),
            flags,
            0o666,
            std::ptr::null::<libc::mq_attr>(),
        )
    };
    // SAFETY: takes a number only.
    unsafe { libc::umask(mask) };
    Errno::result(queue)?;
    Ok(())
}

/// A key in a session keyring of its own, so that it goes with the process; every
/// process of its user may read it.
fn add_key(token: &str) -> io::Result<i64> {
    const SESSION: i32 = -3;
    const JOIN_SESSION: i32 = 1;
    const SET_PERMISSIONS: i32 = 5;
    const ALL_OF_POSSESSOR_AND_USER: u32 = 0x3f3f_0000;
    // SAFETY: the name, the description and the payload are strings that outlive the
    // calls; the rest are numbers.
    unsafe {
        Errno::result(libc::syscall(libc::SYS_keyctl, JOIN_SESSION, 0))?;
        let key = Errno::result(libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            c"canary-of-escape".as_ptr(),
            token.as_ptr(),
            token.len(),
            SESSION,
        ))?;
        let permissions = ALL_OF_POSSESSOR_AND_USER;
        Errno::result(libc::syscall(
            libc::SYS_keyctl,
            SET_PERMISSIONS,
            key,
            permissions,
        ))?;
        Ok(key)
    }
}

/// A file's handle (`man 2 open_by_handle_at`).
#[repr(C)]
pub struct Handle {
    pub length: u32,
    pub kind: i32,
    pub bytes: [u8; 128],
}

impl Handle {
    /// Reads what [`handle_of`] wrote.
    pub fn read(text: &str) -> Option<Self> {
        let (kind, digits) = text.split_once(':')?;
        let mut handle = Self {
            length: u32::try_from(digits.len() / 2).ok()?,
            kind: kind.parse().ok()?,
            bytes: [0; 128],
        };
        for (number, byte) in handle.bytes.iter_mut().enumerate().take(digits.len() / 2) {
            *byte = u8::from_str_radix(digits.get(2 * number..2 * number + 2)?, 16).ok()?;
        }
        Some(handle)
    }
}

fn handle_of(file: &fs::File) -> io::Result<String> {
    let mut handle = Handle {
        length: 128,
        kind: 0,
        bytes: [0; 128],
    };
    let mut mount = 0;
    // SAFETY: the kernel writes at most as many bytes as the handle says it has, and
    // one number.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            c"".as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    })?;
    let bytes = handle.bytes.iter().take(handle.length as usize);
    let digits: String = bytes.map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}:{digits}", handle.kind))
}
