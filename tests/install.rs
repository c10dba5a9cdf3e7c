//! What `make install` installs, and that it works: manual pages, completions.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::talk::{Talk, at_terminal};
use common::{Host, minimal_system, succeed};

const NIXOS_CONTAINER: &str = env!("CARGO_BIN_EXE_nixos-container");

/// A directory that `make install` has installed to; gone when dropped.
struct Installed(PathBuf);

impl Installed {
    fn new() -> Self {
        let name = format!("nixos-container-install-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let programs = Path::new(NIXOS_CONTAINER).parent().expect("a directory");
        let mut make = Command::new("make");
        make.current_dir(env!("CARGO_MANIFEST_DIR"))
            // The program under test, not one built anew.
            .args(["--old-file=build", "install", "PREFIX=/usr"])
            .arg(format!("DESTDIR={}", directory.display()))
            .arg(format!("programs={}", programs.display()));
        succeed(&mut make);
        Self(directory.join("usr"))
    }

    fn read(&self, path: &str) -> String {
        let path = self.0.join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().expect("DESTDIR"));
    }
}

/// What bash offers for the last of these words.
fn completed(host: &Host, script: &Path, words: &[&str]) -> String {
    let complete = r#"
        . "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
        _clap_complete_nixos_container nixos-container "${COMP_WORDS[COMP_CWORD]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let programs = Path::new(NIXOS_CONTAINER).parent().expect("a directory");
    let mut bash = host.command("bash");
    // As a user's shell is: strict about nothing.
    bash.args([
        "-c",
        &format!("PATH={}:$PATH; {complete}", programs.display()),
    ])
    .arg("bash")
    .arg(script)
    .arg("nixos-container")
    .args(words);
    succeed(&mut bash)
}

/// A shell at a terminal that finds its completions where they are installed.
fn at_prompt(host: &Host, installed: &Installed, shell: &str) -> Option<Talk> {
    if Command::new(shell).arg("--version").output().is_err() {
        println!("skipped: no {shell} here");
        return None;
    }
    let share = installed.0.join("share");
    let share = share.display();
    let programs = Path::new(NIXOS_CONTAINER).parent().expect("a directory");
    let interactive = match shell {
        "zsh" => format!(
            "echo 'PS1=\"ready> \"; fpath=({share}/zsh/site-functions $fpath)
                   autoload -Uz compinit; compinit -D -u' >.zshrc
             zsh -i"
        ),
        _ => format!(
            "XDG_DATA_DIRS={share}:/usr/share fish --private --init-command \
                 'function fish_prompt; echo -n \"ready> \"; end'"
        ),
    };
    let script = format!(
        "export HOME=$(mktemp -d) PATH={}:$PATH TERM=xterm; cd; {interactive}",
        programs.display()
    );
    let mut talk = Talk::begin(&at_terminal(host, &script));
    talk.await_words("ready> ");
    Some(talk)
}

/// Words that are cut short, with a tabulator after each, are a command line.
fn completes_at_its_prompt(host: &Host, installed: &Installed, shell: &str) {
    let Some(mut talk) = at_prompt(host, installed, shell) else {
        return;
    };
    for keys in ["nixos-container show-i\t", "fo\t", "\n"] {
        talk.input.write_all(keys.as_bytes()).expect("it listens");
    }
    talk.await_words("10.233.1.2");
    talk.await_words("ready> ");
    talk.say("exit");
    talk.end();
}

fn manual_pages_are_without_warnings(installed: &Installed) {
    if Command::new("groff").arg("--version").output().is_err() {
        println!("skipped: no groff here");
        return;
    }
    let mut groff = Command::new("groff");
    // Preconverted, as man(1) does; with all warnings, and no output.
    groff.args(["-k", "-man", "-T", "utf8", "-ww", "-z"]);
    for section in ["man1", "man5"] {
        let pages = std::fs::read_dir(installed.0.join("share/man").join(section));
        groff.args(
            pages
                .expect("a directory")
                .map(|page| page.expect("a page").path()),
        );
    }
    let output = groff.output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn the_program_its_manual_and_its_completions_are_installed_and_work() {
    let installed = Installed::new();
    let mut version = Command::new(installed.0.join("bin/nixos-container"));
    assert!(succeed(version.arg("--version")).starts_with("nixos-container "));

    let unit = installed.read("lib/systemd/system/container@.service");
    assert!(unit.contains("\nExecStart=/usr/bin/nixos-container supervise %i\n"));
    let generator = installed
        .0
        .join("lib/systemd/system-generators/nixos-container-generator");
    let target = std::fs::read_link(generator).expect("a link");
    assert_eq!(target, Path::new("/usr/bin/nixos-container"));

    let network = installed.read("lib/systemd/network/70-nixos-container.network");
    assert!(network.contains("\nUnmanaged=yes\n"));
    let rules = installed.read("lib/udev/rules.d/70-nixos-container.rules");
    assert!(rules.contains("NM_UNMANAGED"));

    let page = installed.read("share/man/man1/nixos-container.1");
    for section in [
        "NAME",
        "SYNOPSIS",
        "OPTIONS",
        "SUBCOMMANDS",
        "EXAMPLES",
        "\"EXIT STATUS\"",
        "ENVIRONMENT",
        "FILES",
    ] {
        assert!(
            page.contains(&format!(".SH {section}\n")),
            "{section}: {page}"
        );
    }
    for command in ["create", "update", "pull\\-config"] {
        assert!(
            page.contains(&format!("nixos\\-container\\-{command}(1)")),
            "{command}"
        );
    }
    assert!(!page.contains("supervise"));
    let page = installed.read("share/man/man1/nixos-container-create.1");
    assert!(page.contains("\\-\\-config\\-file"), "{page}");
    let page = installed.read("share/man/man1/nixos-container-run.1");
    assert!(page.contains("<NAME> <COMMAND>...\n"), "{page}");
    let page = installed.read("share/man/man1/nixos-container-list.1");
    assert!(page.contains("auto_start"), "{page}");

    let page = installed.read("share/man/man5/nixos-container.conf.5");
    assert!(page.contains(".TP\nSYSTEM_PATH\n"), "{page}");
    manual_pages_are_without_warnings(&installed);

    let zsh = installed.read("share/zsh/site-functions/_nixos-container");
    assert!(zsh.starts_with("#compdef nixos-container\n"), "{zsh}");
    let fish = installed.read("share/fish/vendor_completions.d/nixos-container.fish");
    assert!(fish.contains("--command nixos-container"), "{fish}");

    let host = Host::new();
    for name in ["foo", "web", "web-2"] {
        host.run(&["create", name, "--system-path", minimal_system()]);
    }
    let bash = installed
        .0
        .join("share/bash-completion/completions/nixos-container");
    let offers = |words: &[&str]| completed(&host, &bash, words);
    assert_eq!(offers(&["start", "w"]), "web\nweb-2\n");
    assert_eq!(offers(&["destroy", "foo", "web-"]), "web-2\n");
    assert_eq!(offers(&["create", "w"]), "\n");
    assert_eq!(offers(&["pull"]), "pull-config\n");
    assert_eq!(
        offers(&["update", "foo", "--conf"]),
        "--config\n--config-file\n"
    );
    assert_eq!(offers(&["run", "f"]), "foo\n");
    completes_at_its_prompt(&host, &installed, "zsh");
    completes_at_its_prompt(&host, &installed, "fish");
}
