//! A soak: thousands of random operations on one host with twenty names, and a
//! container that lives through all of them. Nothing may hang, panic or stay behind,
//! and the supervisor of that container may not grow.
//!
//!     soak [--operations NUMBER] [--seed NUMBER]
//!
//! `make soak` runs it; `make test` does not. A failure prints the seed and the last
//! operations. The operations follow from the seed; what a kill interrupts does not.

mod common;

use std::collections::VecDeque;
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Host, minimal_system};

/// The container that no operation stops.
const WITNESS: &str = "witness";

/// The names of the others.
const NAMES: usize = 20;

/// The time after which a command counts as hung, in seconds, as `timeout` takes it.
const HUNG: &str = "120";

/// The exit status of `timeout` for a command that it has ended.
const TIMED_OUT: i32 = 124;

/// How many operations a failure prints.
const REMEMBERED: usize = 30;

/// How many operations lie between two looks at the witness.
const LOOK: u32 = 200;

/// How much the resident memory of the witness' supervisor may differ, in KiB: the
/// allocator keeps some of what it has needed once.
const SLACK: u64 = 1024;

fn main() {
    let (operations, seed) = arguments();
    println!("soak: {operations} operations, seed {seed}");
    let began = Instant::now();
    let mut soak = Soak::new(seed);
    soak.prepare();
    for number in 1..=operations {
        soak.operate(number);
        if number % LOOK == 0 {
            soak.look_at_witness();
            let elapsed = began.elapsed().as_secs();
            println!("soak: {number} operations, {elapsed} s, {}", soak.size);
        }
    }
    soak.finish();
    println!(
        "soak: passed: {operations} operations in {} s, seed {seed}; {} kills; the witness' \
         supervisor: {}",
        began.elapsed().as_secs(),
        soak.kills,
        soak.size
    );
}

/// The number of operations and the seed.
fn arguments() -> (u32, u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut chosen = (10_000, now.expect("after 1970").as_secs());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        match (word.as_str(), value.parse()) {
            ("--operations", Ok(number)) => chosen.0 = number,
            ("--seed", Ok(number)) => chosen.1 = u64::from(number),
            _ => {
                eprintln!("error: usage: soak [--operations NUMBER] [--seed NUMBER]");
                std::process::exit(2);
            }
        }
    }
    chosen
}

/// Random numbers (SplitMix64; Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What is known of a container.
#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Absent,
    Down,
    Up,
    /// A kill may have changed it.
    Unknown,
}

/// The size of a supervisor.
#[derive(Default, Clone, Copy, PartialEq)]
struct Size {
    descriptors: usize,
    /// Resident memory in KiB.
    memory: u64,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            descriptors,
            memory,
        } = self;
        write!(f, "{descriptors} descriptors, {memory} KiB")
    }
}

struct Soak {
    host: Host,
    seed: u64,
    random: Random,
    before: Vec<String>,
    program: String,
    shell: String,
    states: Vec<State>,
    /// Which of them run a program instead of a system: it has no users.
    is_program: Vec<bool>,
    last: VecDeque<String>,
    kills: u32,
    /// The size of the witness' supervisor at the first and at the last look.
    first_size: Option<Size>,
    size: Size,
}

impl Drop for Soak {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("soak: failed with seed {}; the last operations:", self.seed);
            for operation in &self.last {
                eprintln!("  {operation}");
            }
        }
    }
}

/// The name of the container with this number.
fn name(number: usize) -> String {
    format!("c{number}")
}

impl Soak {
    fn new(seed: u64) -> Self {
        let host = Host::new();
        // A program boots at once and halts at a signal, where systemd takes seconds.
        let program =
            host.system_with_init("trap 'exit 0' TERM\nwhile true; do sleep 9 & wait; done");
        let shell = host.shell(&format!(
            "sed -n '1s/^#!\\([^ ]*\\).*/\\1/p' {}/init",
            minimal_system()
        ));
        Self {
            before: host.inventory(),
            host,
            seed,
            random: Random(seed),
            program,
            shell: shell.trim().to_owned(),
            states: vec![State::Absent; NAMES],
            is_program: vec![false; NAMES],
            last: VecDeque::new(),
            kills: 0,
            first_size: None,
            size: Size::default(),
        }
    }

    /// Starts the witness, and does with it once what the operations do: a first use
    /// of each kind needs memory that stays.
    fn prepare(&mut self) {
        self.host.create_and_start(WITNESS);
        for _ in 0..20 {
            self.use_witness();
        }
    }

    /// Runs the command, which may fail, and may neither hang nor panic.
    fn run(&mut self, arguments: &[&str]) -> Output {
        self.note(arguments.join(" "));
        let mut command = self.host.command("timeout");
        command.args([HUNG, env!("CARGO_BIN_EXE_nixos-container")]);
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output = output.expect("it runs");
        assert_ne!(output.status.code(), Some(TIMED_OUT), "{arguments:?} hangs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        output
    }

    /// The same; it must succeed if the container is not in an unknown state.
    fn must(&mut self, state: State, arguments: &[&str]) -> bool {
        let output = self.run(arguments);
        let succeeded = output.status.success();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            succeeded || state == State::Unknown,
            "{arguments:?}: {}: {said}",
            output.status
        );
        succeeded
    }

    fn note(&mut self, operation: String) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(operation);
    }

    fn operate(&mut self, number: u32) {
        let which = self.random.below(NAMES);
        let kind = self.random.below(100);
        self.note(format!(
            "{number}: {} is {:?}",
            name(which),
            self.states[which]
        ));
        match (self.states[which], kind) {
            (_, 0..8) => self.kill_something(),
            (_, 8..16) => self.interrupt(which),
            (_, 16..22) => self.use_witness(),
            (State::Absent, _) => self.create(which),
            (_, 22..30) => self.destroy(which),
            (_, 30..34) => self.update(which),
            (State::Down, _) => self.start(which),
            (_, 34..48) => self.stop(which),
            (_, 48..54) => self.start(which),
            _ => self.enter(which),
        }
        if self.states[which] == State::Unknown {
            self.settle(which);
        }
    }

    fn create(&mut self, which: usize) {
        let name = name(which);
        self.is_program[which] = self.random.below(8) > 0;
        if self.is_program[which] {
            let program = self.program.clone();
            self.must(State::Absent, &["create", &name, "--system-path", &program]);
            self.configure_program(which);
        } else {
            self.must(State::Absent, &["create", &name, "--config", ""]);
        }
        self.states[which] = State::Down;
    }

    /// Lets a program count as up when it runs, and gives it a shell for `run`. Half of
    /// them have users of their own.
    fn configure_program(&mut self, which: usize) {
        let root = self.host.place("STATE_DIR").join(name(which)).join("bin");
        let root = root.display();
        self.host
            .shell(&format!("mkdir -p {root}; ln -sf {} {root}/sh", self.shell));
        let users = self.random.of(&["no", "pick"]);
        self.host.append_conf(
            &name(which),
            &format!(
                "PRIVATE_USERS={users}\n\
                 EXTRA_NSPAWN_FLAGS=\"--notify-ready=no --kill-signal=SIGTERM\""
            ),
        );
    }

    fn start(&mut self, which: usize) {
        if self.must(self.states[which], &["start", &name(which)]) {
            self.states[which] = State::Up;
        }
    }

    fn stop(&mut self, which: usize) {
        let name = name(which);
        let state = self.states[which];
        let words = self.random.of(&["stop", "stop", "terminate", "restart"]);
        if self.must(state, &[words, &name]) {
            self.states[which] = match words {
                "restart" => State::Up,
                "stop" => State::Down,
                // The container ends a moment later.
                _ => State::Unknown,
            };
        }
    }

    fn destroy(&mut self, which: usize) {
        let state = self.states[which];
        let name = name(which);
        let arguments = ["destroy", &name, "--force"];
        let count = 2 + self.random.below(2);
        if self.must(state, &arguments[..count]) {
            self.states[which] = State::Absent;
        }
    }

    /// Only a container with a configuration of its own can be updated.
    fn update(&mut self, which: usize) {
        let name = name(which);
        if self.is_program[which] {
            let output = self.run(&["update", &name]);
            assert!(!output.status.success(), "{name} has no configuration");
        } else {
            self.must(self.states[which], &["update", &name]);
        }
    }

    fn enter(&mut self, which: usize) {
        let shell = self.shell.clone();
        let name = name(which);
        let state = self.states[which];
        match self.random.below(4) {
            0 if !self.is_program[which] => {
                self.must(state, &["enter", &name, "--root", "--", &shell, "true"])
            }
            1 => self.must(state, &["list", "--long"]),
            2 => self.must(state, &["logs", &name]),
            _ => self.must(state, &["run", &name, "--", &shell, "true"]),
        };
    }

    fn use_witness(&mut self) {
        for arguments in [
            &["run", WITNESS, "--", "true"][..],
            &["enter", WITNESS, "--root", "--", "true"],
            &["status", WITNESS],
            &["list", "--long"],
            &["logs", WITNESS, "--supervisor"],
        ] {
            self.must(State::Up, arguments);
        }
    }

    /// Kills a process of ours, or the init of a container, but for those of the
    /// witness.
    fn kill_something(&mut self) {
        let table = self.host.shell("ps -eo pid=,ppid=,args=");
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let is_supervisor = |row: &[&str]| row.contains(&"supervise") && !row.contains(&WITNESS);
        let supervisors = rows.iter().filter(|row| is_supervisor(row));
        let supervisors: Vec<_> = supervisors.map(|row| row[0]).collect();
        let is_ours =
            |row: &&Vec<&str>| supervisors.contains(&row[0]) || supervisors.contains(&row[1]);
        let victims: Vec<_> = rows.iter().filter(is_ours).collect();
        if victims.is_empty() {
            return;
        }
        let victim = victims[self.random.below(victims.len())];
        let (pid, words) = (victim[0], victim[2..].join(" "));
        self.note(format!("kill -KILL {pid} ({words})"));
        self.kills += 1;
        self.host.shell(&format!("kill -KILL {pid} || true"));
        // The victim may be an init, which does not tell its container's name.
        for which in 0..NAMES {
            if self.states[which] == State::Up {
                self.states[which] = State::Unknown;
            }
        }
    }

    /// Kills a command at a random moment.
    fn interrupt(&mut self, which: usize) {
        let name = name(which);
        let program = self.program.clone();
        let arguments = match self.random.below(6) {
            0 | 1 => vec!["create", &name, "--system-path", &program],
            2 => vec!["destroy", &name],
            3 => vec!["stop", &name],
            4 => vec!["start", &name],
            _ => vec!["restart", &name],
        };
        if arguments[0] == "create" && self.states[which] == State::Absent {
            self.is_program[which] = true;
        }
        let moment = Duration::from_millis(self.random.next() % 150);
        self.note(format!("{} killed after {moment:?}", arguments.join(" ")));
        let mut command = self.host.nixos_container(&arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut command = command.spawn().expect("it runs");
        thread::sleep(moment);
        let _ = command.kill();
        let _ = command.wait();
        self.kills += 1;
        self.states[which] = State::Unknown;
    }

    /// Finds out about a container whose state is unknown: commands settle what a kill
    /// has left.
    fn settle(&mut self, which: usize) {
        let name = name(which);
        let listed = self.run(&["list"]).stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        if !listed.lines().any(|line| line == name) {
            self.states[which] = State::Absent;
            return;
        }
        self.must(State::Up, &["stop", &name]);
        // A creation that was killed may not have come to this.
        if self.is_program[which] && !self.host.conf(&name).contains("notify-ready") {
            self.configure_program(which);
        }
        self.states[which] = State::Down;
    }

    /// Compares the size of the witness' supervisor with that of the first look.
    fn look_at_witness(&mut self) {
        assert_eq!(self.host.status(WITNESS), "up");
        let pid = self
            .host
            .shell(&format!("pgrep -fx '.*supervise --detached {WITNESS}'"));
        let pid = pid.trim();
        let numbers = self.host.shell(&format!(
            "ls /proc/{pid}/fd | wc -l; sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/{pid}/status"
        ));
        let mut numbers = numbers
            .split_whitespace()
            .map(|number| number.parse().expect("a number"));
        let mut next = || numbers.next().expect("two numbers");
        self.size = Size {
            descriptors: usize::try_from(next()).expect("few"),
            memory: next(),
        };
        let first = *self.first_size.get_or_insert(self.size);
        assert_eq!(self.size.descriptors, first.descriptors, "descriptors grow");
        assert!(
            self.size.memory <= first.memory + SLACK,
            "memory grows from {first} to {}",
            self.size
        );
    }

    /// Destroys all containers; then nothing is left.
    fn finish(&mut self) {
        self.look_at_witness();
        for which in 0..NAMES {
            let name = name(which);
            // Removes what a killed creation or destruction has left of the name.
            if self.states[which] == State::Absent {
                self.create(which);
            }
            self.must(State::Up, &["destroy", &name]);
        }
        self.must(State::Up, &["destroy", WITNESS]);
        self.host.await_inventory(&self.before);
    }
}
