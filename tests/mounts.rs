//! What a booted system does with what is mounted in it: the stories of
//! nixpkgs' tests containers-tmpfs, containers-imperative and
//! containers-require-bind-mounts.

mod common;

use common::Host;

#[test]
fn a_tmpfs_covers_what_is_on_the_disk() {
    let host = Host::new();
    host.create("foo");
    host.append_conf("foo", "TMPFS=\"/var /var/log /some/random/path:size=1m\"");
    host.run(&["start", "foo"]);
    let kinds = "stat -fc %T /var /var/log /some/random/path | tr '\\n' ' '
                 stat -fc %b /some/random/path
                 systemctl is-active var.mount var-log.mount some-random-path.mount";
    assert_eq!(
        host.inside("foo", kinds),
        "tmpfs tmpfs tmpfs 256\nactive\nactive\nactive\n"
    );
    // The system lives in them: this is where its journal would be.
    host.inside(
        "foo",
        "touch /root/file /some/random/path/file /var/log/file",
    );
    let on_disk = host.shell(
        "cd $NIXOS_CONTAINER_STATE_DIR/foo; touch var/planted
         ls root/file some/random/path/file var/log/file 2>/dev/null || true",
    );
    assert_eq!(on_disk, "root/file\n");
    assert_eq!(
        host.inside("foo", "! [ -e /var/planted ]; ls /var/log/file"),
        "/var/log/file\n"
    );
}

#[test]
fn data_of_the_host_is_used_and_outlives_the_container() {
    let host = Host::new();
    let before = host.inventory();
    let config = r#"
        systemd.tmpfiles.rules = [ "d /srv/writable/made 0750 - - -" ];
        systemd.services.writer = {
          serviceConfig.Type = "oneshot";
          script = "echo written >>/srv/writable/made/by-service";
          wantedBy = [ "multi-user.target" ];
        };
    "#;
    host.run(&["create", "foo", "--config", config]);
    // As `bindMounts` of the NixOS module has them, and below the root as an
    // administrator does it.
    host.append_conf(
        "foo",
        "EXTRA_NSPAWN_FLAGS=\" --bind-ro=/run/data/shared --bind=/run/data/own:/srv/writable\"",
    );
    host.shell(
        "mkdir -p /run/data/shared /run/data/own /run/data/below
         echo important >/run/data/shared/file; echo important >/run/data/below/file
         cd $NIXOS_CONTAINER_STATE_DIR/foo; mkdir -p very/important/data
         mount --bind /run/data/below very/important/data",
    );
    for start in 1..=2 {
        host.run(&["start", "foo"]);
        let seen = host.inside(
            "foo",
            "cat /run/data/shared/file /very/important/data/file
             ! touch /run/data/shared/new 2>/dev/null; echo more >>/very/important/data/more
             nix-instantiate --eval -E '1 + 1'
             stat -c %a /srv/writable/made",
        );
        assert_eq!(seen, "important\nimportant\n2\n750\n");
        let written = host.shell("cat /run/data/own/made/by-service");
        assert_eq!(written.lines().count(), start);
        host.run(&["stop", "foo"]);
    }
    host.run(&["start", "foo"]);
    host.run(&["destroy", "foo"]);
    let data = host.shell("cd /run/data; find -type f | sort; cat shared/file below/*");
    assert_eq!(
        data,
        "./below/file\n./below/more\n./own/made/by-service\n./shared/file\n\
         important\nimportant\nmore\nmore\n"
    );
    host.await_inventory(&before);
}

#[test]
fn a_start_needs_what_it_binds() {
    let host = Host::new();
    host.create("foo");
    host.append_conf("foo", "EXTRA_NSPAWN_FLAGS=--bind-ro=/run/srv/data");
    host.fail(1, &["start", "foo"]);
    assert_eq!(host.run(&["status", "foo"]), "down\n");
    // systemd shares all mounts of a host, man 7 mount_namespaces.
    host.shell(
        "mkdir -p /run/srv/data; mount -t tmpfs -o size=1m tmpfs /run/srv/data
         mount --make-shared /run/srv/data",
    );
    host.run(&["start", "foo"]);
    assert_eq!(host.inside("foo", "stat -fc %b /run/srv/data"), "256\n");
    // What is mounted below on the host afterwards is seen, too.
    host.shell("mkdir /run/srv/data/usb; mount -t tmpfs -o size=2m tmpfs /run/srv/data/usb");
    assert_eq!(host.inside("foo", "stat -fc %b /run/srv/data/usb"), "512\n");
    host.shell("umount /run/srv/data/usb");
    assert_eq!(host.inside("foo", "stat -fc %b /run/srv/data/usb"), "256\n");
}

#[test]
fn the_plan_of_a_start_tells_of_every_mount() {
    let host = Host::new();
    host.create("foo");
    host.append_conf(
        "foo",
        "EXTRA_NSPAWN_FLAGS='--volatile=overlay --bind-ro=/etc:/t/a --bind=+/root:/t/b \
         --tmpfs=/t/c:size=1m --overlay=/etc:+/srv::/t/d --inaccessible=/t/e'",
    );
    let explained = host.run(&["explain", "foo"]);
    for step in [
        "overlay /run/throwaway/state/foo with a tmpfs (mode=755, size=25%, nr_inodes=1m)",
        "bind the host's /etc on /t/a (ro)",
        "bind /root on /t/b",
        "mount tmpfs on /t/c (nodev, size=1m)",
        "overlay the host's /etc, /srv, the host's /run/throwaway/state/.foo.temporary/3/upper on \
         /t/d",
        "hide /t/e",
    ] {
        assert!(explained.contains(step), "{step}\n{explained}");
    }
}

#[test]
fn a_system_boots_from_a_root_that_does_not_last() {
    let host = Host::new();
    host.create("foo");
    host.run(&["start", "foo"]);
    host.inside("foo", "echo kept >/root/file");
    let id = host.inside("foo", "cat /etc/machine-id");
    host.run(&["stop", "foo"]);
    for (flags, file, same_id) in [
        ("--volatile=overlay", "kept", true),
        ("--ephemeral", "kept", true),
        ("--volatile", "none", false),
    ] {
        host.remove_from_conf("foo", "EXTRA_NSPAWN_FLAGS");
        host.append_conf("foo", &format!("EXTRA_NSPAWN_FLAGS={flags}"));
        host.run(&["start", "foo"]);
        let found = host.inside(
            "foo",
            "cat /root/file 2>/dev/null || echo none; echo lost >/root/file",
        );
        assert_eq!(found.trim(), file, "{flags}");
        assert_eq!(
            host.inside("foo", "cat /etc/machine-id") == id,
            same_id,
            "{flags}"
        );
        host.run(&["stop", "foo"]);
        let on_disk = host.shell("cat $NIXOS_CONTAINER_STATE_DIR/foo/root/file");
        assert_eq!(on_disk, "kept\n", "{flags}");
    }
}
