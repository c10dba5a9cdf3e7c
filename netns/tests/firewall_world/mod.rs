//! A host with containers, a router next to it, and the outside beyond that:
//!
//! ```text
//! outside ───────────── router ───────────── host ─────── container web
//!  198.51.100.2    .1          192.0.2.2    .1   10.233.1.1        .2
//!  2001:db8:2::2  ::1      2001:db8:1::2   ::1   fd00:1::1        ::2
//! ```
//!
//! The router knows nothing of the containers' addresses.

#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags};
use netlink_packet_route::link::{InfoData, InfoVeth};
use netlink_packet_route::route::RouteScope;
use netns::firewall::{self, Firewall, Forward, Protocol, Spec, SysctlChange};
use netns::{ContainerName, HostLink};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, ipproto};

use crate::common::{Namespace, name};

/// Timeout for a packet. Only a failure takes as long.
const PATIENCE: Duration = Duration::from_secs(5);

pub const OUTSIDE: &str = "198.51.100.2";
pub const OUTSIDE6: &str = "2001:db8:2::2";
pub const HOST: &str = "192.0.2.1";
pub const HOST6: &str = "2001:db8:1::1";

pub struct World {
    pub outside: Namespace,
    pub router: Namespace,
    pub host: Namespace,
    pub directory: PathBuf,
}

impl World {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = format!("netns-firewall-{}-{number}", std::process::id());
        let world = Self {
            outside: Namespace::new(),
            router: Namespace::new(),
            host: Namespace::new(),
            directory: std::env::temp_dir().join(directory),
        };
        for namespace in [&world.outside, &world.router, &world.host] {
            namespace.run(|| set_up("lo"));
        }
        connect(
            (
                &world.router,
                "out",
                &["198.51.100.1/24", "2001:db8:2::1/64"],
            ),
            (
                &world.outside,
                "eth0",
                &["198.51.100.2/24", "2001:db8:2::2/64"],
            ),
        );
        connect(
            (&world.host, "uplink", &["192.0.2.1/24", "2001:db8:1::1/64"]),
            (&world.router, "in", &["192.0.2.2/24", "2001:db8:1::2/64"]),
        );
        world.outside.run(|| {
            add_route("0.0.0.0/0", Some("198.51.100.1"), "eth0");
            add_route("::/0", Some("2001:db8:2::1"), "eth0");
        });
        world.router.run(|| {
            write_sysctl("net/ipv4/ip_forward", "1");
            write_sysctl("net/ipv6/conf/all/forwarding", "1");
        });
        world.host.run(|| {
            add_route("0.0.0.0/0", Some("192.0.2.2"), "uplink");
            add_route("::/0", Some("2001:db8:1::2"), "uplink");
        });
        world
    }

    /// A container with both addresses of the network with this number.
    pub fn container(&self, container: &str, number: u8) -> Container {
        let made = Container::new(container, number);
        connect(
            (
                &self.host,
                &made.link,
                &[
                    &format!("10.233.{number}.1/32"),
                    &format!("fd00:{number}::1/128"),
                ],
            ),
            (
                &made.namespace,
                "eth0",
                &[
                    &format!("{}/32", made.address),
                    &format!("{}/128", made.address6),
                ],
            ),
        );
        made.namespace.run(|| {
            for (gateway, everything) in [
                (format!("10.233.{number}.1"), "0.0.0.0/0"),
                (format!("fd00:{number}::1"), "::/0"),
            ] {
                add_route(&IpNet::from(ip(&gateway)).to_string(), None, "eth0");
                add_route(everything, Some(&gateway), "eth0");
            }
        });
        self.host.run(|| {
            add_route(&format!("{}/32", made.address), None, &made.link);
            add_route(&format!("{}/128", made.address6), None, &made.link);
        });
        made
    }

    /// A bridge br0 with the addresses 10.0.0.1/24 and fd01::1/64.
    pub fn add_bridge(&self) {
        self.host.run(|| {
            with_netlink(async |netlink| {
                let bridge = LinkBridge::new("br0").build();
                netlink
                    .link()
                    .add(bridge)
                    .execute()
                    .await
                    .expect("a bridge");
            });
            add_address("br0", "10.0.0.1/24");
            add_address("br0", "fd01::1/64");
            set_up("br0");
        });
    }

    /// A container on br0. Its addresses end in this number.
    pub fn container_on_bridge(&self, container: &str, number: u8) -> Container {
        let mut made = Container::new(container, number);
        let port = format!("vb-{container}");
        made.link = "br0".to_owned();
        made.address = ip(&format!("10.0.0.{number}"));
        made.address6 = ip(&format!("fd01::{number}"));
        made.prefixes = (24, 64);
        connect(
            (&self.host, &port, &[]),
            (
                &made.namespace,
                "eth0",
                &[
                    &format!("{}/24", made.address),
                    &format!("{}/64", made.address6),
                ],
            ),
        );
        made.namespace.run(|| {
            add_route("0.0.0.0/0", Some("10.0.0.1"), "eth0");
            add_route("::/0", Some("fd01::1"), "eth0");
        });
        self.host.run(|| {
            with_netlink(async |netlink| {
                let bridge = index(netlink, "br0").await;
                let message = LinkUnspec::new_with_name(&port).controller(bridge).build();
                netlink
                    .link()
                    .set(message)
                    .execute()
                    .await
                    .expect("a bridge's port");
            });
        });
        made
    }

    pub fn apply(&self, spec: &Spec) -> Result<Vec<SysctlChange>, firewall::Error> {
        let plan = firewall::plan(spec);
        self.host
            .run(|| opened().apply(&spec.container, &plan, &self.directory))
    }

    pub fn has(&self, spec: &Spec) -> bool {
        let has = || opened().has(&spec.container, &firewall::plan(spec));
        self.host.run(has).expect("the kernel answers")
    }

    pub fn remove(&self, container: &str) -> bool {
        self.host
            .run(|| opened().remove(&name(container), &self.directory))
            .expect("remove")
    }

    /// Waits until the kernel has removed the link of a container that has ended.
    pub fn wait_for_end_of(&self, link: &str) {
        let path = format!("/proc/sys/net/ipv4/conf/{link}");
        self.wait_until("the link goes", || !Path::new(&path).exists());
    }

    /// Polls, since there is no event to wait for.
    fn wait_until(&self, what: &str, mut done: impl FnMut() -> bool + Send) {
        let end = Instant::now() + PATIENCE;
        self.host.run(|| {
            while !done() {
                assert!(Instant::now() < end, "waited in vain until {what}");
                thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// Rules, sysctls and routes of the host.
    pub fn state(&self) -> State {
        self.host.run(|| State {
            rules: ruleset(),
            sysctls: sysctls(),
            routes: local_routes_to_loopback6(),
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

pub struct Container {
    pub namespace: Namespace,
    pub name: ContainerName,
    pub link: String,
    pub address: IpAddr,
    pub address6: IpAddr,
    /// Lengths of the prefixes that it reaches without the host.
    prefixes: (u8, u8),
}

impl Container {
    fn new(container: &str, number: u8) -> Self {
        let namespace = Namespace::new();
        namespace.run(|| set_up("lo"));
        let name = name(container);
        Self {
            namespace,
            link: HostLink::veth(&name).interface().to_owned(),
            name,
            address: ip(&format!("10.233.{number}.2")),
            address6: ip(&format!("fd00:{number}::2")),
            prefixes: (32, 128),
        }
    }

    /// Addresses of both families, without ports and NAT.
    pub fn spec(&self) -> Spec {
        let (IpAddr::V4(address), IpAddr::V6(address6)) = (self.address, self.address6) else {
            panic!("one address of each family");
        };
        Spec {
            container: self.name.clone(),
            link: self.link.clone(),
            address: Some(Ipv4Net::new(address, self.prefixes.0).expect("a prefix")),
            address6: Some(Ipv6Net::new(address6, self.prefixes.1).expect("a prefix")),
            forwards: Vec::new(),
            bind_host: Vec::new(),
            nat: false,
        }
    }

    /// TCP and UDP of a port of the host, to another of the container.
    pub fn forwarding(&self, host_port: u16, container_port: u16) -> Spec {
        Spec {
            forwards: both(host_port, container_port),
            ..self.spec()
        }
    }

    pub fn with_nat(&self) -> Spec {
        Spec {
            nat: true,
            ..self.spec()
        }
    }

    pub fn serve(&self, port: u16) -> Service {
        Service::new(&self.namespace, port)
    }
}

pub fn both(host_port: u16, container_port: u16) -> Vec<Forward> {
    [Protocol::Tcp, Protocol::Udp]
        .map(|protocol| Forward {
            protocol,
            host_port,
            container_port,
        })
        .into()
}

/// The addresses of a container that another process created.
pub fn detached(container: &str, number: u8) -> Container {
    Container::new(container, number)
}

/// Listens on a port of all addresses in a namespace.
pub struct Service {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Service {
    pub fn new(namespace: &Namespace, port: u16) -> Self {
        namespace.run(|| Self {
            tcp: TcpListener::bind(("::", port)).expect("listen"),
            udp: UdpSocket::bind(("::", port)).expect("bind"),
        })
    }

    /// A connection and a datagram from `client` to `address` and port arrive
    /// here, with their content, and so do the answers. Returns the source that
    /// they had here.
    pub fn reached_from(&self, client: &Namespace, address: &str, port: u16) -> IpAddr {
        let target = SocketAddr::new(ip(address), port);
        let over_tcp = self.tcp_from(client, target);
        let over_udp = self.udp_from(client, target);
        assert_eq!(over_tcp, over_udp, "sources at {target}");
        over_tcp
    }

    /// Both ends of a connection.
    pub fn connection_from(
        &self,
        client: &Namespace,
        address: &str,
        port: u16,
    ) -> (TcpStream, TcpStream) {
        let target = SocketAddr::new(ip(address), port);
        let client = client.run(|| TcpStream::connect_timeout(&target, PATIENCE).expect("connect"));
        client.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let (server, _) = self.tcp.accept().expect("accept");
        (client, server)
    }

    fn tcp_from(&self, client: &Namespace, target: SocketAddr) -> IpAddr {
        let mut client = client.run(|| {
            TcpStream::connect_timeout(&target, PATIENCE)
                .unwrap_or_else(|error| panic!("connect to {target}: {error}"))
        });
        let (mut server, source) = self.tcp.accept().expect("accept");
        exchange(&mut client, &mut server, b"question");
        exchange(&mut server, &mut client, b"answer");
        source.ip().to_canonical()
    }

    fn udp_from(&self, client: &Namespace, target: SocketAddr) -> IpAddr {
        let client = client.run(|| datagram_socket(target));
        self.udp_through(&client, target)
    }

    pub fn udp_through(&self, client: &UdpSocket, target: SocketAddr) -> IpAddr {
        let mut buffer = [0; 16];
        client.send(b"question").expect("send");
        self.udp.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let (length, source) = self
            .udp
            .recv_from(&mut buffer)
            .unwrap_or_else(|error| panic!("no datagram came by {target}: {error}"));
        assert_eq!(&buffer[..length], b"question");
        self.udp.send_to(b"answer", source).expect("answer");
        let length = client
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("no answer came from {target}: {error}"));
        assert_eq!(&buffer[..length], b"answer");
        source.ip().to_canonical()
    }
}

/// A socket that is connected to `target`.
pub fn datagram_socket(target: SocketAddr) -> UdpSocket {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => [0; 16].into(),
    };
    let socket = UdpSocket::bind((any, 0)).expect("bind");
    socket.connect(target).expect("a route");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket
}

fn exchange(from: &mut TcpStream, to: &mut TcpStream, text: &[u8]) {
    from.write_all(text).expect("write");
    to.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut buffer = vec![0; text.len()];
    to.read_exact(&mut buffer).expect("the content arrives");
    assert_eq!(buffer, text);
}

/// The target itself refuses.
pub fn assert_refused(client: &Namespace, address: &str, port: u16) {
    let target = SocketAddr::new(ip(address), port);
    client.run(|| {
        let tcp = TcpStream::connect_timeout(&target, PATIENCE).expect_err("nothing listens");
        assert_eq!(tcp.kind(), ErrorKind::ConnectionRefused, "tcp {target}");
        let socket = datagram_socket(target);
        socket.send(b"question").expect("send");
        let udp = socket.recv(&mut [0; 16]).expect_err("nothing listens");
        assert_eq!(udp.kind(), ErrorKind::ConnectionRefused, "udp {target}");
    });
}

/// The firewall of the calling thread's namespace.
pub fn opened() -> Firewall {
    Firewall::open().expect("a socket")
}

#[derive(Debug, PartialEq, Eq)]
pub struct State {
    pub rules: String,
    pub sysctls: Vec<(PathBuf, String)>,
    pub routes: Vec<String>,
}

/// As nft lists it.
pub fn ruleset() -> String {
    nft(&["list", "ruleset"])
}

pub fn nft(arguments: &[&str]) -> String {
    let output = Command::new("nft").args(arguments).output().expect("nft");
    assert!(output.status.success(), "nft {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Feeds nft a script.
pub fn nft_script(text: &str) {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("nft");
    let mut stdin = nft.stdin.take().expect("its input");
    stdin.write_all(text.as_bytes()).expect("write");
    drop(stdin);
    assert!(nft.wait().expect("nft").success(), "{text}");
}

/// All files below /proc/sys/net/ipv4 and ipv6, without counters and random
/// values.
fn sysctls() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for root in ["ipv4", "ipv6"] {
        collect(&Path::new("/proc/sys/net").join(root), &mut found);
    }
    found.retain(|(path, _)| !path.ends_with("stable_secret"));
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(value) = fs::read_to_string(&path) {
            found.push((path, value));
        }
    }
}

pub fn read_sysctl(path: &str) -> String {
    let value = fs::read_to_string(Path::new("/proc/sys").join(path)).expect("a sysctl");
    value.trim_end().to_owned()
}

pub fn sysctl_exists(path: &str) -> bool {
    Path::new("/proc/sys").join(path).exists()
}

pub fn write_sysctl(path: &str, value: &str) {
    fs::write(Path::new("/proc/sys").join(path), value).expect("set a sysctl");
}

/// Lines of /proc/thread-self/net/ipv6_route, as the kernel writes them.
fn local_routes_to_loopback6() -> Vec<String> {
    let routes = fs::read_to_string("/proc/thread-self/net/ipv6_route").expect("routes");
    let loopback = format!("{:032x} 80 ", 1);
    let of_loopback = routes.lines().filter(|line| line.starts_with(&loopback));
    // Without the counters of use.
    of_loopback
        .filter_map(|line| line.split_whitespace().last().map(str::to_owned))
        .collect()
}

type End<'a> = (&'a Namespace, &'a str, &'a [&'a str]);

/// A veth pair with addresses, both ends up.
fn connect(one: End<'_>, other: End<'_>) {
    let peer_namespace = other.0.fd().as_raw_fd();
    one.0.run(|| {
        with_netlink(async |netlink| {
            let peer = LinkUnspec::new_with_name(other.1)
                .setns_by_fd(peer_namespace)
                .build();
            let pair = LinkVeth::new(one.1, other.1)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
                .build();
            netlink
                .link()
                .add(pair)
                .execute()
                .await
                .expect("a veth pair");
        });
    });
    for (namespace, link, addresses) in [one, other] {
        namespace.run(|| {
            set_up(link);
            for address in addresses {
                add_address(link, address);
            }
        });
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is an address"))
}

pub fn remove_link(link: &str) {
    with_netlink(async |netlink| {
        let index = index(netlink, link).await;
        netlink.link().del(index).execute().await.expect("removed");
    });
}

fn set_up(link: &str) {
    with_netlink(async |netlink| {
        let message = LinkUnspec::new_with_name(link).up().build();
        netlink.link().set(message).execute().await.expect("up");
    });
}

pub fn add_address(link: &str, address: &str) {
    let address: IpNet = address.parse().expect("an address");
    with_netlink(async |netlink| {
        let index = index(netlink, link).await;
        let mut request = netlink
            .address()
            .add(index, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            // Otherwise it would be unusable for a second.
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.execute().await.expect("an address");
    });
}

pub fn remove_address(link: &str, address: &str) {
    let address: IpNet = address.parse().expect("an address");
    with_netlink(async |netlink| {
        let index = index(netlink, link).await;
        let mut addresses = netlink
            .address()
            .get()
            .set_link_index_filter(index)
            .execute();
        while let Some(message) = addresses.try_next().await.expect("addresses") {
            if message
                .attributes
                .contains(&AddressAttribute::Address(address.addr()))
            {
                netlink
                    .address()
                    .del(message)
                    .execute()
                    .await
                    .expect("removed");
            }
        }
    });
}

pub fn add_route(destination: &str, gateway: Option<&str>, link: &str) {
    let destination: IpNet = destination.parse().expect("a destination");
    with_netlink(async |netlink| {
        let mut route = RouteMessageBuilder::<IpAddr>::new()
            .output_interface(index(netlink, link).await)
            .destination_prefix(destination.addr(), destination.prefix_len())
            .expect("a prefix");
        route = match gateway {
            Some(gateway) => route.gateway(ip(gateway)).expect("of one family"),
            None => route.scope(RouteScope::Link),
        };
        netlink
            .route()
            .add(route.build())
            .execute()
            .await
            .expect("a route");
    });
}

async fn index(netlink: &Handle, link: &str) -> u32 {
    let mut links = netlink.link().get().match_name(link).execute();
    let found = links.try_next().await.expect("links").expect("the link");
    found.header.index
}

fn with_netlink(work: impl AsyncFnOnce(&Handle)) {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime")
        .block_on(async {
            let (connection, netlink, _) = rtnetlink::new_connection().expect("a socket");
            tokio::spawn(connection);
            work(&netlink).await;
        });
}

/// A request from `client` to `target` arrives at a port in `server`. Fails if the
/// kernel has no SCTP.
pub fn sctp_exchange(
    client: &Namespace,
    server: &Namespace,
    target: SocketAddr,
    port: u16,
) -> Result<(), Errno> {
    let socket = |address: SocketAddr| {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        rustix::net::socket(family, SocketType::STREAM, Some(ipproto::SCTP))
    };
    let any = SocketAddr::new([0; 16].into(), port);
    let listener = server.run(|| {
        let listener = socket(any)?;
        rustix::net::bind(&listener, &any)?;
        rustix::net::listen(&listener, 1)?;
        Ok::<_, Errno>(TcpListener::from(listener))
    })?;
    let mut client = client.run(|| {
        let client = socket(target)?;
        rustix::net::connect(&client, &target)?;
        Ok::<_, Errno>(TcpStream::from(client))
    })?;
    let (mut server, _) = listener.accept().expect("accept");
    exchange(&mut client, &mut server, b"question");
    exchange(&mut server, &mut client, b"answer");
    Ok(())
}
