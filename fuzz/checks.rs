//! What must hold for every input of a parser. A fuzz target calls its check with
//! the inputs that libFuzzer makes, the command's tests call all of them with the
//! files in `seeds`.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use runtime::spec::accounts::{Account, User};
use runtime::sys::notify::NotifySocket;
use runtime::sys::untrusted_socket::Closers;
use runtime::{Id128, Network, ResolvConf};

use crate::config::resolv_conf::{Mode, Source};
use crate::config::{ContainerConfig, FlagError, nspawn_flags};
use crate::container::mountinfo;
use crate::container::name::ContainerName;
use crate::report::printable::{Printable, plain};
use crate::spec::network::{hosts_file, resolv_conf};

/// Panics if the parser does, or gives an answer that cannot be right.
pub type Check = fn(&[u8]);

/// The checks by the name that a fuzz target and its folder of seeds have.
pub const ALL: [(&str, Check); 9] = [
    ("accounts", accounts),
    ("conf", conf),
    ("hosts_file", hosts_file),
    ("machine_id", machine_id),
    ("mountinfo", mountinfo),
    ("notify", notify),
    ("nspawn_flags", nspawn_flags),
    ("printable", printable),
    ("resolv_conf", resolv_conf),
];

/// The input as far as it is text.
fn text(input: &[u8]) -> &str {
    input.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// A container's `/etc/passwd` and `/etc/group`, the second after an empty line.
pub fn accounts(input: &[u8]) {
    let text = text(input);
    let (passwd, group) = text.split_once("\n\n").unwrap_or((text, ""));
    for user in [
        User::root(),
        User::Number(0),
        User::Name("alice".to_owned()),
    ] {
        let Some(account) = Account::find(passwd, group, &user) else {
            continue;
        };
        match user {
            User::Name(name) => assert_eq!(account.name, name),
            User::Number(number) => assert_eq!(account.uid, number),
        }
        assert!(!account.shell.as_os_str().is_empty() && !account.home.as_os_str().is_empty());
        assert_eq!(account.groups.first(), Some(&account.gid));
        // To the kernel that would mean "as it is", which is root.
        assert!(account.uid != u32::MAX && !account.groups.contains(&u32::MAX));
    }
}

/// `NAME.conf`.
pub fn conf(input: &[u8]) {
    let path = Path::new("foo.conf");
    if let Ok(config) = ContainerConfig::parse(path, text(input)) {
        // The written text means the same as the text that was read.
        let written = config.to_text();
        let again = ContainerConfig::parse(path, &written).map(|config| config.to_text());
        assert_eq!(again.as_ref(), Ok(&written));
    }
}

/// The host's `/etc/hosts`.
pub fn hosts_file(input: &[u8]) {
    let container: ContainerName = "foo".parse().expect("valid");
    let entries = [hosts_file::Entry::new(&container, [10, 233, 1, 2].into())];
    let add = |text: &[u8]| hosts_file::with(text, &container, &entries, "machine").0;
    let before = hosts_file::without(input, &container);
    let added = add(input);
    assert_eq!(hosts_file::without(&added, &container), before);
    assert_eq!(add(&added), added);
}

/// A container's `/etc/machine-id`.
pub fn machine_id(input: &[u8]) {
    if let Some(id) = Id128::parse(text(input)) {
        assert_eq!(Id128::parse(&id.to_string()), Some(id));
    }
}

/// A line of `/proc/self/mountinfo`, and the path of a mount point.
pub fn mountinfo(input: &[u8]) {
    let _ = mountinfo::mount_point(input);
    // As the kernel writes a path: `mangle` in its fs/seq_file.c.
    let mut line = b"36 35 98:0 / ".to_vec();
    for byte in input {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => line.extend(format!("\\{byte:03o}").bytes()),
            byte => line.push(*byte),
        }
    }
    line.extend(b" rw - ext4 /dev/root rw");
    let read = mountinfo::mount_point(&line).expect("a mount point");
    assert_eq!(read.as_os_str().as_bytes(), input);
}

/// A report of a container's init, through a socket as it comes.
pub fn notify(input: &[u8]) {
    thread_local! {
        static ENDS: (NotifySocket, UnixDatagram) = notify_ends();
    }
    let received = ENDS.with(|(supervisor, init)| {
        init.send(input).expect("it is sent");
        let own_pid = std::process::id() as i32;
        supervisor.receive(|pid| pid == own_pid).expect("readable")
    });
    let ready = received.expect("from init").ready;
    assert!(!ready || input.windows(7).any(|part| part == b"READY=1"));
}

fn notify_ends() -> (NotifySocket, UnixDatagram) {
    let path = std::env::temp_dir().join(format!("fuzz-notify-{}", std::process::id()));
    let supervisor = NotifySocket::bind(&path, &Closers::default()).expect("a socket");
    let init = UnixDatagram::unbound().expect("a socket");
    init.connect(&path).expect("it is bound");
    std::fs::remove_file(path).expect("a socket");
    (supervisor, init)
}

/// `EXTRA_NSPAWN_FLAGS`.
pub fn nspawn_flags(input: &[u8]) {
    fn parse(text: &str) -> Result<ContainerConfig, FlagError> {
        let mut config = ContainerConfig::default();
        let words = nspawn_flags::words(text)?;
        nspawn_flags::apply(&mut config, words.iter().map(String::as_str)).map(|()| config)
    }
    let text = text(input);
    // The way in which words are separated and quoted does not matter.
    if let Ok(words) = nspawn_flags::words(text) {
        let joined = nspawn_flags::join(words.iter().map(String::as_str));
        assert_eq!(parse(&joined), parse(text));
    }
}

/// What a container writes to its console.
pub fn printable(input: &[u8]) {
    let written_in = |pieces: usize| {
        let mut passed = Vec::new();
        let mut printable = Printable::new(&mut passed);
        for piece in input.chunks(pieces) {
            printable.write_all(piece).expect("memory");
        }
        drop(printable);
        String::from_utf8(passed).expect("text")
    };
    let passed = written_in(usize::MAX);
    assert_eq!(written_in(1), passed);
    let mut sequences = passed.split('\x1b');
    let before = sequences.next().unwrap_or_default();
    let is_text = |text: &str| !text.contains(|c: char| c.is_control() && !"\n\t".contains(c));
    assert!(is_text(before), "{passed:?}");
    for sequence in sequences {
        let (colour, text) = sequence.split_once('m').expect("a colour");
        let numbers = colour.strip_prefix('[').expect("a control sequence");
        let is_number = |c: char| c.is_ascii_digit() || ";:".contains(c);
        assert!(
            numbers.chars().all(is_number) && is_text(text),
            "{passed:?}"
        );
    }
    assert!(!plain(&String::from_utf8_lossy(input)).contains(char::is_control));
}

/// The host's `/etc/resolv.conf`, and its resolver's file with the upstream servers
/// after a NUL.
pub fn resolv_conf(input: &[u8]) {
    let text = text(input);
    let (host, upstream) = text.split_once('\0').unwrap_or((text, ""));
    let read = |path: &Path| {
        let is_host = path == Path::new("/etc/resolv.conf");
        Ok(if is_host { host } else { upstream }.to_owned())
    };
    let mode = Mode::Replace(Source::Host);
    let decision = resolv_conf::decide(mode, &Network::Private, true, read).expect("readable");
    let ResolvConf::Write(written) = &decision.change else {
        panic!("not written");
    };
    // The written file needs no further change.
    let again = |_: &Path| Ok(written.clone());
    let again = resolv_conf::decide(mode, &Network::Private, true, again).expect("readable");
    assert_eq!(again.change, decision.change);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn seeds_of_each_fuzz_target_pass_its_check() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let folders = fs::read_dir(&seeds).expect("readable");
        let folders = folders.map(|folder| folder.expect("readable").file_name());
        let names = ALL.iter().map(|(name, _)| (*name).into());
        assert_eq!(folders.collect::<BTreeSet<_>>(), names.collect());
        for (name, check) in ALL {
            for seed in fs::read_dir(seeds.join(name)).expect("readable") {
                let path = seed.expect("readable").path();
                // Shown if the check panics.
                println!("{}", path.display());
                check(&fs::read(path).expect("readable"));
            }
        }
    }
}
