//! The log: `--debug`, NIXOS_CONTAINER_LOG and `logs --supervisor`.

mod common;

use common::{Host, minimal_system};

/// Steps of the three processes of a start, in the order in which they happen.
const STEPS: [(&str, &str); 6] = [
    ("command", "spawn the supervisor"),
    ("supervisor", "resolve the configuration"),
    ("supervisor", "clone the child"),
    ("child", "/init"),
    ("supervisor", "init is running"),
    ("supervisor", "the system is up"),
];

/// The lines of a log: milliseconds since the call, process, text.
fn lines(log: &str) -> Vec<(f64, &str, &str)> {
    let parse = |line: &'_ str| -> Option<(f64, usize, usize)> {
        let (before, after) = line.split_once(" ms  ")?;
        let time = before.split_whitespace().last()?.parse().ok()?;
        Some((time, line.len() - after.len(), before.len()))
    };
    log.lines()
        .filter_map(|line| {
            let (time, start, _) = parse(line)?;
            let (process, text) = line[start..].split_once(' ')?;
            Some((time, process, text.trim_start()))
        })
        .collect()
}

/// Fails unless these steps are in the log, each after the one before, by its place
/// and by its time.
fn assert_steps(log: &str, steps: &[(&str, &str)]) {
    let lines = lines(log);
    let mut rest = lines.iter();
    let mut before = 0.0;
    for (process, words) in steps {
        let found = rest.find(|(_, by, text)| by == process && text.contains(words));
        let Some((time, ..)) = found else {
            panic!("{process}: {words}: not in order in\n{log}");
        };
        assert!(
            *time >= before,
            "{process}: {words}: {time} ms after {before} ms"
        );
        before = *time;
    }
}

#[test]
fn debug_logs_each_step_of_all_three_processes() {
    let host = Host::new();
    host.create("foo");
    let output = host.try_run(&["--debug", "start", "foo"]);
    assert!(output.status.success());
    assert_eq!(output.stdout, b"");
    assert_steps(&String::from_utf8_lossy(&output.stderr), &STEPS);
    let log = host.run(&["logs", "--supervisor", "foo"]);
    assert_steps(&log, &STEPS[1..]);
    host.run(&["stop", "foo"]);
    assert_steps(
        &host.run(&["logs", "--supervisor", "foo"]),
        &[
            ("supervisor", "request of a command"),
            ("supervisor", "init has exited"),
            ("supervisor", "the container has ended"),
        ],
    );
}

#[test]
fn log_without_debug_is_the_supervisors_alone_and_short() {
    let host = Host::new();
    host.create("foo");
    let output = host.try_run(&["start", "foo"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let log = host.run(&["logs", "--supervisor", "foo"]);
    let texts: Vec<_> = lines(&log).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts.len(), 2, "{log}");
    assert!(texts[0].starts_with("init is running, with pid "), "{log}");
    assert_eq!(texts[1], "the system is up");
}

#[test]
fn log_variable_is_a_level() {
    let host = Host::new();
    host.create("foo");
    let with_level = |level: &str, arguments: &[&str]| {
        let mut command = host.command("env");
        command
            .arg(format!("NIXOS_CONTAINER_LOG={level}"))
            .arg(env!("CARGO_BIN_EXE_nixos-container"))
            .args(arguments);
        command.output().expect("it runs")
    };
    let output = with_level("loud", &["start", "foo"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: NIXOS_CONTAINER_LOG is \"loud\", but must be off, error, warn, info, debug or \
         trace\n"
    );
    let output = with_level("debug", &["start", "foo"]);
    assert_steps(&String::from_utf8_lossy(&output.stderr), &STEPS);
}

#[test]
fn log_request_that_no_supervisor_has_read_does_not_stay() {
    let host = Host::new();
    host.create_and_start("foo");
    host.run(&["stop", "foo"]);
    let run = "/run/nixos-containers/foo";
    let command = env!("CARGO_BIN_EXE_nixos-container");
    // Held here, the lock turns one supervisor after the other away.
    host.shell(&format!(
        "exec 9>{run}/lock; flock 9
         {command} --debug start foo 9>&- 2>/run/throwaway/told & start=$!
         timeout 60 sh -c '
             until grep -q \"spawn the supervisor\" /run/throwaway/told; do sleep 0.01; done
             until kill -STOP $0; [ ! -e {run}/log-request ]; do kill -CONT $0; sleep 0.01; done
         ' $start
         exec 9>&-; kill -CONT $start; wait $start; [ ! -e {run}/log-request ]
         {command} stop foo"
    ));
    host.run(&["start", "foo"]);
    let log = host.run(&["logs", "--supervisor", "foo"]);
    assert!(!log.contains("clone the child"), "{log}");
}

#[test]
fn log_of_a_refused_start_is_told_and_the_one_before_stays() {
    let host = Host::new();
    host.create_and_start("foo");
    host.run(&["stop", "foo"]);
    let before = host.run(&["logs", "--supervisor", "foo"]);
    host.shell(&format!(
        "printf '%s\n' SYSTEM_PATH={} EXTRA_NSPAWN_FLAGS=--bind=/nowhere \
             >\"$NIXOS_CONTAINER_CONF_DIR/foo.conf\"",
        minimal_system()
    ));
    let stderr = host.fail(1, &["--debug", "start", "foo"]);
    assert_steps(&stderr, &STEPS[..2]);
    assert_eq!(host.run(&["logs", "--supervisor", "foo"]), before);
}
