//! What the flags about users do to what is mounted, looked at from inside by an
//! init that is a shell script, and that systemd-nspawn shows the same.

mod common;

use common::Host;
use common::peer::{flags_in_conf, shown, shown_by_nspawn};

/// Trees of the host, by owners that a container can and cannot have.
const TREES: &str = "
    mkdir -p /run/throwaway/data /run/throwaway/owned; chmod 700 /run/throwaway
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
    let shown = shown(&host, "", &flags, LOOK);
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
    // What was written inside has the right owners on the disk.
    let written = "cd /run/throwaway; stat -c '%n %u:%g' data/* owned/*";
    let on_disk = host.shell(written);
    assert_eq!(
        on_disk,
        "data/alice 1000:100\ndata/new 0:0\ndata/root 0:0\n\
         owned/mine 1000:1000\nowned/new 1000:1000\nowned/other 33:33\n"
    );

    host.shell("rm /run/throwaway/*/new");
    let flags = format!("--private-users-ownership=chown {flags}");
    if let Some(peers) = shown_by_nspawn(&host, "", &flags, LOOK) {
        // Its overlay is not the container's to change.
        let peers = peers.replace("/over 65534:65534", "/over 0:0");
        assert_eq!(shown, peers);
        assert_eq!(host.shell(written), on_disk);
    }
}

#[test]
fn the_owner_of_a_tree_may_be_that_of_the_directory_it_covers() {
    let host = Host::new();
    host.shell(TREES);
    let root = "mkdir owner; chown 7:7 owner";
    let flags = "--private-users=524288 --bind=/run/throwaway/owned:/owner:owneridmap \
                 --bind=/run/throwaway/owned:/made:owneridmap";
    let look = "stat -c '%n %u:%g' /owner /owner/* /made/*; touch /made/new";
    let shown = shown(&host, root, flags, look);
    for (path, owner) in [
        ("/owner", "7:7"),
        ("/owner/mine", "7:7"),
        ("/owner/other", "65534:65534"),
        ("/made/mine", "0:0"),
    ] {
        assert_eq!(owners(&shown, path), [owner], "{path}: {shown}");
    }
    let on_disk = host.shell("stat -c %u:%g /run/throwaway/owned/new");
    assert_eq!(on_disk, "1000:1000\n");
}

/// On the host: Bob, with a password and a group of his own, Ann, who has
/// neither, and Dan, whose group may do more than he.
const ACCOUNTS: &str = "
    echo bob:x:1234:1235::/run/throwaway/bob:/bin/zsh >>/etc/passwd
    echo ann:x:1236:100::/run/throwaway/ann:/bin/sh >>/etc/passwd
    echo dan:x:1237:6::/run/throwaway:/bin/sh >>/etc/passwd
    echo bob:x:1235: >>/etc/group
    printf '%s\\n' 'bob:$y$hash:19000::::::' 'ann:!:19000::::::' >>/etc/shadow
    cd /run/throwaway; mkdir bob ann
    touch bob/own bob/roots
    chown 1234:1235 bob bob/own; chown 1236:100 ann";

#[test]
fn bound_users_of_the_host_have_accounts_and_homes_inside() {
    let host = Host::new();
    host.shell(ACCOUNTS);
    let flags = "--private-users=524288 --private-users-ownership=chown --bind-user=bob \
                 --bind-user=ann --bind-user bob";
    let look = "cd /run/host
                stat -c '%N %u:%g' userdb home userdb/* home/*
                stat -c '%n %u:%g' home/bob/own";
    let seen = shown(&host, "", flags, look);
    // The systemd-nspawn of Debian 12 binds no users without a group of theirs.
    let bob_alone = flags.replace("--bind-user=ann", "");
    if let Some(peers) = shown_by_nspawn(&host, "", &bob_alone, look) {
        assert_eq!(shown(&host, "", &bob_alone, look), peers);
    }
    for line in [
        "home/bob 60514:60514",
        "home/bob/own 60514:60514",
        "home/ann 60515:60515",
        "userdb/bob.user-privileged 0:0",
        "'userdb/60514.user-privileged' -> 'bob.user-privileged' 0:0",
        "userdb/ann.user 0:0",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line}: {seen}");
    }

    let more = "cd /run/host/userdb; stat -c '%n %a' bob.* ann.*
                cat bob.user; echo; cat bob.group; echo; cat bob.user-privileged; echo
                touch new || echo root may not write here
                cd ../home/bob; touch new || echo nor there
                stat -c '%n %u:%g' roots";
    assert_eq!(
        shown(&host, "", flags, &format!("exec 2>/dev/null; {more}")),
        "bob.group 444\n\
         bob.user 444\n\
         bob.user-privileged 400\n\
         ann.group 444\n\
         ann.user 444\n\
         {\"userName\":\"bob\",\"uid\":60514,\"gid\":60514,\
         \"homeDirectory\":\"/run/host/home/bob\",\
         \"shell\":\"/run/current-system/sw/bin/bash\",\"service\":\"nixos-container\"}\n\
         {\"groupName\":\"bob\",\"gid\":60514,\"service\":\"nixos-container\"}\n\
         {\"privileged\":{\"hashedPassword\":[\"$y$hash\"]}}\n\
         root may not write here\n\
         nor there\n\
         roots 65534:65534\n"
    );
}

/// By the C library's way to user records (`man 8 nss-systemd`), of which the
/// systems here have no file: that of this machine serves.
#[test]
fn a_bound_user_is_known_inside_and_has_on_the_host_what_was_made_there() {
    let host = Host::new();
    let module = host.shell("ls /usr/lib/*-linux-gnu/libnss_systemd.so.2 2>/dev/null || true");
    if module.is_empty() {
        println!("skipped: no nss-systemd; try apt-get install libnss-systemd");
        return;
    }
    host.shell(ACCOUNTS);
    let system = common::system(
        "{ lib, ... }: {
            environment.etc.\"nsswitch.conf\".source =
                lib.mkForce (builtins.toFile \"nsswitch\" \"passwd: files systemd\\ngroup: files systemd\\n\");
        }",
    );
    let module = module.trim();
    host.write_conf(
        "foo",
        &format!(
            "SYSTEM_PATH={system}\nPRIVATE_USERS=pick\n\
             EXTRA_NSPAWN_FLAGS='--bind-user=bob --bind-ro={module}:/var/nss/libnss_systemd.so.2'"
        ),
    );
    host.run(&["start", "foo"]);
    let command = "export LD_LIBRARY_PATH=/var/nss
                   id bob
                   setpriv --reuid=bob --regid=bob --init-groups sh -c \
                       'cd ~bob && echo mine >new && stat -c \"%U:%G\" . new own'";
    assert_eq!(
        host.run(&["run", "foo", "--", "bash", "-c", command]),
        "uid=60514(bob) gid=60514(bob) groups=60514(bob)\nbob:bob\nbob:bob\nbob:bob\n"
    );
    assert_eq!(
        host.shell("cd /run/throwaway/bob; stat -c '%u:%g' new; cat new"),
        "1234:1235\nmine\n"
    );
    // Who enters is that user, too, if it is who calls.
    let enter = format!(
        "SUDO_USER=bob {} enter foo -- sh -c 'id -u; pwd; cat new'",
        env!("CARGO_BIN_EXE_nixos-container")
    );
    assert_eq!(host.shell(&enter), "60514\n/run/host/home/bob\nmine\n");
}

#[test]
fn users_of_the_host_who_cannot_be_bound_are_named() {
    let host = Host::new();
    host.shell(ACCOUNTS);
    let system = host.system_with_init("exit 0");
    for (flags, error) in [
        (
            "--bind-user=bob",
            "--bind-user needs a user namespace, in which the host's users get accounts; add \
             --private-users=pick",
        ),
        (
            "--private-users=524288 --bind-user=eve",
            "cannot use --bind-user=eve: the host's /etc/passwd has no such user",
        ),
        (
            "--private-users=524288 --bind-user=root",
            "cannot use --bind-user=root: the host's root has no account inside; the container \
             has its own root",
        ),
        (
            "--private-users=524288 --bind-user=ann",
            "cannot use --bind-user=ann: the container already has a user or group of that name",
        ),
        (
            "--private-users=524288 --bind-user=dan",
            "cannot use --bind-user=dan: programs inside could make files of the host's group 6, \
             which is not dan's alone; give the user a primary group of the same name",
        ),
        (
            "--private-users=524288:1000 --private-users-ownership=off --bind-user=bob",
            "cannot use --bind-user=bob: the container has no free number between 60514 and \
             60577",
        ),
    ] {
        host.shell(
            "mkdir -p $NIXOS_CONTAINER_STATE_DIR/foo/etc
             echo ann:x:7:7::/:/bin/sh >$NIXOS_CONTAINER_STATE_DIR/foo/etc/passwd",
        );
        let flags_line = flags_in_conf(flags);
        host.write_conf("foo", &format!("SYSTEM_PATH={system}\n{flags_line}"));
        let stderr = host.fail(1, &["start", "foo"]);
        assert!(stderr.contains(error), "{flags}: {stderr}");
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
        let shown = shown(
            &host,
            "",
            &flags,
            &format!("exec 2>/dev/null\n{look}\ntrue"),
        );
        let owners = shown.lines().filter(|line| line.starts_with('/'));
        assert!(owners.clone().count() >= 6, "{flags}: {shown}");
        for line in owners {
            assert!(line.ends_with(" 0:0"), "{flags}: {shown}");
        }
        assert!(shown.contains("written"), "{flags}: {shown}");
        assert_eq!(shown.contains("\nchanged"), kept, "{flags}: {shown}");
    }
    let state = shown(&host, "", "--private-users=524288 --volatile=state", look);
    assert!(state.contains("/var 0:0"), "{state}");
}

#[test]
fn ids_of_a_tmpfs_are_those_inside() {
    let host = Host::new();
    let flags = "--private-users=524288 --tmpfs=/data:uid=1000,gid=100,mode=750";
    let shown = shown(&host, "", flags, "stat -c '%u:%g %a' /data");
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
        let shown = shown(&host, "", &flags, look);
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
    let own = shown(&host, "", "--private-users=524288 --private-network", look);
    assert!(own.contains("changed"), "{own}");
}
