//! A container's profile and roots, which the host and the container change: what is
//! set at one place counts at the other, and the host's garbage collector keeps it.

mod common;

use common::own_nix::{GCROOTS, PROFILES};
use common::{Host, wait};

/// The kinds of users, and of owners of files.
const KINDS: [&str; 4] = [
    "",
    "PRIVATE_USERS=identity",
    "PRIVATE_USERS=pick",
    "PRIVATE_USERS=pick\nEXTRA_NSPAWN_FLAGS=--private-users-ownership=chown",
];

/// A system like the container's own, which nothing but a link inside keeps; made from
/// inside, by the daemon.
fn add_system(host: &Host, number: u32) -> String {
    let script = format!(
        "mkdir -p /root/{number}; cd /root/{number}
         cp -a /nix/var/nix/profiles/system/. nixos-system
         chmod -R u+w nixos-system; echo {number} >nixos-system/number
         nix-store --add nixos-system"
    );
    host.inside("foo", &script).trim().to_owned()
}

/// Sets a system as nixos-rebuild does.
fn set_inside(host: &Host, system: &str) {
    host.inside(
        "foo",
        &format!("nix-env --profile /nix/var/nix/profiles/system --set {system}"),
    );
}

fn system_inside(host: &Host) -> String {
    let script = "readlink -f /nix/var/nix/profiles/system";
    host.inside("foo", script).trim().to_owned()
}

/// What the host takes for the container's system.
fn system_outside(host: &Host) -> String {
    let system = host.shell(&format!("readlink -f {PROFILES}/system"));
    system.trim().to_owned()
}

/// The numbers of all generations, and the current one with a star.
fn generations(host: &Host) -> Vec<String> {
    let lines = host.run(&["generations", "foo"]);
    let number = |line: &str| {
        let number = line.split_whitespace().next().expect("a number");
        let mark = if line.ends_with("(current)") { "*" } else { "" };
        format!("{number}{mark}")
    };
    lines.lines().map(number).collect()
}

/// Waits until the host has taken over what was set inside, which it says by no event.
fn await_outside(host: &Host, system: &str) {
    wait::until("the host has taken it over", || {
        system_outside(host) == system
    });
}

#[test]
fn a_system_that_is_set_inside_counts_outside() {
    for lines in KINDS {
        let host = Host::with_own_nix_and_foo(lines);
        let first = system_outside(&host);
        let second = add_system(&host, 2);
        set_inside(&host, &second);
        // Without a command of the host.
        await_outside(&host, &second);
        host.collect_garbage();
        assert!(host.has(&second), "{lines}: collected while it runs");
        host.run(&["stop", "foo"]);
        assert_eq!(system_outside(&host), second, "{lines}");
        host.collect_garbage();
        assert!(
            host.has(&second),
            "{lines}: collected while it does not run"
        );
        host.run(&["start", "foo"]);
        assert_eq!(
            host.inside("foo", "cat /nix/var/nix/profiles/system/number"),
            "2\n",
            "{lines}"
        );
        // The collector has removed the first generation, which is gone inside, too.
        assert_eq!(generations(&host), ["2*"], "{lines}");
        assert_eq!(
            host.inside("foo", "cd /nix/var/nix/profiles; echo system*"),
            "system system-2-link\n",
            "{lines}"
        );
        set_inside(&host, &first);
        assert_eq!(generations(&host), ["2", "3*"], "{lines}");
        host.run(&["rollback", "foo"]);
        assert_eq!(system_inside(&host), second, "{lines}");
        assert_eq!(
            host.inside("foo", "stat -c %u:%g /nix/var/nix/profiles/system"),
            "0:0\n",
            "{lines}"
        );
        host.run(&["destroy", "foo"]);
        host.shell("! ls -A $NIXOS_CONTAINER_STATE_DIR | grep .");
        host.collect_garbage();
        assert!(!host.has(&second), "{lines}: kept for nothing");
    }
}

#[test]
fn what_the_host_sets_counts_inside_even_by_another_program() {
    let host = Host::with_own_nix_and_foo("PRIVATE_USERS=pick");
    let second = add_system(&host, 2);
    host.shell(&format!(
        "nix-env --profile {PROFILES}/system --set {second}"
    ));
    wait::until("the container has it", || system_inside(&host) == second);
    // While it does not run, no supervisor watches.
    host.run(&["stop", "foo"]);
    host.shell(&format!("nix-env --profile {PROFILES}/system --rollback"));
    host.run(&["start", "foo"]);
    assert_eq!(generations(&host), ["1*", "2"]);
    assert_ne!(system_inside(&host), second);
    host.shell(&format!(
        "nix-env --profile {PROFILES}/system --delete-generations 2"
    ));
    assert_eq!(generations(&host), ["1*"]);
    host.inside("foo", "! [ -L /nix/var/nix/profiles/system-2-link ]");
}

#[test]
fn generations_that_are_removed_inside_are_given_up() {
    let host = Host::with_own_nix_and_foo("PRIVATE_USERS=pick");
    let first = system_outside(&host);
    let second = add_system(&host, 2);
    set_inside(&host, &second);
    set_inside(&host, &first);
    assert_eq!(generations(&host), ["1", "2", "3*"]);
    host.inside(
        "foo",
        "nix-env -p /nix/var/nix/profiles/system --delete-generations old",
    );
    assert_eq!(generations(&host), ["3*"]);
    host.collect_garbage();
    assert!(!host.has(&second));
    // What the container removes altogether, its next start has again.
    host.inside("foo", "rm /nix/var/nix/profiles/system*");
    host.run(&["restart", "foo"]);
    assert_eq!(system_inside(&host), first);
}

#[test]
fn links_inside_keep_what_they_lead_to() {
    let host = Host::with_own_nix_and_foo("PRIVATE_USERS=pick");
    let add = |name: &str| {
        let script = format!("echo {name} >/root/{name}; nix-store --add /root/{name}");
        host.inside("foo", &script).trim().to_owned()
    };
    let (channel, direct, none) = (add("channel"), add("direct"), add("none"));
    host.inside(
        "foo",
        &format!(
            "mkdir -p /nix/var/nix/profiles/per-user/root
             cd /nix/var/nix/profiles/per-user/root
             ln -s {channel} channels-1-link; ln -s channels-1-link channels
             mkdir -p /nix/var/nix/gcroots/below; ln -s {direct} /nix/var/nix/gcroots/below/x
             ln -s /etc/passwd /nix/var/nix/gcroots/passwd"
        ),
    );
    let roots = || {
        host.shell(&format!(
            "find {GCROOTS} -mindepth 1 -printf '%l\\n' 2>/dev/null | sort"
        ))
    };
    let mut expected = [&channel, &direct].map(|path| format!("{path}\n"));
    expected.sort();
    wait::until("the host keeps both", || roots() == expected.concat());
    host.collect_garbage();
    for kept in [&channel, &direct] {
        assert!(host.has(kept), "{kept}");
    }
    assert!(!host.has(&none));
    // Given up while it runs, and at the end.
    host.inside("foo", "rm /nix/var/nix/gcroots/below/x");
    wait::until("the host gives it up", || roots() == format!("{channel}\n"));
    host.run(&["stop", "foo"]);
    host.collect_garbage();
    assert!(host.has(&channel) && !host.has(&direct));
    host.run(&["start", "foo"]);
    host.inside("foo", "cat /nix/var/nix/profiles/per-user/root/channels");
}

/// The daemon makes a link to the result on the host, where that leads nowhere.
#[test]
fn results_of_builds_inside_are_kept() {
    let host = Host::with_own_nix_and_foo("PRIVATE_USERS=pick");
    let build = |name: &str| {
        let script = format!(
            "mkdir -p /root/{name}; echo {name} >/root/{name}/file
             path=$(nix-store --add /root/{name}/file)
             nix-store --realise $path --add-root /root/{name}/result --indirect"
        );
        host.inside("foo", &script);
        let script = format!("readlink /root/{name}/result");
        host.inside("foo", &script).trim().to_owned()
    };
    let (one, two) = (build("one"), build("two"));
    let roots = || host.shell(&format!("ls {GCROOTS} | wc -l"));
    wait::until("the host keeps both", || roots() == "2\n");
    // The collector removes the daemon's link the first time.
    for _ in 0..2 {
        host.collect_garbage();
        assert!(host.has(&one) && host.has(&two));
    }
    host.inside(
        "foo",
        "rm /root/one/result; ln -s /etc/passwd /root/one/result",
    );
    host.run(&["restart", "foo"]);
    host.collect_garbage();
    assert!(!host.has(&one) && host.has(&two));
    host.run(&["stop", "foo"]);
    host.collect_garbage();
    assert!(host.has(&two));
}

/// A supervisor that is killed takes nothing over.
#[test]
fn the_next_start_takes_over_what_a_killed_supervisor_has_not() {
    let host = Host::with_own_nix_and_foo("PRIVATE_USERS=pick");
    let second = add_system(&host, 2);
    let supervisor = "pgrep -fx '.*nixos-container supervise --detached foo'";
    host.shell(&format!("kill -STOP $({supervisor})"));
    let change = format!(
        "d=$(ls -d $NIXOS_CONTAINER_STATE_DIR/.foo.nix/profiles); ln -s {second} $d/system-2-link
         ln -sfn system-2-link $d/system"
    );
    host.shell(&change);
    host.kill_supervisor("foo");
    assert_ne!(system_outside(&host), second);
    host.run(&["start", "foo"]);
    assert_eq!(system_outside(&host), second);
    assert_eq!(system_inside(&host), second);
}

/// A container that changes its links all the time costs the host a part of its time.
#[test]
fn links_without_end_keep_no_supervisor_busy() {
    let host = Host::with_own_nix_and_foo("PRIVATE_USERS=pick");
    host.inside(
        "foo",
        "cd /nix/var/nix/gcroots; mkdir many; cd many
         ln -s -t . /nix/store/{1..20000}; mkdir d{1..200}
         while :; do ln -s x y; rm y; done </dev/null >/dev/null 2>&1 &",
    );
    let second = add_system(&host, 2);
    set_inside(&host, &second);
    await_outside(&host, &second);
    let ticks = || -> u64 {
        let stat = "pid=$(pgrep -fx '.*nixos-container supervise --detached foo')
                    cut -d ' ' -f 14,15 /proc/$pid/stat | tr ' ' +";
        let sum = host.shell(stat);
        sum.trim()
            .split('+')
            .map(|n| n.parse::<u64>().expect("ticks"))
            .sum()
    };
    let (before, began) = (ticks(), std::time::Instant::now());
    // A tick is 10 ms.
    while began.elapsed() < std::time::Duration::from_secs(3) {
        host.run(&["status", "foo"]);
    }
    let busy = (ticks() - before) * 10;
    assert!(busy < 1500, "{busy} ms of 3 s");
    host.run(&["terminate", "foo"]);
}
