//! What crosses between networks: payloads, compared on both ends.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, ipproto};

use super::{Host, Network};

/// A transport protocol.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    Tcp,
    Udp,
    /// One stream of it (`man 7 sctp`), which reads and writes as TCP does.
    Sctp,
}

impl Protocol {
    /// Why the kernel has no sockets of this protocol, if so.
    pub fn is_available(self) -> io::Result<()> {
        match self {
            Self::Tcp | Self::Udp => Ok(()),
            Self::Sctp => sctp_socket(AddressFamily::INET6).map(drop),
        }
    }
}

fn sctp_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let protocol = Some(ipproto::SCTP);
    Ok(net::socket_with(
        family,
        SocketType::STREAM,
        flags,
        protocol,
    )?)
}

/// How long a packet may take. Only a failure takes this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than a segment, and less than a socket buffers.
const TCP_PAYLOAD: usize = 20_000;

/// Less than any link's MTU.
const UDP_PAYLOAD: usize = 1_000;

impl Host {
    /// Sends a payload from `client` to the address `to`, where a server on
    /// port `port` of `server` has to get it and to answer. The client's
    /// address as the server sees it.
    pub fn exchange(
        &self,
        protocol: Protocol,
        client: Network<'_>,
        to: &str,
        (server, port): (Network<'_>, u16),
    ) -> IpAddr {
        self.try_exchange(protocol, client, to, (server, port))
            .unwrap_or_else(|error| {
                panic!("{protocol:?} from {client:?} to {to}, {server:?}: {error}")
            })
    }

    /// The same with what has to be refused.
    pub fn refuse(
        &self,
        protocol: Protocol,
        client: Network<'_>,
        to: &str,
        server: (Network<'_>, u16),
    ) {
        let seen = self.try_exchange(protocol, client, to, server);
        let error = seen.expect_err("refused");
        assert_eq!(
            error.kind(),
            io::ErrorKind::ConnectionRefused,
            "{to}: {error}"
        );
    }

    /// Says, on a link, that there is a router (RFC 4861, section 4.2).
    pub fn advertise_router(&self, network: Network<'_>, link: &str) {
        // Type, code, checksum (the kernel's), hop limit, flags, lifetime in
        // seconds, and two times that are not specified.
        let mut message = [0; 16];
        message[0] = 134;
        message[4] = 64;
        message[6..8].copy_from_slice(&1800_u16.to_be_bytes());
        let send = || -> io::Result<usize> {
            let protocol = Some(ipproto::ICMPV6);
            let socket = net::socket(AddressFamily::INET6, SocketType::RAW, protocol)?;
            // Else it could have come from elsewhere, and is not heard.
            net::sockopt::set_ipv6_multicast_hops(&socket, 255)?;
            let link = net::netdevice::name_to_index(&socket, link)?;
            let all_nodes = SocketAddrV6::new("ff02::1".parse().expect("valid"), 0, 0, link);
            Ok(net::sendto(
                &socket,
                &message,
                SendFlags::empty(),
                &all_nodes,
            )?)
        };
        self.within(network, send).expect("it is sent");
    }

    fn try_exchange(
        &self,
        protocol: Protocol,
        client: Network<'_>,
        to: &str,
        (server, port): (Network<'_>, u16),
    ) -> io::Result<IpAddr> {
        let to: SocketAddr = to.parse().expect("an address and a port");
        let listen = format!("[::]:{port}");
        match protocol {
            Protocol::Tcp => {
                let listener = self.within(server, || when_free(|| TcpListener::bind(&listen)))?;
                let client = self.within(client, || TcpStream::connect_timeout(&to, PATIENCE))?;
                over_tcp(&listener, client)
            }
            Protocol::Sctp => {
                let listener = self.within(server, || -> io::Result<_> {
                    let socket = sctp_socket(AddressFamily::INET6)?;
                    let any: SocketAddr = listen.parse().expect("an address and a port");
                    net::bind(&socket, &any)?;
                    net::listen(&socket, 1)?;
                    Ok(TcpListener::from(socket))
                })?;
                let family = match to {
                    SocketAddr::V4(_) => AddressFamily::INET,
                    SocketAddr::V6(_) => AddressFamily::INET6,
                };
                let client = self.within(client, || -> io::Result<_> {
                    let socket = sctp_socket(family)?;
                    net::connect(&socket, &to)?;
                    Ok(TcpStream::from(socket))
                })?;
                over_tcp(&listener, client)
            }
            Protocol::Udp => {
                let server = self.within(server, || when_free(|| UdpSocket::bind(&listen)))?;
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let client = self.within(client, || UdpSocket::bind(any))?;
                client.connect(to)?;
                over_udp(&server, &client)
            }
        }
    }
}

/// Binds a port that an earlier exchange may have had: a process that another
/// test is just starting holds a copy of its socket until it executes.
fn when_free<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let start = Instant::now();
    loop {
        match bind() {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && start.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            answer => return answer,
        }
    }
}

fn over_tcp(listener: &TcpListener, mut client: TcpStream) -> io::Result<IpAddr> {
    // Another server may have answered.
    listener.set_nonblocking(true)?;
    let (mut server, seen) = listener.accept()?;
    server.set_nonblocking(false)?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(PATIENCE))?;
        end.set_write_timeout(Some(PATIENCE))?;
    }
    carry(&mut client, &mut server, b'?')?;
    carry(&mut server, &mut client, b'!')?;
    Ok(seen.ip().to_canonical())
}

fn carry(from: &mut TcpStream, to: &mut TcpStream, byte: u8) -> io::Result<()> {
    let sent = payload(byte, TCP_PAYLOAD);
    from.write_all(&sent)?;
    let mut received = vec![0; TCP_PAYLOAD];
    to.read_exact(&mut received)?;
    assert!(received == sent, "what arrived is not what was sent");
    Ok(())
}

fn over_udp(server: &UdpSocket, client: &UdpSocket) -> io::Result<IpAddr> {
    for end in [server, client] {
        end.set_read_timeout(Some(PATIENCE))?;
    }
    let (question, answer) = (payload(b'?', UDP_PAYLOAD), payload(b'!', UDP_PAYLOAD));
    client.send(&question)?;
    let mut received = vec![0; UDP_PAYLOAD + 1];
    // What is refused comes back to the sender as an error, over links of one
    // machine at once.
    let arrived = match client.take_error()? {
        Some(error) => Err(error),
        None => server.recv_from(&mut received),
    };
    let (length, seen) = arrived?;
    assert!(received[..length] == question, "not what was sent");
    server.send_to(&answer, seen)?;
    let length = client.recv(&mut received)?;
    assert!(received[..length] == answer, "not what was answered");
    Ok(seen.ip().to_canonical())
}

/// Of bytes that differ with their places.
fn payload(byte: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| byte.wrapping_add((place % 251) as u8))
        .collect()
}
