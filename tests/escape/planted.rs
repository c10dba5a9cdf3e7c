//! Links in a container's root, in the place of all that a start makes, mounts over,
//! reads and writes; and links that come while it does.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags};
use serde_json::Value;

use crate::common::Host;
use crate::stage::Stage;

/// What links lead to: files and directories that a start must not change.
const VICTIM: &str = "/run/throwaway/canary/victim";

/// The container's root directory.
const ROOT: &str = "/run/throwaway/state/foo";

/// A host with a victim, and a container with an init that ends at once.
fn prepare(lines: &str) -> Stage {
    let stage = Stage::new();
    let host = &stage.host;
    host.shell(&format!(
        "mkdir -p {VICTIM}/directory /var/log/journal
         echo precious | tee {VICTIM}/file {VICTIM}/directory/file >/dev/null"
    ));
    let system = host.system_with_init("ls /data /srv; exit 1");
    host.create_of("foo", &system);
    host.append_conf("foo", lines);
    stage
}

/// The victim with its contents, and all that is mounted on it.
fn victim(host: &Host) -> String {
    host.shell(&format!(
        "cd {VICTIM}; find . -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort
         cat file directory/file; grep -c {VICTIM} /proc/self/mountinfo || true"
    ))
}

/// The paths inside that the steps of a start name.
fn paths_of_the_plan(host: &Host) -> Vec<String> {
    let plan = host.run(&["explain", "foo", "--json"]);
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let mut paths = Vec::new();
    collect_paths(&plan, &mut paths);
    paths.sort();
    paths.dedup();
    paths
}

fn is_below(path: &str, directory: &str) -> bool {
    let below = path.strip_prefix(directory);
    below.is_some_and(|rest| rest.starts_with('/'))
}

fn collect_paths(value: &Value, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(path) if ["target", "path"].contains(&key.as_str()) => {
                        paths.push(path.to_owned());
                    }
                    _ => collect_paths(value, paths),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_paths(value, paths)),
        _ => {}
    }
}

/// CVE-2021-30465, CVE-2025-31133 and CVE-2025-52565, as far as the links are there
/// before: each of them put a link in the place of a mount point or of a mount's
/// source.
#[test]
fn a_start_follows_no_link_in_the_place_of_what_it_makes() {
    let lines = "PRIVATE_USERS=pick\nCOPY_RESOLV_CONF=1\nEXTRA_NSPAWN_FLAGS='--link-journal=host \
        --bind-ro=/run/throwaway/canary/shared:/data --tmpfs=/srv --timezone=copy'";
    let stage = prepare(lines);
    let host = &stage.host;
    let before = victim(host);
    let mut paths = paths_of_the_plan(host);
    paths.extend(["/etc/machine-id", "/var/log/journal"].map(str::to_owned));
    paths.retain(|path| path.starts_with('/') && path.len() > 1);
    let below = |path: &str| {
        let fresh = ["/dev/", "/proc/", "/run/", "/sys/"];
        fresh.iter().any(|directory| path.starts_with(directory))
    };
    let (covered, paths): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| below(path));
    assert!(
        covered.len() > 30 && paths.len() > 12,
        "{covered:?} {paths:?}"
    );

    let plant = |paths: &[&str], target: &str| {
        let paths = paths.join(" ");
        // What a runtime comes to that takes the paths as they are.
        let naive = host.shell(&format!(
            "rm -rf {ROOT}
             for path in {paths}; do
                 mkdir -p $(dirname {ROOT}$path) 2>/dev/null || continue
                 ln -s {VICTIM}/{target} {ROOT}$path 2>/dev/null || continue
                 unshare --mount bash -c 'mount --bind {VICTIM}/{target} {ROOT}$0
                     grep -q {VICTIM} /proc/self/mountinfo' $path && echo $path
             done"
        ));
        let said = host.try_run(&["start", "foo"]);
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.starts_with("error: "), "{paths}: {said}");
        assert_eq!(victim(host), before, "{paths} to {target}: {said}");
        naive.lines().count()
    };
    let mut naive = 0;
    for target in ["file", "directory"] {
        // They are covered before they are used, so that one does not hide the others;
        // but none is below a link.
        let mut rest: Vec<_> = covered.iter().map(String::as_str).collect();
        while !rest.is_empty() {
            let above = rest.clone();
            let is_below = |path: &&str| above.iter().any(|other| is_below(path, other));
            let (later, now): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_below);
            naive += plant(&now, target);
            rest = later;
        }
        for path in &paths {
            naive += plant(&[path], target);
        }
    }
    assert!(naive > 60, "{naive}");
}

/// CVE-2018-15664 and CVE-2021-30465: a directory becomes a link between the moment
/// that a path is checked and that it is used.
#[test]
fn links_that_come_while_a_start_runs_lead_nowhere() {
    let lines = "PRIVATE_USERS=pick\nCOPY_RESOLV_CONF=1\n\
        EXTRA_NSPAWN_FLAGS='--bind-ro=/run/throwaway/canary/shared:/data/sub --tmpfs=/srv/sub'";
    let stage = prepare(lines);
    let host = &stage.host;
    host.shell(&format!(
        "for name in data srv etc; do
             mkdir -p {ROOT}/$name {VICTIM}/$name; ln -s ../../canary/victim {ROOT}/$name.link
         done"
    ));
    let before = victim(host);
    exchange_while(host, || {
        for _ in 0..25 {
            let said = host.try_run(&["start", "foo"]);
            let said = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(said.starts_with("error: "), "{said}");
            assert!(
                !said.contains("precious") && !said.contains(&stage.secret),
                "{said}"
            );
        }
    });
    assert_eq!(victim(host), before);

    // A program that checks first and uses then.
    let etc = host.file(&format!("{ROOT}/etc"));
    let written = host.file(&format!("{VICTIM}/written"));
    exchange_while(host, || {
        let followed = || {
            let checked = fs::symlink_metadata(&etc).is_ok_and(|etc| etc.is_dir());
            checked && fs::write(etc.join("written"), "").is_ok() && written.exists()
        };
        assert!((0..100_000).any(|_| followed()), "it never followed a link");
    });
}

/// Exchanges directories of the root with links all the time while something is done.
fn exchange_while(host: &Host, act: impl FnOnce()) {
    let root = host.file(ROOT);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for name in ["data", "srv", "etc"] {
                    let (directory, link) = (root.join(name), root.join(format!("{name}.link")));
                    let _ = rustix::fs::renameat_with(
                        CWD,
                        &directory,
                        CWD,
                        &link,
                        RenameFlags::EXCHANGE,
                    );
                }
            }
        });
        let done = Done(&done);
        act();
        drop(done);
    });
}

/// Ends the exchange, also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
