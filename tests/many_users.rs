//! Many users of one container at once.

mod common;

use std::collections::BTreeSet;
use std::thread;

use common::talk::{Talk, at_terminal};
use common::{Host, PROGRAM, system};

/// Of each kind.
const USERS: u32 = 10;

/// Options of a system that tells a word, and in which all users can log in.
fn options(word: &str) -> String {
    let accounts: String = (0..USERS)
        .map(|user| format!("u{user} = {{ isNormalUser = true; password = \"secret {user}\"; }}; "))
        .collect();
    format!("environment.etc.told.text = \"{word}\"; users.users = {{ {accounts} }};")
}

fn host_with_users() -> Host {
    let host = Host::new();
    let system = system(&format!(
        "{{ networking.hostName = \"foo\"; {} }}",
        options("nobody's")
    ));
    host.create_of("foo", &system);
    host.offer_program();
    host.run(&["start", "foo"]);
    host
}

#[test]
fn thirty_users_at_once_run_log_in_and_update_without_meeting_each_other() {
    let host = host_with_users();
    // What a first use leaves for good, such as a lock's file.
    update(&host, "first");
    run_session(&host, 0);
    login_session(&host, 0);
    await_quiet(&host);
    let before = resources(&host);

    thread::scope(|scope| {
        for user in 0..USERS {
            let host = &host;
            // One after the other, so that some begin as others end.
            scope.spawn(move || (0..3).for_each(|_| run_session(host, user)));
            scope.spawn(move || (0..2).for_each(|_| login_session(host, user)));
            scope.spawn(move || update(host, &word(user)));
        }
    });

    the_last_update_is_what_runs(&host);
    await_quiet(&host);
    assert_eq!(resources(&host), before);
    host.run(&["stop", "foo"]);
    assert_eq!(locks_held(&host), Vec::<String>::new());
}

/// None is the beginning of another.
fn word(user: u32) -> String {
    format!("word-of-{user}-")
}

/// A user who talks with a command.
fn run_session(host: &Host, user: u32) {
    let script = "while read -r line; do echo \"$0: $line\"; echo \"$0 sighs\" >&2; done; exit $1";
    let name = format!("command {user}");
    let code = (40 + user).to_string();
    let together = format!("exec {PROGRAM} run foo -- bash -c '{script}' '{name}' {code} 2>&1");
    let mut talk = Talk::begin(host.command("bash").args(["-c", &together]));
    for line in 0..50 {
        talk.say(&line.to_string());
        assert_eq!(talk.hear(""), format!("{name}: {line}"));
        assert_eq!(talk.hear(""), format!("{name} sighs"));
    }
    assert_eq!(talk.end(), (Some(40 + user as i32), Vec::new()));
}

/// An ordinary user of the host who logs in, looks, and leaves.
fn login_session(host: &Host, user: u32) {
    let who = 54_000 + user;
    let mut talk = Talk::begin(&at_terminal(
        host,
        &format!(
            "setpriv --reuid={who} --regid={who} --clear-groups {PROGRAM} login foo
             echo code $?"
        ),
    ));
    talk.hear("; press ^] three times within 1 s to leave.");
    talk.await_words("foo login: ");
    talk.say(&format!("u{user}"));
    talk.await_words("Password: ");
    talk.say(&format!("secret {user}"));
    for line in 0..10 {
        talk.await_words(&format!("[u{user}@foo:~]$ "));
        talk.say(&format!("echo $(id -un) s''ays {line}"));
        assert_eq!(talk.hear(" says "), line.to_string());
    }
    let (code, said) = talk.leave();
    assert_eq!(code, Some(0), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("code 0"), "{said:?}");
    for other in (0..USERS).filter(|other| *other != user) {
        let name = format!("u{other}");
        assert!(!said.iter().any(|line| line.contains(&name)), "{said:?}");
    }
}

/// A user who changes the system, which has their word in its files and Nix
/// say it while it builds.
fn update(host: &Host, word: &str) {
    let options = format!("warnings = [ \"{word}\" ]; {}", options(word));
    let output = host.try_run(&["update", "foo", "--config", &options]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains(word), "{stderr}");
    for other in (0..USERS).map(self::word).filter(|other| other != word) {
        assert!(!stderr.contains(&other), "{word}: {stderr}");
    }
}

/// The generations are the system that was created, the first update's, and
/// one of each user, numbered in the order in which they came.
fn the_last_update_is_what_runs(host: &Host) {
    let generations = host.run(&["generations", "foo"]);
    let numbers: Vec<_> = generations
        .lines()
        .map(|line| line.split_whitespace().next().expect("a number").to_owned())
        .collect();
    let expected: Vec<_> = (1..=USERS + 2).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected, "{generations}");
    let last = generations.lines().last().expect("a line");
    assert!(last.ends_with("(current)"), "{generations}");

    let told = host.shell(&format!(
        "cd $NIXOS_CONTAINER_PROFILE_DIR/foo
         for number in {{3..{}}}; do
             cat system-$number-link/etc/told; echo
         done",
        USERS + 2
    ));
    let told: Vec<_> = told.lines().collect();
    let all: BTreeSet<_> = (0..USERS).map(word).collect();
    let once: BTreeSet<_> = told.iter().map(|word| word.to_string()).collect();
    assert_eq!(once, all);
    let runs = host.run(&["run", "foo", "--", "cat", "/etc/told"]);
    assert_eq!(Some(&runs.as_str()), told.last());
    let configured = host.shell("cat $NIXOS_CONTAINER_STATE_DIR/foo/etc/nixos/configuration.nix");
    assert!(configured.contains(&runs), "{configured}");
}

/// Waits until nothing is under way for anybody.
fn await_quiet(host: &Host) {
    host.shell("timeout 60 sh -c 'while pgrep -f [s]erve-login >/dev/null; do sleep 0.01; done'");
    // A user's manager goes ten seconds after the last session, unless asked to.
    let inside = "while systemctl --quiet is-active 'container-getty@*' ||
                      [ \"$(loginctl list-sessions --no-legend)\" ]; do
                      sleep 0.01
                  done
                  systemctl stop 'user@*'
                  systemctl is-system-running --wait";
    let inside = ["run", "foo", "--", "timeout", "60", "sh", "-c", inside];
    assert_eq!(host.run(&inside), "running\n");
}

/// What users of a container could leave behind of what they had, a line each.
/// The container's own files are its own affair.
fn resources(host: &Host) -> Vec<String> {
    let lines = host.inventory();
    let mut lines: Vec<_> = lines
        .into_iter()
        .filter(|line| !line.starts_with("file /run/throwaway/"))
        .collect();
    let more = host.shell(
        "for file in /proc/$(pgrep -f '[s]upervise.* foo$')/fd/*; do
             echo descriptor $(readlink $file | sed 's/[0-9]\\+/N/')
         done | sort
         echo $(wc --lines </proc/net/unix) sockets
         ls $NIXOS_CONTAINER_CONF_DIR | sed 's/^/conf /'",
    );
    let terminals = host.run(&["run", "foo", "--", "ls", "/dev/pts"]);
    lines.extend(more.lines().map(str::to_owned));
    lines.extend(terminals.lines().map(|line| format!("terminal {line}")));
    lines.extend(locks_held(host));
    lines
}

/// The locks of containers, and of their profiles, that a process holds.
fn locks_held(host: &Host) -> Vec<String> {
    let held = host.shell(
        "find /run/nixos-containers $NIXOS_CONTAINER_PROFILE_DIR -name '*lock' -type f |
             sort | while read -r lock; do
                 flock --nonblock $lock true || echo lock $lock
             done",
    );
    held.lines().map(str::to_owned).collect()
}
