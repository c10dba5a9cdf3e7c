//! Processes killed at any moment: the next command works, and nothing stays
//! behind.

mod common;

use std::process::Output;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Host, minimal_system, wait};

/// The command under test, as a word of a shell script.
const NIXOS_CONTAINER: &str = env!("CARGO_BIN_EXE_nixos-container");

/// How long a start takes, and some more.
const START: Duration = Duration::from_millis(450);

/// Random moments. Their seed is in the output of a test that fails; given as
/// `NIXOS_CONTAINER_TEST_SEED`, it makes them the same again.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = std::env::var("NIXOS_CONTAINER_TEST_SEED").map_or_else(
            |_| now.expect("after 1970").as_nanos() as u64,
            |seed| seed.parse().expect("a number"),
        );
        println!("NIXOS_CONTAINER_TEST_SEED={seed}");
        // Of the generator below, zero is the one state that stays.
        Self(seed | 1)
    }

    /// A number from 0 up to 1 (xorshift64*, Vigna 2016).
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A moment of something that takes so long, more often an early one: in
    /// the first tenth of a start everything is made that could stay behind.
    fn early_in(&mut self, duration: Duration) -> Duration {
        duration.mul_f64(self.fraction().powi(2))
    }

    fn any_in(&mut self, duration: Duration) -> Duration {
        duration.mul_f64(self.fraction())
    }
}

/// What there is on a host, but for the files in root directories, and those
/// that appear inside as Nix' profiles and roots: they are the container's own,
/// which a boot that is cut off leaves as it pleases.
fn inventory(host: &Host) -> Vec<String> {
    let own = |line: &String| {
        ["state", "profiles", "gcroots"].iter().any(|place| {
            line.strip_prefix(&format!("file /run/throwaway/{place}/"))
                .is_some_and(|rest| rest.contains('/'))
        })
    };
    host.inventory()
        .into_iter()
        .filter(|line| !own(line))
        .collect()
}

fn await_inventory(host: &Host, expected: &[String]) {
    wait::until_lines("the inventory", expected, || inventory(host));
}

/// A container `foo` that was started and stopped, and the inventories without
/// it and with it.
struct Foo {
    host: Host,
    /// Lines of its configuration.
    lines: &'static str,
    without: Vec<String>,
    stopped: Vec<String>,
}

impl Foo {
    fn new() -> Self {
        Self::with("NAT=1\nHOST_PORT=8080:80")
    }

    fn with(lines: &'static str) -> Self {
        let host = Host::new();
        let without = inventory(&host);
        create(&host, lines);
        host.run(&["start", "foo"]);
        host.run(&["stop", "foo"]);
        let mut stopped = without.clone();
        wait::until("the links are gone", || {
            stopped = inventory(&host);
            !stopped.iter().any(|line| line.starts_with("link ve-"))
        });
        Self {
            host,
            lines,
            without,
            stopped,
        }
    }

    /// Starts it, and after this time kills the processes that a shell command
    /// lists, which may be none; the end of `start`. When this returns, the
    /// container is up or down: if a process was killed, its supervisor has
    /// ended.
    fn start_and_kill(&self, after: Duration, processes: &str) -> Output {
        let script = format!(
            "{NIXOS_CONTAINER} start foo & client=$!
             sleep {}
             killed=; supervisor=$({SUPERVISOR})
             # Twice: what was listed may have cloned init and handed over to it meanwhile.
             # Again: what was listed may have cloned init and handed over to it since.
             for _ in 1 2; do
                 for pid in $({processes}); do kill -KILL $pid && killed=1; done 2>/dev/null
             done
             status=0; wait $client || status=$?
             [ ! \"$killed\" ] ||
                 timeout 60 tail --pid=$supervisor --sleep-interval=0.01 -f /dev/null || status=$?
             exit $status",
            after.as_secs_f64()
        );
        let mut shell = self.host.command("bash");
        shell.args(["-c", &script]).output().expect("it runs")
    }

    /// The next command puts all in order: alternately a start, which has to
    /// succeed, and a destruction.
    fn put_in_order(&self, round: u32) {
        let host = &self.host;
        if round.is_multiple_of(2) {
            if host.status("foo") == "down" {
                host.run(&["start", "foo"]);
            }
            assert_eq!(host.status("foo"), "up");
            host.run(&["stop", "foo"]);
            await_inventory(host, &self.stopped);
        } else {
            host.run(&["destroy", "foo"]);
            await_inventory(host, &self.without);
            create(host, self.lines);
        }
    }
}

fn create(host: &Host, lines: &str) {
    host.create("foo");
    host.append_conf("foo", lines);
}

/// Two processes mount and wait for each other before there is an init.
const OWN_USERS: &str = "PRIVATE_USERS=pick";

const SUPERVISOR: &str = "pgrep -fx '.*nixos-container supervise --detached foo'";
const INIT: &str = "pgrep -P $(pgrep -fx '.*nixos-container supervise --detached foo')";

#[test]
fn a_supervisor_killed_during_a_start_leaves_nothing_after_the_next_command() {
    kill_supervisors(&Foo::new(), 20);
}

#[test]
fn with_users_of_its_own_a_killed_supervisor_leaves_nothing_either() {
    kill_supervisors(&Foo::with(OWN_USERS), 10);
}

fn kill_supervisors(container: &Foo, rounds: u32) {
    let mut moments = Moments::new();
    for round in 0..rounds {
        let moment = moments.early_in(START);
        println!("killed after {moment:?}");
        container.start_and_kill(moment, "echo $supervisor");
        container.put_in_order(round);
    }
}

#[test]
fn a_container_does_not_outlive_its_supervisor() {
    let foo = Foo::new();
    let host = &foo.host;
    host.run(&["start", "foo"]);
    host.shell(&format!("kill -KILL $({SUPERVISOR})"));
    wait::until("its processes are gone", || {
        host.shell("pgrep -x systemd || true").is_empty()
    });
    assert_eq!(host.status("foo"), "down");
    host.run(&["stop", "foo"]);
    await_inventory(host, &foo.stopped);
}

#[test]
fn a_link_that_outlives_its_container_is_in_nobodys_way() {
    let foo = Foo::new();
    let host = &foo.host;
    host.run(&["start", "foo"]);
    // An open descriptor of the network namespace keeps the link alive.
    host.shell(&format!(
        "exec 9</proc/$({INIT})/ns/net
         kill -KILL $({SUPERVISOR})
         {NIXOS_CONTAINER} start foo
         exec 9</proc/$({INIT})/ns/net
         {NIXOS_CONTAINER} destroy foo
         ! ip link show ve-foo 2>/dev/null"
    ));
    await_inventory(host, &foo.without);
}

#[test]
fn an_init_killed_during_a_start_leaves_nothing() {
    kill_inits(&Foo::new(), 20);
}

#[test]
fn with_users_of_its_own_a_killed_init_leaves_nothing_either() {
    kill_inits(&Foo::with(OWN_USERS), 10);
}

fn kill_inits(container: &Foo, rounds: u32) {
    let mut moments = Moments::new();
    for round in 0..rounds {
        let moment = moments.early_in(START);
        println!("killed after {moment:?}");
        let start = container.start_and_kill(moment, "pgrep -P $supervisor");
        let stderr = String::from_utf8_lossy(&start.stderr);
        if !start.status.success() {
            assert_eq!(start.status.code(), Some(1), "{stderr}");
            assert!(
                stderr.contains("error: cannot start container 'foo': "),
                "{stderr}"
            );
        }
        // The supervisor of a killed init leaves nothing, and needs no further
        // command for that.
        match &*container.host.status("foo") {
            "down" => await_inventory(&container.host, &container.stopped),
            settled => assert_eq!(settled, "up", "{stderr}"),
        }
        container.put_in_order(round);
    }
}

#[test]
fn a_killed_client_does_not_keep_the_container_from_starting() {
    let mut moments = Moments::new();
    let foo = Foo::new();
    for signal in ["KILL", "INT", "TERM", "HUP"] {
        for _ in 0..3 {
            let moment = moments.early_in(START);
            println!("SIG{signal} after {moment:?}");
            // As a terminal does it: the signal goes to the process group.
            let script = format!(
                "timeout --signal={signal} {} {NIXOS_CONTAINER} start foo",
                moment.as_secs_f64()
            );
            let _ = foo.host.command("bash").args(["-c", &script]).output();
            wait::until("it settles", || foo.host.status("foo") != "starting");
            foo.host.run(&["stop", "foo"]);
            await_inventory(&foo.host, &foo.stopped);
        }
    }
}

#[test]
fn a_stop_during_a_start_wins() {
    let mut moments = Moments::new();
    let foo = Foo::new();
    let host = &foo.host;
    for _ in 0..10 {
        let moment = moments.early_in(START);
        println!("stopped after {moment:?}");
        thread::scope(|scope| {
            let start = scope.spawn(|| host.try_run(&["start", "foo"]));
            thread::sleep(moment);
            host.run(&["stop", "foo"]);
            let start = start.join().expect("it ran");
            let stderr = String::from_utf8_lossy(&start.stderr);
            if !start.status.success() {
                let stopped = "error: container 'foo' was stopped while it started\n";
                // It came while the container halted.
                let stopping = "error: container 'foo' is stopping; try again";
                let why = stderr.ends_with(stopped) || stderr.contains(stopping);
                assert!(why, "{stderr}");
                assert_eq!(host.status("foo"), "down");
            }
        });
        // It may have been stopped before the start began.
        host.run(&["stop", "foo"]);
        await_inventory(host, &foo.stopped);
    }
}

/// NixOS' stage 2 is a script of bash, which has no handler for the signal.
#[test]
fn a_halt_reaches_stage_2() {
    let host = Host::new();
    let system = host.shell(
        "system=$(mktemp -d)/test-system; mkdir $system
         printf '%s\n' '#!/usr/bin/bash' 'echo this is $0' 'while :; do sleep 0.01; done' \
             >$system/init
         chmod +x $system/init
         nix-store --add $system",
    );
    host.create_of("foo", system.trim());
    // The machine's bash.
    let flags = host.shell("printf -- '--bind-ro=%s ' /usr /lib*");
    host.append_conf("foo", &format!("EXTRA_NSPAWN_FLAGS='{flags}'"));
    let said = host.shell(&format!(
        "{NIXOS_CONTAINER} start foo 2>&1 & start=$!
         until {NIXOS_CONTAINER} logs foo 2>/dev/null | grep this; do [ $SECONDS -lt 60 ]; done
         timeout 60 {NIXOS_CONTAINER} stop foo
         ! wait $start"
    ));
    assert!(
        said.contains("this is /nix/var/nix/profiles/system/init"),
        "{said}"
    );
    assert!(
        said.contains("container 'foo' was stopped while it started"),
        "{said}"
    );
}

#[test]
fn of_two_starts_at_once_one_starts_it_and_the_other_waits_for_it() {
    let foo = Foo::new();
    let host = &foo.host;
    for _ in 0..5 {
        let outputs = thread::scope(|scope| {
            let start = || host.try_run(&["start", "foo"]);
            let both = [scope.spawn(start), scope.spawn(start)];
            both.map(|start| start.join().expect("it ran"))
        });
        let mut ends = outputs.map(|start| {
            let stderr = String::from_utf8_lossy(&start.stderr);
            (start.status.code(), without_notes(&stderr))
        });
        ends.sort();
        let [winner, loser] = ends;
        assert_eq!(winner, (Some(0), String::new()));
        let losers = [
            "note: another command has started container 'foo'\n",
            "note: container 'foo' is already running\n",
        ];
        assert_eq!(loser.0, Some(0), "{loser:?}");
        assert!(losers.contains(&&*loser.1), "{loser:?}");
        assert_eq!(host.status("foo"), "up");
        host.run(&["stop", "foo"]);
        await_inventory(host, &foo.stopped);
    }
}

#[test]
fn of_two_starts_that_fail_both_tell_why() {
    let host = Host::new();
    let system =
        host.system_with_init("until [ -e /go ]; do read -t 0.05 x <>/dev/zero; done; exit 3");
    host.create_of("foo", &system);
    let said = host.shell(&format!(
        "{NIXOS_CONTAINER} start foo >/dev/null 2>&1 & first=$!
         until [ $({NIXOS_CONTAINER} status foo) = starting ]; do [ $SECONDS -lt 60 ]; done
         {NIXOS_CONTAINER} start foo 2>&1 & second=$!
         # It waits for what the supervisor tells.
         until read -r call _ </proc/$second/syscall && [ $call = {} ]; do [ $SECONDS -lt 60 ]; done
         touch {}/foo/go
         ! wait $first; ! wait $second",
        libc::SYS_recvmsg,
        host.place("STATE_DIR").display()
    ));
    let why = "cannot start container 'foo': the container's init exited with status 3";
    assert!(said.contains(why), "{said}");
}

#[test]
fn starting_twice_and_stopping_twice_is_said() {
    let foo = Foo::new();
    let host = &foo.host;
    let said = |arguments: &[&str]| {
        let output = host.try_run(arguments);
        assert!(output.status.success(), "{output:?}");
        without_notes(&String::from_utf8_lossy(&output.stderr))
    };
    assert_eq!(said(&["start", "foo"]), "");
    let runs = "note: container 'foo' is already running\n";
    assert_eq!(said(&["start", "foo"]), runs);
    assert_eq!(host.status("foo"), "up");
    assert_eq!(said(&["stop", "foo"]), "");
    let ran_not = "note: container 'foo' was not running\n";
    assert_eq!(said(&["stop", "foo"]), ran_not);
    assert_eq!(said(&["restart", "foo"]), "");
    assert_eq!(said(&["stop", "foo"]), "");
    await_inventory(host, &foo.stopped);
}

#[test]
fn a_stop_between_the_lock_and_the_socket_of_a_start_is_heard() {
    let foo = Foo::new();
    let host = &foo.host;
    // Where a supervisor has the lock, it first takes back a name that a killed
    // one has left; in the file of names it waits for its turn.
    host.shell(&format!(
        "echo '10.233.1.2 foo # nixos-container foo' >>/etc/hosts
         exec 9>>/run/nixos-containers/.hosts.lock; flock 9
         await_call() {{
             until read -r call _ </proc/$1/syscall && [ \"$call\" = $2 ]; do
                 [ $SECONDS -lt 60 ]
             done
         }}
         {NIXOS_CONTAINER} start foo >/dev/null 2>&1 9>&- & start=$!
         supervisor=; until [ \"$supervisor\" ]; do
             read -r supervisor </proc/$start/task/$start/children || [ $SECONDS -lt 60 ]
         done
         await_call $supervisor {}
         cd /run/nixos-containers/foo
         [ \"$(flock --nonblock lock echo free)\" = '' ]
         [ ! -S control ]
         {NIXOS_CONTAINER} stop foo >/dev/null 2>&1 9>&- & stop=$!
         # It has looked for the socket, and will look again.
         await_call $stop {}
         flock --unlock 9
         timeout 60 tail --pid=$stop -f /dev/null
         wait $stop",
        libc::SYS_flock,
        libc::SYS_clock_nanosleep,
    ));
    assert_eq!(host.status("foo"), "down");
    await_inventory(host, &foo.stopped);
}

#[test]
fn a_command_that_hangs_up_when_the_container_is_told_to_halt_disturbs_nothing() {
    let foo = Foo::new();
    let host = &foo.host;
    host.run(&["start", "foo"]);
    // The supervisor finds both at once when it is woken.
    host.shell(&format!(
        "supervisor=$({SUPERVISOR})
         {NIXOS_CONTAINER} run foo -- sleep 600 & run=$!
         until {NIXOS_CONTAINER} run foo -- pgrep -x sleep >/dev/null; do :; done
         kill -STOP $supervisor
         kill -KILL $run
         kill -TERM $supervisor
         kill -CONT $supervisor"
    ));
    host.await_status("foo", "down");
    await_inventory(host, &foo.stopped);
}

#[test]
fn a_creation_killed_at_any_moment_never_was() {
    let mut moments = Moments::new();
    let host = Host::new();
    let before = inventory(&host);
    let create = ["create", "foo", "--config", ""];
    let start = Instant::now();
    host.run(&create);
    let duration = start.elapsed();
    host.run(&["destroy", "foo"]);
    for round in 0..12 {
        let moment = moments.any_in(duration);
        println!("killed after {moment:?}");
        let script = format!(
            "timeout --foreground --signal=KILL {} {NIXOS_CONTAINER} create foo --config ''",
            moment.as_secs_f64()
        );
        let killed = host
            .command("bash")
            .args(["-c", &script])
            .output()
            .expect("it runs");
        // Either it was done but for its own end, or it never was.
        let done = host.run(&["list"]) == "foo\n";
        assert!(done || !killed.status.success(), "{killed:?}");
        match round % 3 {
            _ if done => {
                host.run(&["start", "foo"]);
            }
            0 => {}
            1 => {
                host.create("foo");
                assert_eq!(host.run(&["show-ip", "foo"]), "10.233.1.2\n");
            }
            _ => {
                host.create("bar");
                assert_eq!(host.run(&["show-ip", "bar"]), "10.233.1.2\n");
                host.run(&["destroy", "bar"]);
                // That of foo is gone before anybody names it again.
                await_inventory(&host, &before);
            }
        }
        host.run(&["destroy", "foo"]);
        await_inventory(&host, &before);
    }
}

#[test]
fn a_killed_creation_takes_its_build_along() {
    let host = Host::new();
    let before = inventory(&host);
    let nixos = "/run/throwaway/slow.nix";
    host.shell(&format!(
        "cat >{nixos} <<'END'
         {{ configuration ? <nixos-config> }}: {{
           system = derivation {{
             name = \"slow-${{toString builtins.currentTime}}\";
             system = builtins.currentSystem;
             builder = \"/bin/sh\";
             args = [ \"-c\" \"echo the-build-runs >&2; exec /bin/sleep 600\" ];
           }};
         }}\nEND"
    ));
    let script = format!(
        "{NIXOS_CONTAINER} create foo --nixos-path {nixos} 2>&1 & create=$!
         until pgrep -fx '/bin/sleep 600' >/dev/null; do sleep 0.01; done
         kill -KILL $create"
    );
    host.shell(&script);
    wait::until("the build is gone", || {
        let left = host.shell("pgrep -x 'nix-build' || true; pgrep -fx '/bin/sleep 600' || true");
        left.is_empty()
    });
    host.run(&["destroy", "foo"]);
    await_inventory(&host, &before);
}

#[test]
fn files_that_were_there_before_survive_a_killed_creation() {
    let mut moments = Moments::new();
    let host = Host::new();
    let root = host.place("STATE_DIR").join("foo").display().to_string();
    host.shell(&format!("mkdir -p {root}; echo precious >{root}/data"));
    for _ in 0..4 {
        let moment = moments.any_in(Duration::from_millis(100));
        println!("killed after {moment:?}");
        let script = format!(
            "timeout --foreground --signal=KILL {} {NIXOS_CONTAINER} create foo --reuse-root --system-path {}",
            moment.as_secs_f64(),
            minimal_system()
        );
        let killed = host
            .command("bash")
            .args(["-c", &script])
            .output()
            .expect("it runs");
        assert_eq!(host.shell(&format!("cat {root}/data")), "precious\n");
        // Killed in its last moment, it has made a whole container.
        if killed.status.success() || !host.run(&["list"]).is_empty() {
            return;
        }
        host.fail(25, &["create", "foo", "--system-path", minimal_system()]);
        assert_eq!(host.shell(&format!("cat {root}/data")), "precious\n");
    }
    host.create_with("foo", &["--reuse-root"]);
    assert_eq!(host.shell(&format!("cat {root}/data")), "precious\n");
}

#[test]
fn a_destruction_killed_at_any_moment_is_finished_by_the_next() {
    let mut moments = Moments::new();
    let host = Host::new();
    let before = inventory(&host);
    for round in 0..12 {
        if host.run(&["list"]).is_empty() {
            host.create("foo");
        }
        // Of a container that runs, and of one that does not.
        if round % 2 == 0 {
            host.run(&["start", "foo"]);
        }
        let moment = moments.any_in(Duration::from_millis(if round % 2 == 0 { 250 } else { 60 }));
        println!("killed after {moment:?}");
        let script = format!(
            "timeout --foreground --signal=KILL {} {NIXOS_CONTAINER} destroy foo",
            moment.as_secs_f64()
        );
        let _ = host.command("bash").args(["-c", &script]).output();
        if round % 3 == 0 && host.run(&["list"]).is_empty() {
            // As good as another destruction: a new container has nothing of
            // the old one.
            host.create("foo");
            let root = host.place("STATE_DIR").join("foo");
            assert_eq!(host.shell(&format!("ls -A {}", root.display())), "");
        }
        host.run(&["destroy", "foo"]);
        await_inventory(&host, &before);
    }
}

/// As with Ctrl-Z.
#[test]
fn a_destruction_that_pauses_leaves_a_later_container_of_the_name_alone() {
    let host = Host::new();
    host.create("foo");
    host.shell(&format!(
        "cd $NIXOS_CONTAINER_STATE_DIR; mkdir foo/many; seq 20000 | (cd foo/many; xargs touch)
         {NIXOS_CONTAINER} destroy foo & destroy=$!
         while [ -e $NIXOS_CONTAINER_CONF_DIR/foo.conf ]; do :; done
         kill -STOP $destroy; [ -d foo/many ]
         {NIXOS_CONTAINER} create foo --system-path {} 2>/dev/null & create=$!
         timeout 1 tail --pid=$create -f /dev/null || true
         kill -CONT $destroy; wait $destroy; wait $create",
        minimal_system()
    ));
    host.run(&["start", "foo"]);
}

#[test]
fn two_destructions_at_once_are_as_good_as_one() {
    let host = Host::new();
    let before = inventory(&host);
    for _ in 0..4 {
        host.create_and_start("foo");
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| host.run(&["destroy", "foo"]));
            }
        });
        await_inventory(&host, &before);
    }
}

#[test]
fn a_reboot_inside_starts_the_container_over() {
    reboot(&Foo::new());
    // Only who administers the PID namespace may (man 2 reboot).
    reboot(&Foo::with(OWN_USERS));
}

fn reboot(container: &Foo) {
    let host = &container.host;
    host.run(&["start", "foo"]);
    let boot_id = || host.try_run(&["run", "foo", "--", "cat", "/proc/sys/kernel/random/boot_id"]);
    let first = boot_id().stdout;
    host.try_run(&["run", "foo", "--", "systemctl", "reboot"]);
    wait::until("a second boot", || {
        let second = boot_id();
        second.status.success() && second.stdout != first
    });
    host.await_status("foo", "up");
    host.run(&["stop", "foo"]);
    await_inventory(host, &container.stopped);
}

#[test]
fn a_poweroff_inside_halts_the_container() {
    let foo = Foo::new();
    let host = &foo.host;
    host.run(&["start", "foo"]);
    host.try_run(&["run", "foo", "--", "systemctl", "poweroff"]);
    host.await_status("foo", "down");
    await_inventory(host, &foo.stopped);
}

#[test]
fn sigterm_to_the_supervisor_halts_the_container_cleanly() {
    let foo = Foo::new();
    let host = &foo.host;
    host.run(&["start", "foo"]);
    host.shell(&format!("kill -TERM $({SUPERVISOR})"));
    host.await_status("foo", "down");
    await_inventory(host, &foo.stopped);
    let console = host.run(&["logs", "foo"]);
    for sign in ["Reached target", "shutdown.target", "Halting system."] {
        assert!(console.contains(sign), "no {sign:?} in {console}");
    }
}

/// Lets `foo` run a system whose init is this script.
fn with_init(host: &Host, script: &str) {
    let system = host.system_with_init(script);
    host.append_conf("foo", &format!("SYSTEM_PATH={system}"));
}

/// What a start wrote, without what it tells of the host's settings.
fn without_notes(stderr: &str) -> String {
    let lines = stderr
        .lines()
        .filter(|line| !line.starts_with("note: net."));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn an_init_that_dies_at_once_is_shown_with_its_last_words() {
    let foo = Foo::new();
    let host = &foo.host;
    with_init(host, "echo these are my last words; exit 3");
    assert_eq!(
        without_notes(&host.fail(1, &["start", "foo"])),
        "error: cannot start container 'foo': the container's init exited with status 3 before \
         the system had booted\n\
         The end of its console (all of it: `nixos-container logs foo`):\n\
         these are my last words\n"
    );
    assert_eq!(host.status("foo"), "down");
    await_inventory(host, &foo.stopped);
}

#[test]
fn a_boot_that_takes_too_long_is_ended_and_the_error_says_so() {
    let foo = Foo::new();
    let host = &foo.host;
    with_init(host, "echo still thinking; while :; do sleep 1; done");
    let conf = host.conf_path("foo");
    host.append_conf("foo", "TIMEOUT_START_SEC=1");
    let start = Instant::now();
    assert_eq!(
        without_notes(&host.fail(1, &["start", "foo"])),
        format!(
            "error: cannot start container 'foo': the system had not booted after 1 s and was \
             killed; if it needs longer, set TIMEOUT_START_SEC in {conf}\n\
             The end of its console (all of it: `nixos-container logs foo`):\n\
             still thinking\n"
        )
    );
    assert!(start.elapsed() >= Duration::from_secs(1), "it had its time");
    assert_eq!(host.status("foo"), "down");
    await_inventory(host, &foo.stopped);
}
