//! What is in `examples/` works, with mini-nixpkgs in the place of nixpkgs.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::nested::NestedHost;
use common::{Host, mini_nixpkgs, succeed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_nixos-container");

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A shell command that waits until the web server at an address answers.
fn await_page(address: &str) -> String {
    format!("timeout 30 bash -c 'until curl -sf http://{address}/; do sleep 0.1; done'")
}

#[test]
fn the_conf_file_makes_a_container() {
    let host = Host::new();
    let conf = host.place("CONF_DIR").join("web.conf");
    host.shell(&format!(
        "mkdir -p {} /srv/www; echo hello >/srv/www/file; cp {} {}",
        conf.parent().expect("a directory").display(),
        repository("examples/conf/web.conf").display(),
        conf.display()
    ));
    let update = "services.httpd.enable = true;";
    let output = host.try_run(&["update", "web", "--config", update]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("warning:"), "{said}");

    host.run(&["start", "web"]);
    assert_eq!(host.run(&["show-ip", "web"]), "10.231.136.2\n");
    let page = host.shell(&await_page("127.0.0.1:8080"));
    assert!(page.contains("It works!"), "{page}");
    host.shell("! curl -sf --max-time 2 http://10.231.136.1:8080/");
    let first_user = "read first outside count </proc/self/uid_map; echo $outside";
    let read = format!("cat /var/www/file; {first_user}");
    let inside = host.run(&["run", "web", "--", "sh", "-c", &read]);
    let (file, user) = inside.split_once('\n').expect("two lines");
    assert_eq!(file, "hello");
    assert!(user.trim().parse::<u32>().expect("a number") > 0, "{user}");
}

/// The flake's inputs as on a machine with nixpkgs and this repository: `nix`
/// with these arguments takes mini-nixpkgs, and a flake of the module with the
/// program under test.
fn inputs(host: &Host) -> Vec<String> {
    host.shell(&format!(
        "mkdir -p $TMPDIR/nixos-container
         cat >$TMPDIR/nixos-container/flake.nix <<'END'
{{
  inputs.nixpkgs.url = \"path:/nowhere\";
  outputs = _: {{ nixosModules.default = import {} {{ program = {PROGRAM}; scenario = {{ }}; }}; }};
}}
END",
        repository("vm-tests/host.nix").display()
    ));
    let directory = host.shell("echo -n $TMPDIR/nixos-container");
    let pairs = [
        ("nixpkgs", mini_nixpkgs().display().to_string()),
        ("nixos-container", directory),
    ];
    let words = pairs.map(|(input, path)| {
        [
            "--override-input".to_owned(),
            input.to_owned(),
            format!("path:{path}"),
        ]
    });
    words.concat()
}

#[test]
fn the_flake_makes_a_container_and_a_host_that_declares_it() {
    let host = Host::new();
    // Nix writes a lock file beside it.
    host.shell(&format!(
        "mkdir $TMPDIR/flake; cp {} $TMPDIR/flake",
        repository("examples/flake/flake.nix").display()
    ));
    let flake = host.shell("echo -n path:$TMPDIR/flake");
    let inputs = inputs(&host);
    let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();

    let web = format!("{flake}#web");
    host.run(&[&["create", "web", "--flake", &web], &inputs[..]].concat());
    host.run(&["start", "web"]);
    let address = host.run(&["show-ip", "web"]);
    let page = host.shell(&await_page(address.trim()));
    assert!(page.contains("admin@example.org"), "{page}");

    // The program under test is not in the store.
    let machine = format!("{flake}#host");
    host.run(
        &[
            &["create", "machine", "--impure", "--flake", &machine],
            &inputs[..],
        ]
        .concat(),
    );
    let conf =
        host.shell("cat $NIXOS_CONTAINER_PROFILE_DIR/machine/system/etc/nixos-containers/web.conf");
    for line in ["AUTO_START=1\n", "LOCAL_ADDRESS=10.231.136.2\n"] {
        assert!(conf.contains(line), "{line} in {conf}");
    }
}

#[test]
fn the_module_makes_a_host_with_a_container() {
    let module = repository("examples/module/configuration.nix");
    let host = NestedHost::new(&format!("import {}", module.display()));
    assert_eq!(host.shell("nixos-container list"), "web\n");
    host.shell("systemctl start container@web");
    let page = host.shell(&await_page("127.0.0.1:8080"));
    assert!(page.contains("admin@example.org"), "{page}");
    host.shell("nixos-container run web -- test -d /srv/www");
}

/// An expression of the NixOS test's arguments.
fn nixos_test(attribute: &str) -> String {
    format!(
        "(import {} {{ pkgs = import {} {{ }} // {{ testers.runNixOSTest = test: test; }}; }}).{attribute}",
        repository("examples/nixos-test/default.nix").display(),
        mini_nixpkgs().display()
    )
}

/// By the driver of `vm-tests/`, which has the words of the NixOS test driver.
#[test]
fn the_nixos_test_passes() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let directory = directory.path();
    let mut nix = Command::new("nix-instantiate");
    nix.args(["--eval", "--json", "-E", &nixos_test("testScript")]);
    let script: String = serde_json::from_str(&succeed(&mut nix)).expect("a string");
    let scenario = directory.join("web.py");
    std::fs::write(&scenario, script).expect("writable");
    std::fs::write(directory.join("web.nix"), nixos_test("nodes.machine")).expect("writable");

    let programs = Path::new(PROGRAM).parent().expect("a directory");
    let path = std::env::var("PATH").expect("a PATH");
    let mut run = Command::new(repository("tests/throwaway-host"));
    run.arg("--nix-daemon")
        .arg(repository("vm-tests/run"))
        .arg(scenario)
        .env("PATH", format!("{}:{path}", programs.display()))
        .stdin(Stdio::null());
    let table = succeed(&mut run);
    assert!(table.contains("| web | ok |"), "{table}");
}
