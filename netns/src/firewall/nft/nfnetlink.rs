//! Requests to netfilter, without a program.
//!
//! Starting nft takes milliseconds, a request to the kernel or a transaction takes
//! microseconds. The messages are those of `linux/netfilter/nfnetlink.h`.

use std::cell::Cell;
use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use rtnetlink::packet_core::{
    NLA_F_NESTED, NLA_TYPE_MASK, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NetlinkBuffer,
};
use rustix::io::Errno;
use rustix::net::sockopt;

/// `NFNL_SUBSYS_CTNETLINK`, tracked connections.
pub const CTNETLINK: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`
pub const NFTABLES: u8 = 10;

/// `NFPROTO_INET`
pub const INET: u8 = 1;

/// The flags of a request, in addition to `NLM_F_REQUEST`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `NLM_F_DUMP`: all objects.
    Dump,
    /// `NLM_F_ACK`: an acknowledgement of a change.
    Do,
}

/// One change of a transaction.
pub struct Change {
    /// `NFT_MSG_…` of `linux/netfilter/nf_tables.h`.
    pub message: u8,
    /// `NLM_F_…` of netlink(7), in addition to `NLM_F_REQUEST`.
    pub flags: u16,
    /// The changed object.
    pub attributes: Vec<u8>,
}

/// Why a transaction was refused as a whole.
pub struct Refusal {
    /// The number of the first refused change; `None` if it was not a single
    /// change.
    pub change: Option<usize>,
    /// The kernel's answer.
    pub source: io::Error,
}

/// `struct nlmsghdr`, netlink(7).
const HEADER: usize = 16;
/// `struct nfgenmsg`, after it.
const GENERIC: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;

/// The size of the kernel's largest answer, in bytes, if the reader has a buffer
/// for it (`netlink_recvmsg` in net/netlink/af_netlink.c).
pub const DATAGRAM_MAX: usize = 32 * 1024;

/// How often a dump is tried because the objects change meanwhile.
const ATTEMPTS: usize = 20;

/// A socket to netfilter, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Netfilter {
    socket: Socket,
    /// The number of the next message, which its answers repeat.
    sequence: Cell<u32>,
}

impl Netfilter {
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_NETFILTER)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: Cell::new(0),
        })
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
        for _ in 0..ATTEMPTS {
            let header = Header {
                kind: kind(subsystem, message),
                flags: match ask {
                    Ask::Dump => NLM_F_DUMP,
                    Ask::Do => NLM_F_ACK,
                },
                sequence: self.number(1),
                family,
                resource: 0,
            };
            self.socket.send(&encode(&header, attributes), 0)?;
            if let Some(answers) = self.answers(header.sequence)? {
                return Ok(answers);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Reserves numbers for some messages, and returns the first.
    fn number(&self, messages: usize) -> u32 {
        let first = self.sequence.get();
        self.sequence.set(first.wrapping_add(messages as u32));
        first
    }

    /// All answers to the message of this number; `None` if the objects changed
    /// meanwhile.
    fn answers(&self, sequence: u32) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut answers = Vec::new();
        let mut consistent = true;
        let mut buffer = Vec::with_capacity(DATAGRAM_MAX);
        loop {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            for message in messages(&buffer).filter(|message| message.sequence_number() == sequence)
            {
                consistent &= message.flags() & NLM_F_DUMP_INTR == 0;
                match message.message_type() {
                    NLMSG_DONE => {
                        return result(&message).map(|()| consistent.then_some(answers));
                    }
                    NLMSG_ERROR => return result(&message).map(|()| Some(answers)),
                    _ => answers.push(attributes_of(&message).to_vec()),
                }
            }
        }
    }

    /// Changes tables of the family inet, as a whole or not at all: a reader sees
    /// the state either before or after all changes.
    pub fn transact(&self, changes: &[Change]) -> Result<(), Refusal> {
        let (change, source) = match self.send_batch(changes) {
            Ok((_, Ok(()))) => return Ok(()),
            Ok((number, Err(source))) => (Some(number), source),
            Err(source) => (None, source),
        };
        Err(Refusal {
            change: change.filter(|number| *number < changes.len()),
            source,
        })
    }

    /// The result, and the number of the change that it is about.
    fn send_batch(&self, changes: &[Change]) -> io::Result<(usize, io::Result<()>)> {
        // One for each change, and one for the frame around them.
        let first = self.number(changes.len() + 1);
        let batch = encode_batch(first, changes);
        match self.socket.send(&batch, 0) {
            // The batch has to fit into the buffer as a whole (netlink(7)).
            Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
                sockopt::set_socket_send_buffer_size_force(&self.socket, 2 * batch.len())?;
                self.socket.send(&batch, 0)?
            }
            other => other?,
        };
        let mut buffer = Vec::with_capacity(DATAGRAM_MAX);
        loop {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            // Refusals come in the order of the changes, before the only
            // acknowledgement that is requested.
            let answer = messages(&buffer).find_map(|message| {
                let number = message.sequence_number().wrapping_sub(first) as usize;
                let answers = message.message_type() == NLMSG_ERROR && number <= changes.len();
                answers.then(|| (number, result(&message)))
            });
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }
}

/// The changes are numbered from `first` on.
fn encode_batch(first: u32, changes: &[Change]) -> Vec<u8> {
    let frame = |kind| Header {
        kind,
        flags: 0,
        sequence: first.wrapping_add(changes.len() as u32),
        family: 0,
        resource: NFTABLES.into(),
    };
    let mut batch = encode(&frame(NFNL_MSG_BATCH_BEGIN), &[]);
    for (number, change) in changes.iter().enumerate() {
        let is_last = number + 1 == changes.len();
        let header = Header {
            kind: kind(NFTABLES, change.message),
            flags: change.flags | if is_last { NLM_F_ACK } else { 0 },
            sequence: first.wrapping_add(number as u32),
            family: INET,
            resource: 0,
        };
        batch.extend(encode(&header, &change.attributes));
    }
    batch.extend(encode(&frame(NFNL_MSG_BATCH_END), &[]));
    batch
}

/// The variable fields of `struct nlmsghdr` and `struct nfgenmsg`.
struct Header {
    kind: u16,
    flags: u16,
    /// The kernel repeats it in its answers.
    sequence: u32,
    family: u8,
    resource: u16,
}

/// The type of a subsystem's message in a header.
pub fn kind(subsystem: u8, message: u8) -> u16 {
    u16::from(subsystem) << 8 | u16::from(message)
}

fn encode(header: &Header, attributes: &[u8]) -> Vec<u8> {
    let length = (HEADER + GENERIC + attributes.len()) as u32;
    // The kernel fills in the sender's port.
    let mut message = NetlinkBuffer::new(vec![0; HEADER]);
    message.set_length(length);
    message.set_message_type(header.kind);
    message.set_flags(NLM_F_REQUEST | header.flags);
    message.set_sequence_number(header.sequence);
    // The family, then NFNETLINK_V0.
    let generic = [header.family, 0];
    let resource = header.resource.to_be_bytes();
    [&message.into_inner(), &generic[..], &resource, attributes].concat()
}

/// A received message.
pub type Message<'a> = NetlinkBuffer<&'a [u8]>;

/// The messages of a datagram.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(bytes).ok()?;
        let length = message.length() as usize;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

/// The bytes after the headers.
pub fn attributes_of<'a>(message: &Message<'a>) -> &'a [u8] {
    message.payload().get(GENERIC..).unwrap_or_default()
}

/// The first field of `struct nlmsgerr`, and the only one at the end of a dump:
/// 0, or a negative errno(3).
fn result(message: &Message<'_>) -> io::Result<()> {
    match field(message.payload(), 0).map(i32::from_ne_bytes) {
        Some(negative) if negative < 0 => Err(io::Error::from_raw_os_error(-negative)),
        Some(_) => Ok(()),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
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

/// An attribute with a text that ends with a NUL.
pub fn text_attribute(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), &[0]].concat())
}

/// An attribute with a number, which nf_tables takes in network byte order.
pub fn number_attribute(kind: u16, number: u32) -> Vec<u8> {
    attribute(kind, &number.to_be_bytes())
}

/// An attribute that consists of attributes.
pub fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, &attributes.concat())
}

/// Kind and value of each attribute.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(bytes, 0)?));
        let kind = u16::from_ne_bytes(field(bytes, 2)?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind & NLA_TYPE_MASK, value))
    })
}

/// The value of the first attribute of this kind.
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    let found = attributes(bytes).find(|(found, _)| *found == kind)?;
    Some(found.1)
}

/// The text of the first attribute of this kind.
pub fn find_text(attributes: &[u8], kind: u16) -> Option<String> {
    let value = find(attributes, kind)?;
    let text = value.strip_suffix(&[0]).unwrap_or(value);
    String::from_utf8(text.to_vec()).ok()
}

/// The number of the first attribute of this kind.
pub fn find_number(attributes: &[u8], kind: u16) -> Option<u32> {
    find(attributes, kind)
        .and_then(|value| field(value, 0))
        .map(u32::from_be_bytes)
}

/// The `N` bytes at offset `at`.
pub fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_padded_and_found_again() {
        let bytes = [
            text_attribute(1, "web"),
            number_attribute(2, 258),
            nested(3, &[attribute(4, &[7])]),
        ]
        .concat();
        assert_eq!(bytes[..8], [8, 0, 1, 0, b'w', b'e', b'b', 0]);
        assert_eq!(bytes[8..16], [8, 0, 2, 0, 0, 0, 1, 2]);
        assert_eq!(bytes[16..], [12, 0, 3, 0x80, 5, 0, 4, 0, 7, 0, 0, 0]);
        assert_eq!(find_text(&bytes, 1).as_deref(), Some("web"));
        let inner = find(&bytes, 3).and_then(|inner| find(inner, 4));
        assert_eq!(inner, Some([7].as_slice()));
        assert_eq!(find(&bytes, 5), None);
    }

    #[test]
    fn what_is_cut_short_is_not_read() {
        let bytes = attribute(1, &[1, 2, 3, 4]);
        for length in 0..bytes.len() {
            assert_eq!(find(&bytes[..length], 1), None);
        }
        assert_eq!(find(&[0, 0, 1, 0], 1), None, "no attribute is that short");
    }

    #[test]
    fn a_batch_asks_for_one_acknowledgement() {
        let change = |message| Change {
            message,
            flags: 0x400,
            attributes: Vec::new(),
        };
        let batch = encode_batch(7, &[change(0), change(3)]);
        let seen: Vec<_> = messages(&batch)
            .map(|message| {
                (
                    message.message_type(),
                    message.flags(),
                    message.sequence_number(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (0x10, 0x1, 9),
                (0xa00, 0x401, 7),
                (0xa03, 0x405, 8),
                (0x11, 0x1, 9),
            ]
        );
    }
}
