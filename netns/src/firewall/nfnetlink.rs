//! Questions to netfilter, asked without a program.
//!
//! Starting nft takes milliseconds, a question to the kernel microseconds, and
//! most containers have nothing to ask for. The messages are those of
//! `linux/netfilter/nfnetlink.h` and `nf_tables.h`; a container's runtime has
//! no use for more of them than these.

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// `NFNL_SUBSYS_CTNETLINK`, the connections that are tracked.
pub const CTNETLINK: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`
pub const NFTABLES: u8 = 10;

/// `NFPROTO_INET`
pub const INET: u8 = 1;

/// What a request asks for, in addition to `NLM_F_REQUEST`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `NLM_F_DUMP`: all objects.
    Dump,
    /// `NLM_F_ACK`: that something be done, and whether it was.
    Do,
}

/// `struct nlmsghdr`, netlink(7).
const HEADER: usize = 16;
/// `struct nfgenmsg`, after it.
const GENERIC: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;

/// The kernel fits its answers into what the reader has room for, and into no
/// more than this (`netlink_recvmsg` in net/netlink/af_netlink.c).
const DATAGRAM_MAX: usize = 32 * 1024;

/// How often a dump is begun anew because the objects changed meanwhile.
const ATTEMPTS: usize = 20;

/// One way to netfilter, in the network namespace of the thread that opened it.
pub struct Netfilter(Socket);

impl Netfilter {
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_NETFILTER)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Sends a request and returns the attributes of each answer.
    pub fn request(
        &self,
        subsystem: u8,
        message: u8,
        family: u8,
        ask: Ask,
        attributes: &[u8],
    ) -> io::Result<Vec<Vec<u8>>> {
        let request = encode(subsystem, message, family, ask, attributes);
        for _ in 0..ATTEMPTS {
            self.0.send(&request, 0)?;
            if let Some(answers) = self.answers()? {
                return Ok(answers);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// All answers to one request; `None` if they do not fit together.
    fn answers(&self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut answers = Vec::new();
        let mut consistent = true;
        let mut buffer = Vec::with_capacity(DATAGRAM_MAX);
        loop {
            buffer.clear();
            self.0.recv(&mut buffer, 0)?;
            let mut rest = buffer.as_slice();
            while let Some((message, following)) = Message::split_from(rest) {
                rest = following;
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE => return Ok(consistent.then_some(answers)),
                    NLMSG_ERROR => {
                        message.result()?;
                        return Ok(Some(answers));
                    }
                    _ => answers.extend(message.body.get(GENERIC..).map(<[u8]>::to_vec)),
                }
            }
        }
    }
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message of several, and the others.
    fn split_from(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let length: usize = u32::from_ne_bytes(field(bytes, 0)?).try_into().ok()?;
        let message = Self {
            kind: u16::from_ne_bytes(field(bytes, 4)?),
            flags: u16::from_ne_bytes(field(bytes, 6)?),
            body: bytes.get(HEADER..length)?,
        };
        let following = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((message, following))
    }

    /// What `struct nlmsgerr` begins with: 0, or an errno(3) below it.
    fn result(&self) -> io::Result<()> {
        match field(self.body, 0).map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(negative) => Err(io::Error::from_raw_os_error(-negative)),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn encode(subsystem: u8, message: u8, family: u8, ask: Ask, attributes: &[u8]) -> Vec<u8> {
    let length = (HEADER + GENERIC + attributes.len()) as u32;
    let asked = match ask {
        Ask::Dump => NLM_F_DUMP,
        Ask::Do => NLM_F_ACK,
    };
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend((u16::from(subsystem) << 8 | u16::from(message)).to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | asked).to_ne_bytes());
    // Sequence number and port of the sender, which the kernel only repeats.
    bytes.extend([0; 8]);
    // Family, NFNETLINK_V0, and a resource that these requests do not have.
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}

/// An attribute, netlink(7), padded.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute that is a text with a NUL.
pub fn text_attribute(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), &[0]].concat())
}

/// An attribute that consists of others.
pub fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &attributes.concat())
}

/// The value of the first attribute of this kind.
pub fn find(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(field(attributes, 0)?));
        let found = u16::from_ne_bytes(field(attributes, 2)?);
        // The two upper bits are flags.
        if found & 0x3fff == kind {
            return attributes.get(4..length);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

/// The value of an attribute that is a text with a NUL.
pub fn find_text(attributes: &[u8], kind: u16) -> Option<String> {
    let value = find(attributes, kind)?;
    let text = value.strip_suffix(&[0]).unwrap_or(value);
    String::from_utf8(text.to_vec()).ok()
}

/// Some bytes at a place.
pub fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
