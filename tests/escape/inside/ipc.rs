//! Communication with processes of the host.

use std::io::{self, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use nix::errno::Errno;
use runtime::Namespace;

use super::kernel::{call, file};
use crate::attack::{Attack, Proof, Without};
use crate::canary::{Canary, LINK, NAME};
use crate::weakened::Part;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "abstract socket",
        class: "CVE-2020-15257",
        aim: "talk to a service of the host on an abstract socket",
        attempt: |_| {
            let address = SocketAddr::from_abstract_name(NAME)?;
            let mut secret = String::new();
            UnixStream::connect_addr(&address)?.read_to_string(&mut secret)?;
            Ok(secret)
        },
        proof: Proof::Secret,
        stopped_by: &[Part::Own(Namespace::Net)],
        without_users: Without::Prevented,
    },
    Attack {
        name: "AF_PACKET",
        class: "AF_PACKET (CVE-2020-14386)",
        aim: "listen on a link of the host's",
        attempt: |_| listen_on_link(),
        proof: Proof::Answer,
        stopped_by: &[Part::Own(Namespace::Net), Part::Users],
        without_users: Without::Prevented,
    },
    Attack {
        name: "shared memory",
        class: "shmget",
        aim: "read memory that processes of the host share",
        attempt: |canary| {
            let length = canary.number("length")?;
            // SAFETY: takes numbers only.
            let id = Errno::result(unsafe { libc::shmget(Canary::segment(), 0, 0) })?;
            // SAFETY: the kernel chooses the address; the segment is longer than what
            // is read of it.
            let bytes = unsafe {
                let address = libc::shmat(id, std::ptr::null(), libc::SHM_RDONLY);
                if address as isize == -1 {
                    return Err(io::Error::last_os_error());
                }
                std::slice::from_raw_parts(address.cast::<u8>(), length)
            };
            Ok(String::from_utf8_lossy(bytes).into_owned())
        },
        proof: Proof::Secret,
        stopped_by: &[Part::Own(Namespace::Ipc)],
        without_users: Without::Prevented,
    },
    Attack {
        name: "message queue",
        class: "mq_open",
        aim: "open a message queue of the host's",
        attempt: |_| {
            // SAFETY: the path is a string that ends.
            let queue = unsafe { libc::mq_open(Canary::queue().as_ptr(), libc::O_RDWR) };
            file(Errno::result(queue)?.into())?;
            Ok("opened it".to_owned())
        },
        proof: Proof::Answer,
        stopped_by: &[Part::Own(Namespace::Ipc)],
        without_users: Without::Prevented,
    },
];

fn listen_on_link() -> io::Result<String> {
    let link = super::kernel::text(LINK);
    // SAFETY: the name is a string that ends.
    let index = unsafe { libc::if_nametoindex(link.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    let all = i32::from(u16::try_from(libc::ETH_P_ALL).unwrap_or_default().to_be());
    let socket = file(call!(SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, all)?)?;
    drop(socket);
    Ok(format!("listens on link {index}"))
}
