//! Programs that the kernel runs for each packet that a link receives, before
//! anything else of the host: classifiers of tc-bpf(8) at the hook `ingress` of the
//! queueing discipline `clsact`, which decide by themselves (`direct-action`).
//!
//! They go with their link, and stay when another program flushes the rules of
//! nftables. `tc filter show dev LINK ingress` lists them.

use futures_util::StreamExt;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};
use rtnetlink::Handle;
use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;

use crate::Cause;
use crate::spoof_check::code::Instruction;

/// The places of programs, in the order in which a packet passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What a container must not send by its own properties.
    Own,
    /// Addresses that are taken by others, in programs with these numbers.
    Taken(usize),
}

impl Place {
    /// The preference and the handle of tc(8). A handle is not 0.
    fn numbers(self) -> (u16, usize) {
        match self {
            Self::Own => (1, 1),
            Self::Taken(number) => (2, number + 1),
        }
    }
}

/// `ETH_P_ALL` of `linux/if_ether.h`: packets of all protocols.
const ALL_PROTOCOLS: u16 = 3;

// Of `linux/pkt_cls.h`: a program of the classic BPF.
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;

/// Prepares a link for [`add`].
pub async fn open(netlink: &Handle, link: u32) -> Result<(), Cause> {
    let mut message = message(link)?;
    message.header.parent = TcHandle::CLSACT;
    message.header.handle = TcHandle {
        major: TcHandle::CLSACT.major,
        minor: 0,
    };
    message.attributes = vec![TcAttribute::Kind("clsact".to_owned())];
    let message = RouteNetlinkMessage::NewQueueDiscipline(message);
    request(netlink, message, NLM_F_CREATE | NLM_F_EXCL).await
}

/// Adds a program to a link.
pub async fn add(
    netlink: &Handle,
    link: u32,
    place: Place,
    program: &[Instruction],
) -> Result<(), Cause> {
    let message = RouteNetlinkMessage::NewTrafficFilter(filter(link, place, program)?);
    request(netlink, message, NLM_F_CREATE | NLM_F_EXCL).await
}

/// Replaces the program at a place of a link. All but the first one there are added
/// if they are missing.
pub async fn replace(
    netlink: &Handle,
    link: u32,
    place: Place,
    program: &[Instruction],
) -> Result<(), Cause> {
    let flags = match place {
        Place::Own | Place::Taken(0) => 0,
        Place::Taken(_) => NLM_F_CREATE,
    };
    let message = RouteNetlinkMessage::NewTrafficFilter(filter(link, place, program)?);
    request(netlink, message, flags).await
}

fn filter(link: u32, place: Place, program: &[Instruction]) -> Result<TcMessage, Cause> {
    let length = u16::try_from(program.len()).map_err(std::io::Error::other)?;
    let code = program.iter().flat_map(|one| one.bytes()).collect();
    let other = |kind, value| TcFilterBpfOption::Other(DefaultNla::new(kind, value));
    let options = [
        other(TCA_BPF_OPS_LEN, length.to_ne_bytes().to_vec()),
        other(TCA_BPF_OPS, code),
        TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
    ];
    let mut message = message(link)?;
    message.header.parent = TcHandle {
        major: TcHandle::CLSACT.major,
        minor: TcHandle::MIN_INGRESS,
    };
    let (preference, handle) = place.numbers();
    let handle = u32::try_from(handle).map_err(std::io::Error::other)?;
    message.header.handle = handle.into();
    message.header.info = TcHandle {
        major: preference,
        minor: ALL_PROTOCOLS.to_be(),
    }
    .into();
    message.attributes = vec![
        TcAttribute::Kind(TcFilterBpf::KIND.to_owned()),
        TcAttribute::Options(options.map(TcOption::Bpf).to_vec()),
    ];
    Ok(message)
}

fn message(link: u32) -> Result<TcMessage, Cause> {
    Ok(TcMessage::with_index(
        i32::try_from(link).map_err(std::io::Error::other)?,
    ))
}

async fn request(netlink: &Handle, message: RouteNetlinkMessage, flags: u16) -> Result<(), Cause> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut answers = netlink.clone().request(request)?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(refusal) = answer.payload
            && refusal.code.is_some()
        {
            return Err(Cause::from(refusal.to_io()));
        }
    }
    Ok(())
}
