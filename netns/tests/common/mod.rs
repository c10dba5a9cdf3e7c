//! Network namespaces of a test's own, that die with it.

#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    fs::File,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    thread,
    time::Duration,
};

use netns::{ContainerName, Spec, Step, Veth};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// How long a packet between two namespaces of one machine may take. It is
/// waited for, so only a failure takes this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A network namespace. It lives as long as this, or a thread or socket in it.
pub struct Namespace(File);

impl Namespace {
    pub fn new() -> Self {
        let made = thread::spawn(Self::enter_new);
        made.join().expect("a network namespace")
    }

    /// Leaves the calling thread in the namespace that it makes.
    pub fn enter_new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes network namespaces, which needs root"
        );
        // SAFETY: what must not be unshared in a program with threads is their
        // table of descriptors; this unshares the network alone.
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

    /// The same host with one more container. The first has to be kept, or
    /// the kernel takes its links from the host, too, when it gets round to it.
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
        let host: IpAddr = host.parse().expect("an address");
        let container: IpAddr = container.parse().expect("an address");
        assert_datagram(&self.host, &self.container, container, host);
        assert_datagram(&self.container, &self.host, host, container);
        assert_connection(&self.host, &self.container, container);
        assert_connection(&self.container, &self.host, host);
    }
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
    let (length, from) = server.recv_from(&mut buffer).expect("a datagram arrives");
    assert_eq!(&buffer[..length], b"ping");
    assert_eq!(from.ip(), source, "source of a datagram to {address}");

    server.send_to(b"pong", from).expect("send to the client");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = client.recv(&mut buffer).expect("the answer arrives");
    assert_eq!(&buffer[..length], b"pong");
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

pub fn spec(container: &str, veth: Veth) -> Spec {
    Spec {
        container: name(container),
        veth: Some(veth),
    }
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
