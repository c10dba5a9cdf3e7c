//! What a container's init reports, through a socket as it does.

#![no_main]

use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use runtime::sys::notify::NotifySocket;

struct Wire {
    supervisor: NotifySocket,
    init: UnixDatagram,
}

impl Wire {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let supervisor = NotifySocket::bind(&path).expect("a socket");
        let init = UnixDatagram::unbound().expect("a socket");
        init.connect(&path).expect("it is bound");
        Self { supervisor, init }
    }
}

fuzz_target!(|message: &[u8]| {
    static WIRE: OnceLock<Wire> = OnceLock::new();
    let wire = WIRE.get_or_init(Wire::new);
    wire.init.send(message).expect("it is sent");
    let own_pid = std::process::id() as i32;
    let heard = wire
        .supervisor
        .receive(|pid| pid == own_pid)
        .expect("readable");
    let status = heard.expect("from init").status.unwrap_or_default();
    assert!(!status.contains(char::is_control));
});
