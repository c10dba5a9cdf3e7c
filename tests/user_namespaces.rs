//! Containers with users of their own: who they are on the host, whose their
//! files are, and what root inside cannot do.

mod common;

use std::collections::BTreeSet;

use common::packets::Protocol::Tcp;
use common::{Host, Network, mini_nixpkgs, succeed};

/// The container, created and not started, with these lines of configuration.
fn create(host: &Host, name: &str, lines: &str) {
    host.create(name);
    host.append_conf(name, lines);
}

/// The first of the host's users that are the container's, as the kernel has it.
fn first_user(host: &Host, name: &str) -> u32 {
    let map = host.inside(name, "cat /proc/self/uid_map /proc/self/gid_map");
    let lines: Vec<Vec<u32>> = map
        .lines()
        .map(|line| {
            line.split_whitespace()
                .map(|n| n.parse().expect("a number"))
        })
        .map(Iterator::collect)
        .collect();
    assert_eq!(lines[0], lines[1], "users and groups are mapped alike");
    assert_eq!((lines[0][0], lines[0][2]), (0, 65536), "{map}");
    lines[0][1]
}

/// Whose the container's init is on the host.
fn owner_of_init(host: &Host, name: &str) -> String {
    let cgroup = format!("nixos-container-{name}/payload");
    let script = format!(
        "for pid in $(cat /sys/fs/cgroup/{cgroup}/init.scope/cgroup.procs); do
             stat --format=%u:%g /proc/$pid
         done"
    );
    host.shell(&script).trim().to_owned()
}

/// Whose a file below the root directory is on the disk.
fn owner_on_disk(host: &Host, name: &str, path: &str) -> String {
    let root = host.place("STATE_DIR").join(name);
    let path = root.join(path.trim_start_matches('/'));
    let owner = host.shell(&format!("stat --format=%u:%g {}", path.display()));
    owner.trim().to_owned()
}

const BOOTED: &str = "systemctl is-system-running --wait; systemctl --failed --no-legend --plain";

#[test]
fn a_system_boots_with_users_of_its_own() {
    let host = Host::new();
    create(&host, "foo", "PRIVATE_USERS=pick\nHOST_PORT=8080:80");
    host.run(&["start", "foo"]);
    assert_eq!(host.inside("foo", BOOTED), "running\n");

    let first = first_user(&host, "foo");
    assert!(first >= 524_288 && first.is_multiple_of(65536), "{first}");
    assert_eq!(owner_of_init(&host, "foo"), format!("{first}:{first}"));
    assert_eq!(host.inside("foo", "id -u; id -g; id -G"), "0\n0\n0\n");

    // All that a system checks the owner of has the owner that it expects.
    let owners = host.inside(
        "foo",
        "touch /root/made; stat --format=%u:%g / /root /root/made /etc /run /dev /dev/shm /tmp \
         $(readlink -f /run/current-system) /nix/var/nix/* /run/host/notify | sort -u
         stat --format=%u:%g /dev/console /home",
    );
    assert_eq!(owners, "0:0\n0:3\n0:0\n");
    assert_eq!(owner_on_disk(&host, "foo", "/root/made"), "0:0");
    host.inside("foo", "chown 1000:100 /root/made");
    assert_eq!(owner_on_disk(&host, "foo", "/root/made"), "1000:100");

    // Both ways, by a forwarded port, and the network is the container's to set
    // up.
    let container = Network::Container("foo");
    host.exchange(Tcp, container, "10.233.1.1:7000", (Network::Host, 7000));
    host.exchange(Tcp, Network::Host, "10.233.1.2:80", (container, 80));
    host.exchange(Tcp, Network::Host, "127.0.0.1:8080", (container, 80));
    host.inside("foo", "ip link set eth0 mtu 1400");

    what_root_inside_cannot_do(&host);
    host.run(&["stop", "foo"]);

    // The same at the next start.
    host.run(&["start", "foo"]);
    assert_eq!(first_user(&host, "foo"), first);
    assert_eq!(
        host.inside("foo", "stat --format=%u:%g /root/made"),
        "1000:100\n"
    );
}

fn what_root_inside_cannot_do(host: &Host) {
    let refused = |script: &str| {
        let attempt = format!("{script} 2>/dev/null && echo done || echo refused");
        assert_eq!(host.inside("foo", &attempt), "refused\n", "{script}");
    };
    host.inside("foo", "mount -t sysfs sysfs /srv; test -e /srv/power/state");
    for script in [
        "mount -o remount,bind,rw /nix/store",
        "mount -o remount,bind,rw /sys",
        "mount -o remount,bind,dev /run",
        "umount /nix/store",
        "umount /proc/kallsyms",
        "umount /proc/sys",
        "umount -l /nix",
        "touch /nix/store/x",
        "mknod /root/disk b 8 0",
        "mknod /root/null c 1 3",
        "echo 1 >/proc/sys/kernel/panic",
        "echo 1 >/run/host/proc/sys/kernel/panic",
        "echo 1 >/run/host/proc/sys/vm/overcommit_memory",
        "echo x >/run/host/proc/sysrq-trigger",
        "grep -q trusted_keys /run/host/proc/keys",
        "head -c 1 /run/host/proc/kcore",
        "head -c 1 /run/host/proc/kmsg",
        "echo mem >/run/host/sys/power/state",
        "echo 1 >/run/host/sys/kernel/mm/ksm/run",
        "echo mem >/srv/power/state",
        "mkdir /sys/fs/cgroup/../x",
        "echo max >/sys/fs/cgroup/memory.max",
        "chroot /proc/1/root/.. test -e /run/throwaway",
    ] {
        refused(script);
    }
    // What is covered there is to be seen whole elsewhere, so that another user
    // namespace can have its own: Nix builds in its sandbox.
    host.inside(
        "foo",
        "unshare --user --map-root-user --pid --fork --mount-proc ps -e | grep -c ps
         unshare --user --map-root-user --net --mount mount -t sysfs sysfs /sys",
    );
    let built = host.inside(
        "foo",
        r#"cd /root; shell=$(readlink -f /run/current-system/sw/bin/busybox)
        echo 'derivation {
            name = "built"; system = builtins.currentSystem;
            builder = "/bin/sh"; args = [ "-c" "echo by process $$ >$out" ];
        }' >built.nix
        NIX_REMOTE= nix-build --no-out-link built.nix --store /root/store \
            --option sandbox true --option sandbox-fallback false \
            --option sandbox-paths "/bin/sh=$shell" --option build-users-group '' 2>/dev/null |
            sed s:^:/root/store: | xargs cat"#,
    );
    assert_eq!(built, "by process 1\n");
}

#[test]
fn each_value_is_understood() {
    let host = Host::new();
    create(&host, "foo", "PRIVATE_USERS=no");
    for (users, flags, first, on_disk) in [
        ("no", "", 0, "0:0"),
        ("identity", "", 0, "0:0"),
        ("700000:65536", "", 700_000, "0:0"),
        ("1310720", "--private-users-ownership=map", 1_310_720, "0:0"),
        (
            "1310720",
            "--private-users-ownership=chown",
            1_310_720,
            "1310720:1310720",
        ),
        ("yes", "", 1_310_720, "1310720:1310720"),
        (
            "1310720",
            "--private-users-ownership=off",
            1_310_720,
            "1310720:1310720",
        ),
        // Taken back, as systemd-nspawn(1) has it.
        ("0", "--private-users-ownership=chown", 0, "0:0"),
        ("no", "", 0, "0:0"),
    ] {
        host.append_conf(
            "foo",
            &format!("PRIVATE_USERS={users}\nEXTRA_NSPAWN_FLAGS={flags}"),
        );
        host.run(&["start", "foo"]);
        let what = format!("{users} {flags}");
        assert_eq!(host.inside("foo", BOOTED), "running\n", "{what}");
        let init = owner_of_init(&host, "foo");
        assert_eq!(init, format!("{first}:{first}"), "{what}");
        let own = host.inside("foo", "readlink /proc/self/ns/user").trim()
            != host.shell("readlink /proc/self/ns/user").trim();
        assert_eq!(own, users != "no", "{what}");
        host.inside(
            "foo",
            "touch /root/x; stat --format=%u:%g / /root /root/x | sort -u | grep -x 0:0",
        );
        for path in ["/", "/root/x", "/etc", "/var/log"] {
            assert_eq!(owner_on_disk(&host, "foo", path), on_disk, "{what}: {path}");
        }
        host.run(&["stop", "foo"]);
    }
}

/// As where nixpkgs' tool made the directories, which are open.
#[test]
fn what_its_root_makes_setuid_is_not_the_hosts_roots() {
    let host = Host::new();
    let trees =
        "$NIXOS_CONTAINER_STATE_DIR $NIXOS_CONTAINER_PROFILE_DIR $NIXOS_CONTAINER_GCROOT_DIR";
    host.shell(&format!(
        "mkdir -p {trees}; chmod 755 {trees}; chmod 711 /run/throwaway
         mount -t tmpfs log /var/log; mkdir /var/log/journal"
    ));
    create(
        &host,
        "foo",
        "PRIVATE_USERS=pick\nEXTRA_NSPAWN_FLAGS=--link-journal=host",
    );
    host.run(&["start", "foo"]);
    host.inside(
        "foo",
        "for directory in /srv /nix/var/nix/profiles /nix/var/nix/gcroots /var/log/journal/*; do
             mkdir -p $directory; touch $directory/setuid; chmod 4755 $directory/setuid
         done",
    );
    // Others of the host reach none of the files whose owners are mapped.
    let closed = "$NIXOS_CONTAINER_STATE_DIR/.foo.nix";
    assert_eq!(host.shell(&format!("stat -c '%a %u' {closed}")), "700 0\n");
    let owners = format!(
        "find {trees} /var/log/journal -path {closed} -prune -o -name setuid -perm -4000 -printf '%U\\n'"
    );
    let owner = owner_of_init(&host, "foo");
    let owner = owner.split(':').next().unwrap_or_default();
    assert_eq!(host.shell(&owners), format!("{owner}\n").repeat(2));
    host.run(&["stop", "foo"]);

    host.run(&["destroy", "foo"]);
    create(
        &host,
        "foo",
        "PRIVATE_USERS=pick\nEXTRA_NSPAWN_FLAGS=--private-users-ownership=map",
    );
    let said = host.fail(1, &["start", "foo"]);
    assert!(
        said.contains("other users can reach it; `chmod 700 "),
        "{said}"
    );
}

#[test]
fn where_files_cannot_be_shown_as_theirs_they_are_given_to_them() {
    let host = Host::new();
    let before = host.inventory();
    // No mount of an overlay maps owners.
    host.shell(
        "cd /run/throwaway; mkdir -p layers/lower layers/upper layers/work state
         mount -t overlay overlay state \
             -o lowerdir=layers/lower,upperdir=layers/upper,workdir=layers/work",
    );
    let flags = |ownership| {
        let flag = "EXTRA_NSPAWN_FLAGS=--private-users-ownership";
        host.append_conf("foo", &format!("PRIVATE_USERS=pick\n{flag}={ownership}"));
    };
    host.create("foo");
    flags("map");
    assert_eq!(
        host.fail(1, &["start", "foo"]),
        "error: cannot start container 'foo': --private-users-ownership=map does not work on \
         /run/throwaway/state/foo: overlay cannot map the owners of files; use \
         --private-users-ownership=chown\n"
    );

    // Killed in the midst of it.
    flags("chown");
    host.shell(&format!(
        "cd $NIXOS_CONTAINER_STATE_DIR/foo; mkdir many; cd many; seq 40000 | xargs touch; cd ..
         {NIXOS_CONTAINER} start foo 2>/dev/null & client=$!
         SECONDS=0
         until [ $SECONDS -gt 20 ] || [ $(stat -c %u .) -ge {BUSY} ]; do :; done
         kill -KILL $(pgrep -fx '.*nixos-container supervise --detached foo'); wait $client || true",
        BUSY = 0xfffe_0000_u32,
        NIXOS_CONTAINER = env!("CARGO_BIN_EXE_nixos-container"),
    ));
    flags("map");
    let said = host.fail(1, &["start", "foo"]);
    assert!(
        said.starts_with(
            "error: cannot start container 'foo': a change of the owners of the files in \
             /run/throwaway/state/foo was interrupted; finish it with "
        ),
        "{said}"
    );
    flags("auto");
    host.run(&["start", "foo"]);
    assert_eq!(host.inside("foo", BOOTED), "running\n");
    let first = first_user(&host, "foo");
    let others = format!(
        "find $NIXOS_CONTAINER_STATE_DIR/foo -xdev \\( -uid -{first} -o -gid -{first} \\) | wc -l"
    );
    assert_eq!(host.shell(&others), "0\n");
    assert_eq!(owner_on_disk(&host, "foo", "/"), format!("{first}:{first}"));
    assert_eq!(
        host.inside("foo", "stat -c %u:%g / /many/1 /root"),
        "0:0\n0:0\n0:0\n"
    );
    host.run(&["stop", "foo"]);

    // Whose they are is told by the files themselves, too.
    host.shell("rm $NIXOS_CONTAINER_STATE_DIR/.foo.users");
    host.run(&["start", "foo"]);
    assert_eq!(first_user(&host, "foo"), first);
    host.run(&["destroy", "foo"]);
    host.shell("umount /run/throwaway/state; rm -r /run/throwaway/layers");
    host.await_inventory(&before);
}

#[test]
fn a_kernel_without_user_namespaces_is_named() {
    let host = Host::new();
    create(&host, "foo", "PRIVATE_USERS=pick");
    host.shell(
        "echo 0 >/run/throwaway/none
         mount --bind /run/throwaway/none /proc/sys/user/max_user_namespaces",
    );
    assert_eq!(
        host.fail(1, &["start", "foo"]),
        "error: cannot start container 'foo': PRIVATE_USERS and --private-users need user \
         namespaces, but /proc/sys/user/max_user_namespaces is 0; allow some with \
         `sysctl user.max_user_namespaces=65536`\n"
    );
    host.append_conf("foo", "PRIVATE_USERS=no\nEXTRA_NSPAWN_FLAGS=-U");
    host.run(&["start", "foo"]);
    assert_eq!(owner_of_init(&host, "foo"), "0:0");
    host.run(&["stop", "foo"]);
    host.shell("umount /proc/sys/user/max_user_namespaces");
    host.run(&["start", "foo"]);
    assert!(first_user(&host, "foo") >= 524_288);
}

#[test]
fn a_system_with_users_of_its_own_boots_beside_cgroups_of_version_1() {
    let Some(host) = Host::hybrid() else {
        return;
    };
    create(&host, "foo", "PRIVATE_USERS=pick");
    host.run(&["start", "foo"]);
    assert_eq!(host.inside("foo", BOOTED), "running\n");
}

#[test]
fn its_system_is_changed_from_both_sides() {
    let host = Host::with_nix_daemon();
    let telling = |word| format!("environment.etc.told.text = \"{word}\";");
    let told = || host.inside("foo", "cat /etc/told");
    let alice = "users.users.alice = { isNormalUser = true; uid = 1234; };";
    let options = format!("{alice} {}", telling("one"));
    host.run(&["create", "foo", "--config", &options]);
    host.append_conf("foo", "NAT=0\nPRIVATE_USERS=pick");
    host.run(&["start", "foo"]);
    assert_eq!(told(), "one");

    let entered = host.run(&[
        "enter",
        "foo",
        "--user",
        "alice",
        "--",
        "sh",
        "-c",
        "id -u; touch ~/x; stat --format=%u:%g ~ ~/x; ! cat /proc/1/environ 2>/dev/null",
    ]);
    assert_eq!(entered, "1234\n1234:100\n1234:100\n");
    assert_eq!(owner_on_disk(&host, "foo", "/home/alice/x"), "1234:100");

    host.run(&["update", "foo", "--config", &telling("two")]);
    assert_eq!(told(), "two");

    let nixpkgs = succeed(host.command("nix-store").arg("--add").arg(mini_nixpkgs()));
    let rebuild = format!(
        "sed -i 's/\"two\"/\"three\"/' /etc/nixos/configuration.nix
         export NIX_PATH=nixpkgs={}:nixos-config=/etc/nixos/configuration.nix
         nixos-rebuild switch",
        nixpkgs.trim()
    );
    host.inside("foo", &rebuild);
    assert_eq!(told(), "three");
    assert_eq!(owner_on_disk(&host, "foo", CONFIGURATION), "0:0");

    // The same where the files are the users' own on the disk.
    host.run(&["stop", "foo"]);
    let flag = "EXTRA_NSPAWN_FLAGS=--private-users-ownership=chown";
    host.append_conf("foo", &format!("PRIVATE_USERS=pick\n{flag}"));
    host.run(&["start", "foo"]);
    assert_eq!(told(), "three");
    host.run(&["update", "foo", "--config", &telling("four")]);
    assert_eq!(told(), "four");
    let first = first_user(&host, "foo");
    let owner = owner_on_disk(&host, "foo", CONFIGURATION);
    assert_eq!(owner, format!("{first}:{first}"));
    host.inside(
        "foo",
        &rebuild.replace("two", "four").replace("three", "five"),
    );
    assert_eq!(told(), "five");
    host.run(&["rollback", "foo"]);
    assert_eq!(told(), "four");
}

const CONFIGURATION: &str = "/etc/nixos/configuration.nix";

#[test]
fn no_two_containers_pick_the_same_users() {
    let host = Host::new();
    // Ten ranges are left, up to the last one that systemd has for containers.
    host.shell("echo all-but-ten:0:1878392832 >/etc/subuid");
    let names: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
    for name in &names {
        create(&host, name, "PRIVATE_USERS=pick");
    }
    let starting: Vec<_> = names
        .iter()
        .map(|name| {
            host.nixos_container(&["start", name])
                .spawn()
                .expect("it runs")
        })
        .collect();
    for mut start in starting {
        assert!(start.wait().expect("waitable").success());
    }
    let picked: BTreeSet<u32> = names.iter().map(|name| first_user(&host, name)).collect();
    let all: BTreeSet<u32> = (0..10)
        .map(|number| 1_878_392_832 + number * 65536)
        .collect();
    assert_eq!(picked, all);

    // They stay theirs while they do not run, and until they are destroyed.
    create(&host, "late", "PRIVATE_USERS=pick");
    host.run(&["stop", "c3"]);
    assert_eq!(
        host.fail(1, &["start", "late"]),
        "error: cannot start container 'late': no range of 65536 users is free; choose one with \
         --private-users=NUMBER\n"
    );
    let of_c3 = host.shell("cat $NIXOS_CONTAINER_STATE_DIR/.c3.users");
    host.run(&["destroy", "c3"]);
    host.run(&["start", "late"]);
    assert_eq!(of_c3, format!("{}:65536\n", first_user(&host, "late")));
}
