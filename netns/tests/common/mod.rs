//! Network namespaces that end with a test.

#![allow(dead_code, reason = "each test program uses its part")]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netns::{ContainerName, InterfaceName, Spec, Step, Veth};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// Timeout for a packet between two namespaces of one machine. Only a failure
/// takes as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A network namespace. It exists as long as this, or a thread or socket in it.
pub struct Namespace(File);

impl Namespace {
    pub fn new() -> Self {
        let made = thread::spawn(Self::enter_new);
        made.join().expect("a network namespace")
    }

    /// Creates a namespace and leaves the calling thread in it.
    pub fn enter_new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes network namespaces, which needs root"
        );
        // SAFETY: threads must not unshare their table of descriptors; this
        // unshares the network only.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("a network namespace");
        Self(File::open("/proc/thread-self/ns/net").expect("the thread's namespace"))
    }

    /// Runs `work` on a thread in this namespace. Sockets that it returns stay
    /// in the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.fd(), Some(LinkNameSpaceType::Network))
                    .expect("entering the test's namespace");
                work()
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A host and a container next to it, both without any network.
pub struct World {
    pub host: Arc<Namespace>,
    pub container: Namespace,
}

impl World {
    pub fn new() -> Self {
        Self {
            host: Arc::new(Namespace::new()),
            container: Namespace::new(),
        }
    }

    /// The same host with one more container. The first has to be kept, or the
    /// kernel removes its links from the host at some later time.
    pub fn with_another_container(&self) -> Self {
        Self {
            host: Arc::clone(&self.host),
            container: Namespace::new(),
        }
    }

    /// Plans and applies on the host.
    pub fn apply(&self, spec: &Spec) -> Result<Vec<Step>, netns::Error> {
        let plan = netns::plan(spec);
        self.host.run(|| netns::apply(&plan, self.container.fd()))?;
        Ok(plan)
    }

    /// Datagrams and a connection in both directions, to these addresses.
    pub fn assert_traffic(&self, host: &str, container: &str) {
        assert_traffic((&self.host, host), (&self.container, container));
    }
}

/// Datagrams and a connection in both directions, between two namespaces with
/// these addresses.
pub fn assert_traffic(one: (&Namespace, &str), other: (&Namespace, &str)) {
    let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let (one, one_address) = (one.0, address(one.1));
    let (other, other_address) = (other.0, address(other.1));
    assert_datagram(one, other, other_address, one_address);
    assert_datagram(other, one, one_address, other_address);
    assert_connection(one, other, other_address);
    assert_connection(other, one, one_address);
}

/// One datagram from `client` to `address` in `server`, seen to come from
/// `source`, and an answer.
fn assert_datagram(client: &Namespace, server: &Namespace, address: IpAddr, source: IpAddr) {
    let server = server.run(|| UdpSocket::bind((address, 0)).expect("bind in the server"));
    let target = server.local_addr().expect("a bound address");
    let client = client.run(|| {
        let client = UdpSocket::bind(SocketAddr::new(unspecified(address), 0)).expect("bind");
        client.connect(target).expect("a route to the server");
        client
    });
    let mut buffer = [0; 16];

    client.send(b"ping").expect("send to the server");
    server.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let (length, from) =
        uninterrupted(|| server.recv_from(&mut buffer)).expect("a datagram arrives");
    assert_eq!(&buffer[..length], b"ping");
    assert_eq!(from.ip(), source, "source of a datagram to {address}");

    server.send_to(b"pong", from).expect("send to the client");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = uninterrupted(|| client.recv(&mut buffer)).expect("the answer arrives");
    assert_eq!(&buffer[..length], b"pong");
}

/// Retries a wait with a timeout, which also ends when the process is stopped and
/// continued (signal(7)).
fn uninterrupted<T>(mut receive: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match receive() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return received,
        }
    }
}

fn assert_connection(client: &Namespace, server: &Namespace, address: IpAddr) {
    let listener = server.run(|| TcpListener::bind((address, 0)).expect("bind in the server"));
    let target = listener.local_addr().expect("a bound address");
    let mut client = client.run(|| TcpStream::connect_timeout(&target, PATIENCE).expect("connect"));
    let (mut server, _) = listener.accept().expect("accept");
    client.write_all(b"ping").expect("write");
    server.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut buffer = [0; 4];
    server.read_exact(&mut buffer).expect("the payload arrives");
    assert_eq!(&buffer, b"ping");
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    }
}

pub fn name(name: &str) -> ContainerName {
    ContainerName::new(name).expect("a container's name")
}

pub fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).expect("an interface's name")
}

/// A veth pair only, which needs no run directory.
pub fn spec(container: &str, veth: Veth) -> Spec {
    Spec {
        veth: Some(veth),
        ..Spec::new(name(container), "/nonexistent")
    }
}

/// A directory of a test, removed with it.
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("netns-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A run directory with the directory of one container.
    pub fn with(container: &str) -> Self {
        let directory = Self::new();
        fs::create_dir(directory.0.join(container)).expect("a directory");
        directory
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Gives the calling thread, and those that it starts, mounts of their own.
pub fn private_mounts() {
    // SAFETY: threads must not unshare their table of descriptors; this unshares
    // mounts, root and working directory.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("a mount namespace");
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .expect("private mounts");
}

/// Runs ip(8) with these words in the namespace of the calling thread, and
/// returns what it prints.
pub fn ip(words: &str) -> String {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .expect("ip of iproute2");
    assert!(output.status.success(), "ip {words}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Moves a link to another namespace.
pub fn move_link(from: &Namespace, link: &str, to: &Namespace) {
    let path = format!("/proc/{}/fd/{}", std::process::id(), to.fd().as_raw_fd());
    from.run(|| ip(&format!("link set {link} netns {path}")));
}

/// Everything in the namespace of the calling thread: links with their addresses,
/// routes of all tables, and the sysctls of links.
pub fn everything() -> String {
    let mut text = ip("addr");
    for family in ["-4", "-6"] {
        text += &ip(&format!("{family} route show table all"));
    }
    for kind in ["ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh"] {
        text += &sysctls(&Path::new("/proc/sys/net").join(kind));
    }
    text
}

fn sysctls(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("sysctls");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a sysctl").path())
        .collect();
    paths.sort();
    let lines = paths.iter().map(|path| {
        if path.is_dir() {
            sysctls(path)
        } else {
            let value = fs::read_to_string(path).unwrap_or_default();
            format!("{} = {value}", path.display())
        }
    });
    lines.collect()
}

/// Waits until `look` returns this, for what the kernel does after its answer,
/// such as noticing a carrier.
pub fn assert_becomes(expected: &str, look: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while look() != expected {
        if Instant::now() > deadline {
            pretty_assert_eq(&look(), expected);
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn pretty_assert_eq(left: &str, right: &str) {
    let missing: Vec<&str> = right
        .lines()
        .filter(|line| !left.lines().any(|other| other == *line))
        .collect();
    let added: Vec<&str> = left
        .lines()
        .filter(|line| !right.lines().any(|other| other == *line))
        .collect();
    assert!(left == right, "missing: {missing:#?}, added: {added:#?}");
}

pub fn veth4(host: Option<&str>, local: Option<&str>) -> Veth {
    Veth {
        host_address: host.map(|address| address.parse().expect("an address")),
        local_address: local.map(|address| address.parse().expect("an address")),
        ..Veth::default()
    }
}

pub fn veth6(host: Option<&str>, local: Option<&str>) -> Veth {
    Veth {
        host_address6: host.map(|address| address.parse().expect("an address")),
        local_address6: local.map(|address| address.parse().expect("an address")),
        ..Veth::default()
    }
}
