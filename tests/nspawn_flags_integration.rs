//! `EXTRA_NSPAWN_FLAGS` that are about what the host and a container share: the
//! time zone, journals, secrets.

mod common;

use common::Host;
use common::peer::{flags_in_conf, has_nspawn, run_by_nspawn, run_here};

#[test]
fn the_time_zone_is_the_hosts_if_somebody_asks_for_that() {
    let host = Host::new();
    host.shell(
        "mkdir -p /run/zoneinfo/Europe; echo the host >/run/zoneinfo/Europe/Here
         ln -sf /run/zoneinfo/Europe/Here /etc/localtime",
    );
    let nspawn = has_nspawn(&host);
    let system = host.system_with_init(
        "cd /etc
         [ -L localtime ] && readlink localtime || cat localtime 2>/dev/null || echo nothing
         ! grep -q /etc/localtime /proc/mounts || echo by a mount",
    );
    // A link leads to where NixOS has its zones, which systemd-nspawn knows only
    // on NixOS; and by itself it hands the host's zone on.
    for (flag, printed, as_nspawn) in [
        ("", "own\n", false),
        ("--timezone=off", "own\n", true),
        ("--timezone=copy", "the host\n", true),
        ("--timezone=bind", "the host\nby a mount\n", true),
        ("--timezone=delete", "nothing\n", true),
        ("--timezone=symlink", "/etc/zoneinfo/Europe/Here\n", false),
        ("--timezone=auto", "/etc/zoneinfo/Europe/Here\n", false),
        (
            "--timezone=auto --read-only --resolv-conf=off",
            "the host\nby a mount\n",
            true,
        ),
    ] {
        let here = run_here(&host, &system, &flags_in_conf(flag));
        assert_eq!(here, printed, "{flag}");
        if as_nspawn && nspawn {
            assert_eq!(
                run_by_nspawn(&host, &system, flag),
                printed,
                "systemd-nspawn {flag}"
            );
        }
    }
}

/// A host that keeps its journal, in a place of the test's own.
fn host_with_journal() -> Host {
    let host = Host::new();
    host.shell("mount -t tmpfs log /var/log; mkdir /var/log/journal");
    host
}

/// Runs a system under flags; what it prints.
type Run = fn(&Host, &str, &str) -> String;

#[test]
fn journals_are_linked_and_stay_linked() {
    let host = host_with_journal();
    let nspawn = has_nspawn(&host);
    let script = "journal=/var/log/journal/$(echo $container_uuid | tr -d -)
         if grep -q $journal /proc/mounts; then echo the host\\'s
         elif [ -d $journal ]; then echo its own
         else echo none; fi
         [ ! -d $journal ] || echo written >$journal/file";
    let system = host.system_with_init(script);
    let on_host = |id: &str| {
        host.shell(&format!(
            "journal=/var/log/journal/{id}
             if [ -L $journal ]; then echo a link; cat $journal/file
             elif [ -d $journal ]; then echo a directory; cat $journal/file
             else echo nothing; fi"
        ))
    };
    let (own, hosts) = ("its own\n", "the host's\n");
    let (link, directory) = ("a link\nwritten\n", "a directory\nwritten\n");
    for (flag, id, inside, outside) in [
        ("--link-journal=no", "1", "none\n", "nothing\n"),
        ("--link-journal=auto", "1", "none\n", "nothing\n"),
        ("--link-journal=host", "2", hosts, directory),
        ("--link-journal=auto", "2", hosts, directory),
        ("--link-journal=try-guest", "3", own, link),
        ("--link-journal=auto", "3", own, link),
        ("-j", "3", own, link),
        ("--link-journal=try-host", "3", hosts, directory),
        // nixpkgs' unit has this flag; systemd-nspawn alone does not.
        ("", "4", own, link),
    ] {
        // An id for each, since the host is the same.
        let runs: [(Run, &str); 2] = [
            (
                |host, system, flags| run_here(host, system, &flags_in_conf(flags)),
                "a",
            ),
            (run_by_nspawn, "b"),
        ];
        for (run, digit) in &runs[..1 + usize::from(nspawn)] {
            let flag = if id == "4" && *digit == "b" {
                "--link-journal=try-guest"
            } else {
                flag
            };
            let id = digit.repeat(31) + id;
            let printed = run(&host, &system, &format!("{flag} --uuid={id}"));
            assert_eq!(printed, inside, "{flag} {id}");
            assert_eq!(on_host(&id), outside, "{flag} {id}");
        }
    }
}

#[test]
fn a_journal_on_the_host_is_written_by_users_of_the_containers_and_by_nobody_else() {
    let host = host_with_journal();
    let set_flags = |name: &str, flags: &str| {
        host.append_conf(name, &flags_in_conf(flags));
    };
    host.create("foo");
    set_flags("foo", "-U --link-journal=host");
    host.run(&["start", "foo"]);
    let id = host.run(&["run", "foo", "--", "cat", "/etc/machine-id"]);
    let id = id.trim();
    let journal = format!("/var/log/journal/{id}");
    host.run(&["run", "foo", "--", "journalctl", "--flush"]);
    host.shell(&format!("[ -s {journal}/system.journal ]"));
    assert_eq!(
        host.shell(&format!("stat -c %u {journal}/system.journal")),
        host.shell(&format!("stat -c %u {journal}"))
    );

    // Another container that says it is this one.
    host.create("bar");
    host.shell(&format!(
        "mkdir -p $NIXOS_CONTAINER_STATE_DIR/bar/etc; echo {id} >$NIXOS_CONTAINER_STATE_DIR/bar/etc/machine-id"
    ));
    host.run(&["start", "bar"]);
    let mounts = host.run(&["run", "bar", "--", "cat", "/proc/mounts"]);
    assert!(!mounts.contains(&journal), "{mounts}");
    host.run(&["stop", "bar"]);
    for mode in ["host", "guest"] {
        set_flags("bar", &format!("--link-journal={mode}"));
        let stderr = host.fail(1, &["start", "bar"]);
        let theirs = format!("{journal} exists and is not this container's");
        assert!(stderr.contains(&theirs), "{stderr}");
    }
    host.shell("cp /etc/machine-id $NIXOS_CONTAINER_STATE_DIR/bar/etc/machine-id");
    let stderr = host.fail(1, &["start", "bar"]);
    assert!(
        stderr.contains("its /etc/machine-id is the host's"),
        "{stderr}"
    );

    // Of a container that goes, its links do, and what is on the host stays.
    host.shell(
        "echo 0123456789abcdef0123456789abcdef >$NIXOS_CONTAINER_STATE_DIR/bar/etc/machine-id",
    );
    host.run(&["start", "bar"]);
    host.shell("[ -L /var/log/journal/0123456789abcdef0123456789abcdef ]");
    host.run(&["destroy", "foo", "bar"]);
    let left = host.shell("ls /var/log/journal");
    assert_eq!(left.trim(), id);
}

#[test]
fn systemd_gives_its_services_the_credentials_and_explain_tells_none() {
    let host = Host::new();
    host.create("foo");
    host.append_conf("foo", &flags_in_conf("-U --set-credential=demo:hush"));
    host.run(&["start", "foo"]);
    let service = "systemd-run --quiet --pipe --property=LoadCredential=demo \
                   sh -c 'cat $CREDENTIALS_DIRECTORY/demo; id -u'";
    let read = host.run(&["run", "foo", "--", "bash", "-c", service]);
    assert_eq!(read, "hush0\n");
    for explain in [&["explain", "foo"][..], &["explain", "--json", "foo"]] {
        let plan = host.run(explain);
        assert!(plan.contains("4 secret bytes"), "{plan}");
        assert!(!plan.contains("hush"), "{plan}");
    }
}
