//! What the flags about users do to what is mounted, looked at from inside by an
//! init that is a shell script, and that systemd-nspawn shows the same.

mod common;

use common::Host;

/// Trees of the host, by owners that a container can and cannot have.
const TREES: &str = "
    mkdir -p /run/throwaway/data /run/throwaway/owned
    cd /run/throwaway/data; touch root alice; chown 1000:100 alice
    cd /run/throwaway/owned; touch mine other; chown 1000:1000 . mine; chown 33:33 other";

const LOOK: &str = r#"
    for directory in /plain /idmap /owner /scratch /over; do
        stat -c '%n %u:%g' $directory $directory/*
        touch $directory/new && stat -c '%n %u:%g' $directory/new
    done 2>/dev/null
    stat -c '%n %u:%g %a' / /etc /run /tmp /dev/shm /nix/store
    cat /proc/self/uid_map /proc/self/gid_map
    id
"#;

const BINDS: &str = "--bind=/run/throwaway/data:/plain --bind=/run/throwaway/data:/idmap:idmap \
                     --bind=/run/throwaway/owned:/owner:rootidmap --bind=:/scratch \
                     --overlay=/run/throwaway/data::/over";

/// What a container with these flags prints that runs nothing but a script.
fn shown(host: &Host, flags: &str, script: &str) -> String {
    let system = host.system_with_init(&format!("{script}\nexit 0"));
    host.shell(&format!(
        "mkdir -p $NIXOS_CONTAINER_CONF_DIR
         cat >$NIXOS_CONTAINER_CONF_DIR/foo.conf <<'END'\nSYSTEM_PATH={system}
EXTRA_NSPAWN_FLAGS='{flags}'\nEND"
    ));
    let output = host.nixos_container(&["supervise", "foo"]).output();
    let output = output.expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{flags}: {stderr}");
    // A terminal ends its lines with two characters.
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

fn shown_by_nspawn(host: &Host, flags: &str, script: &str) -> Option<String> {
    if host.shell("command -v systemd-nspawn || true").is_empty() {
        println!("skipped: no systemd-nspawn; try apt-get install systemd-container");
        return None;
    }
    let system = host.system_with_init(&format!("{script}\nexit 0"));
    Some(host.shell(&format!(
        "mkdir -p /run/throwaway/peer/usr; cd /run/throwaway/peer
         systemd-nspawn --quiet --keep-unit --register=no --console=pipe -D . \
             --bind-ro=/nix/store:/nix/store:idmap {flags} {system}/init"
    )))
}

/// The owners in what [`LOOK`] showed.
fn owners<'a>(shown: &'a str, path: &str) -> Vec<&'a str> {
    let owner = |line: &'a str| {
        let (name, owner) = line.split_once(' ')?;
        (name == path).then_some(owner)
    };
    shown.lines().filter_map(owner).collect()
}

#[test]
fn files_belong_to_whom_the_options_say() {
    let host = Host::new();
    host.shell(TREES);
    let flags = format!("--private-users=524288 {BINDS}");
    let shown = shown(&host, &flags, LOOK);
    for (path, owner) in [
        ("/plain/root", "65534:65534"),
        ("/plain/alice", "65534:65534"),
        ("/idmap/root", "0:0"),
        ("/idmap/alice", "1000:100"),
        ("/idmap/new", "0:0"),
        ("/owner/mine", "0:0"),
        ("/owner/other", "65534:65534"),
        ("/owner/new", "0:0"),
        ("/scratch/new", "0:0"),
        ("/over/root", "65534:65534"),
    ] {
        assert_eq!(owners(&shown, path).last(), Some(&owner), "{path}: {shown}");
    }
    // What was written inside belongs on the disk to whom it should.
    let written = "cd /run/throwaway; stat -c '%n %u:%g' data/* owned/*";
    let on_disk = host.shell(written);
    assert_eq!(
        on_disk,
        "data/alice 1000:100\ndata/new 0:0\ndata/root 0:0\n\
         owned/mine 1000:1000\nowned/new 1000:1000\nowned/other 33:33\n"
    );

    host.shell("rm /run/throwaway/*/new");
    let flags = format!("--private-users-ownership=chown {flags}");
    if let Some(peers) = shown_by_nspawn(&host, &flags, LOOK) {
        // Its overlay is not the container's to change.
        let peers = peers.replace("/over 65534:65534", "/over 0:0");
        assert_eq!(shown, peers);
        assert_eq!(host.shell(written), on_disk);
    }
}

#[test]
fn roots_that_are_not_the_directory_itself_are_the_containers_too() {
    let host = Host::new();
    let look = "stat -c '%n %u:%g' / /etc /var /usr /var/lib /run /kept
                touch /etc/new /var/new /run/new && echo written
                touch /kept/new && echo changed";
    host.shell("mkdir -p $NIXOS_CONTAINER_STATE_DIR/foo/kept $NIXOS_CONTAINER_STATE_DIR/foo/usr");
    for (flags, kept) in [
        ("--ephemeral", true),
        ("--volatile=overlay", true),
        ("--volatile=yes", false),
        ("--tmpfs=/etc:uid=0,gid=0", true),
    ] {
        let flags = format!("--private-users=524288 {flags}");
        let shown = shown(&host, &flags, &format!("exec 2>/dev/null\n{look}\ntrue"));
        let owners = shown.lines().filter(|line| line.starts_with('/'));
        assert!(owners.clone().count() >= 6, "{flags}: {shown}");
        for line in owners {
            assert!(line.ends_with(" 0:0"), "{flags}: {shown}");
        }
        assert!(shown.contains("written"), "{flags}: {shown}");
        assert_eq!(shown.contains("\nchanged"), kept, "{flags}: {shown}");
    }
    let state = shown(&host, "--private-users=524288 --volatile=state", look);
    assert!(state.contains("/var 0:0"), "{state}");
}

#[test]
fn ids_of_a_tmpfs_are_those_inside() {
    let host = Host::new();
    let flags = "--private-users=524288 --tmpfs=/data:uid=1000,gid=100,mode=750";
    let shown = shown(&host, flags, "stat -c '%u:%g %a' /data");
    assert_eq!(shown, "1000:100 750\n");
}

#[test]
fn a_network_of_somebody_elses_is_not_the_containers_to_change() {
    let host = Host::new();
    host.shell("ip netns add other; ip -n other link add one type veth peer name two");
    let look = "ls /sys/class/net; echo 1 >/proc/sys/net/ipv4/ip_forward && echo changed
                ip link set one up && echo set; true";
    for (flags, link) in [
        ("--network-namespace-path=/run/netns/other", "one"),
        ("", "lo"),
    ] {
        let flags = format!("--private-users=524288 {flags}");
        let shown = shown(&host, &flags, look);
        assert!(
            shown.split_whitespace().any(|word| word == link),
            "{flags}: {shown}"
        );
        for line in ["set", "changed"] {
            assert!(
                !shown.lines().any(|shown| shown == line),
                "{flags}: {shown}"
            );
        }
    }
    let own = shown(&host, "--private-users=524288 --private-network", look);
    assert!(own.contains("changed"), "{own}");
}
