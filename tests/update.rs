//! Commands that change a container's system: update, rollback, generations,
//! pull-config.

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{Host, flake, mini_nixpkgs, minimal_system, nix_of_the_tree};

/// Options that have the container tell this word.
fn telling(word: &str) -> String {
    format!("environment.etc.told.text = \"{word}\";")
}

fn told(host: &Host, name: &str) -> String {
    host.run(&["run", name, "--", "cat", "/etc/told"])
}

/// A file of the container, by its path inside.
fn file(host: &Host, name: &str, path: &str) -> String {
    let root = host.place("STATE_DIR").join(name);
    host.shell(&format!("cat '{}{path}'", root.display()))
}

const CONFIGURATION: &str = "/etc/nixos/configuration.nix";

/// All that an update could change, but for what runs.
fn state(host: &Host, name: &str) -> String {
    host.shell(&format!(
        "cd $NIXOS_CONTAINER_CONF_DIR; ls -A; cat {name}.conf
         cd $NIXOS_CONTAINER_PROFILE_DIR/{name}; find . -type l -printf '%p %l\\n' | sort
         cd $NIXOS_CONTAINER_STATE_DIR/{name}/etc/nixos; ls -A; cat configuration.nix"
    ))
}

#[test]
fn an_update_builds_and_activates_what_the_configuration_says() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("one")]);
    host.run(&["start", "foo"]);
    assert_eq!(told(&host, "foo"), "one");

    // As the manual has it: the file is edited on the host.
    let root = host.place("STATE_DIR").join("foo");
    let edit = format!("sed -i s/one/two/ '{}{CONFIGURATION}'", root.display());
    host.shell(&edit);
    host.run(&["update", "foo"]);
    assert_eq!(told(&host, "foo"), "two");

    // Given on the command line, it overwrites the file.
    host.run(&["update", "foo", "--config", &telling("three")]);
    assert_eq!(told(&host, "foo"), "three");
    let text = file(&host, "foo", CONFIGURATION);
    assert!(text.contains(&telling("three")), "{text}");
    assert!(text.contains("networking.hostName = lib.mkDefault \"foo\";"));

    // The same again is no other generation, and is activated all the same.
    host.run(&["run", "foo", "--", "rm", "/etc/told"]);
    host.run(&["update", "foo"]);
    assert_eq!(told(&host, "foo"), "three");
    let generations = host.run(&["generations", "foo"]);
    let lines: Vec<_> = generations.lines().collect();
    assert_eq!(lines.len(), 3, "{generations}");
    for (line, number) in lines.iter().zip(1..) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[0], number.to_string(), "{generations}");
        assert_eq!(words[1].len(), "2026-11-22".len(), "{generations}");
        assert_eq!(words[2].len(), "00:54:50".len(), "{generations}");
        assert_eq!(words.get(3), (number == 3).then_some(&"(current)"));
    }

    host.run(&["rollback", "foo"]);
    assert_eq!(told(&host, "foo"), "two");
    host.run(&["rollback", "foo"]);
    assert_eq!(told(&host, "foo"), "one");
    let stderr = host.fail(1, &["rollback", "foo"]);
    assert_eq!(
        stderr,
        "error: container 'foo' has no earlier system to go back to\n"
    );
    // What comes next has a number of its own.
    host.run(&["update", "foo", "--config", &telling("four")]);
    let generations = host.run(&["generations", "foo"]);
    assert!(generations.contains("\n   4   "), "{generations}");

    // No options are no change.
    host.run(&["update", "foo", "--config", ""]);
    assert_eq!(told(&host, "foo"), "four");

    // One that does not run boots into it.
    host.run(&["stop", "foo"]);
    host.run(&["update", "foo", "--config", &telling("five")]);
    host.run(&["start", "foo"]);
    assert_eq!(told(&host, "foo"), "five");
}

const NIX_SAYS_WHY: &str = "error: cannot build the system of container 'foo': see Nix's output above; nothing was changed\n";

#[test]
fn an_update_that_cannot_be_built_changes_nothing() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("one")]);
    host.run(&["start", "foo"]);
    let before = state(&host, "foo");
    let fails = "environment.etc.x.source = derivation { name = \"fails\"; \
                 system = builtins.currentSystem; builder = \"/no\"; };";
    let missing = "/run/throwaway/missing.nix";
    host.shell("echo '{ nothing = 1; }' >/run/throwaway/unknown.nix");
    for (arguments, why) in [
        (&["--config", "nonsense"][..], NIX_SAYS_WHY),
        (&["--config", fails], NIX_SAYS_WHY),
        (
            &["--config-file", "/run/throwaway/unknown.nix"],
            NIX_SAYS_WHY,
        ),
        (
            &["--config-file", missing],
            "error: the configuration file /run/throwaway/missing.nix does not exist\n",
        ),
        (&["--flake", "/run/throwaway/no-flake"], NIX_SAYS_WHY),
        (&["--nixos-path", "/run/throwaway/no-nixos"], NIX_SAYS_WHY),
        (
            &["--refresh"],
            "error: cannot build the system of container 'foo': --refresh is for flakes, but \
             this system is built from a configuration; leave it out\n",
        ),
    ] {
        let stderr = host.fail(1, &[&["update", "foo"], arguments].concat());
        assert!(stderr.ends_with(why), "{arguments:?}: {stderr}");
        assert_eq!(state(&host, "foo"), before, "{arguments:?}");
    }
    assert_eq!(told(&host, "foo"), "one");
    let stderr = host.fail(2, &["update", "bar"]);
    assert!(stderr.contains("container 'bar' does not exist"));
}

#[test]
fn a_unit_that_fails_is_reported_and_the_exit_code_says_so() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("one")]);
    host.run(&["start", "foo"]);
    let bad = "systemd.services.bad = { wantedBy = [ \"multi-user.target\" ]; \
               serviceConfig = { Type = \"oneshot\"; ExecStart = \"/usr/bin/false\"; }; };";
    let output = host.try_run(&["update", "foo", "--config", bad]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // NixOS' own code for that.
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("warning: the following units failed: bad.service"),
        "{stderr}"
    );
    let why = "error: container 'foo' has its new system, but could not activate all of it; \
               `nixos-container run foo -- systemctl --failed` shows units that failed, \
               `nixos-container rollback foo` goes back\n";
    assert!(stderr.ends_with(why), "{stderr}");
    host.run(&["rollback", "foo"]);
    assert_eq!(told(&host, "foo"), "one");
}

#[test]
fn what_an_update_is_made_from_is_recorded() {
    let host = Host::new();
    host.shell(&format!(
        "cat >/run/throwaway/one.nix <<'END'\n{{ {} }}\nEND",
        telling("file")
    ));
    flake(
        &host,
        "/run/throwaway/flake",
        "container",
        &telling("flake"),
    );
    let recorded = |host: &Host| {
        let conf = host.conf("foo");
        let lines = conf
            .lines()
            .filter(|line| line.starts_with("CONFIG_FILE=") || line.starts_with("FLAKE="));
        lines.collect::<Vec<_>>().join(" ")
    };
    host.create_with("foo", &["--config-file", "/run/throwaway/one.nix"]);
    host.append_conf("foo", "# mine");
    assert_eq!(recorded(&host), "CONFIG_FILE=/run/throwaway/one.nix");
    host.run(&["update", "foo", "--flake", "/run/throwaway/flake"]);
    assert_eq!(recorded(&host), "FLAKE=/run/throwaway/flake");
    host.run(&["update", "foo", "--config", &telling("text")]);
    assert_eq!(recorded(&host), "");
    let nixos = mini_nixpkgs().join("nixos").display().to_string();
    host.run(&["update", "foo", "--nixos-path", &nixos]);
    host.run(&["update", "foo", "--config-file", "/run/throwaway/one.nix"]);
    assert_eq!(recorded(&host), "CONFIG_FILE=/run/throwaway/one.nix");
    assert!(host.conf("foo").contains("\n# mine\n"));
    host.run(&["start", "foo"]);
    assert_eq!(told(&host, "foo"), "file");
}

/// A flake's story, with the Nix that the host has and with that of Debian 13.
fn follows_its_flake(host: &Host, path: Option<&str>) {
    let run = |arguments: &[&str]| {
        let mut command = host.nixos_container(arguments);
        if let Some(path) = path {
            // Where the command is found is not where it looks.
            command = host.command("env");
            command.arg(format!("PATH={path}"));
            command.arg(env!("CARGO_BIN_EXE_nixos-container"));
            command.args(arguments);
        }
        command.current_dir("/");
        common::succeed(&mut command)
    };
    flake(host, "/run/throwaway/flake", "container", &telling("one"));
    flake(host, "/run/throwaway/other", "web", &telling("web"));
    run(&["create", "foo", "--flake", "/run/throwaway/flake"]);
    host.remove_from_conf("foo", "NAT");
    host.run(&["start", "foo"]);
    assert_eq!(told(host, "foo"), "one");

    flake(host, "/run/throwaway/flake", "container", &telling("two"));
    run(&["update", "foo"]);
    assert_eq!(told(host, "foo"), "two");

    run(&["update", "foo", "--flake", "path:/run/throwaway/other#web"]);
    assert_eq!(told(host, "foo"), "web");
    run(&["update", "foo"]);
    assert_eq!(told(host, "foo"), "web");

    // Words for Nix, all at once.
    run(&[
        "update",
        "foo",
        "--impure",
        "--refresh",
        "--no-registries",
        "--no-write-lock-file",
        "--recreate-lock-file",
        "--no-allow-dirty",
        "--show-trace",
        "--log-format",
        "raw",
        "--option",
        "cores",
        "1",
        "--option",
        "max-jobs",
        "1",
        "--update-input",
        "nixpkgs",
        "--override-input",
        "nixpkgs",
        &format!("path:{}", mini_nixpkgs().display()),
    ]);
    host.run(&["destroy", "foo"]);
}

#[test]
fn a_container_follows_its_flake() {
    follows_its_flake(&Host::new(), None);
}

#[test]
fn a_container_follows_its_flake_with_the_nix_of_debian_13() {
    let host = Host::new();
    let path = nix_of_the_tree(&host);
    follows_its_flake(&host, Some(&path));
}

#[test]
fn pull_config_brings_what_is_on_the_host_today() {
    let host = Host::new();
    let write = |word: &str| {
        host.shell(&format!(
            "cat >/run/throwaway/web.nix <<'END'\n{{ {} }} # {word}\nEND",
            telling(word)
        ));
    };
    write("one");
    host.create_with("foo", &["--config-file", "/run/throwaway/web.nix"]);
    host.run(&["start", "foo"]);
    let first = file(&host, "foo", CONFIGURATION);

    write("two");
    let output = host.try_run(&["pull-config", "foo"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "the earlier configuration is kept as /etc/nixos/configuration.nix.~1~\n"
    );
    assert_eq!(told(&host, "foo"), "one");
    // Whole, for a container that does not see the host's files.
    let pulled = file(&host, "foo", CONFIGURATION);
    assert!(pulled.contains(&telling("two")), "{pulled}");
    assert!(!pulled.contains("/run/throwaway"), "{pulled}");
    let kept = file(&host, "foo", "/etc/nixos/configuration.nix.~1~");
    assert_eq!(kept, first);
    let output = host.try_run(&["pull-config", "foo"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "the configuration is up to date\n"
    );
    host.run(&["update", "foo"]);
    assert_eq!(told(&host, "foo"), "two");

    write("three");
    host.run(&["pull-config", "foo", "--switch"]);
    assert_eq!(told(&host, "foo"), "three");
    assert!(file(&host, "foo", CONFIGURATION).contains(&telling("three")));
    assert!(file(&host, "foo", "/etc/nixos/configuration.nix.~2~").contains(&telling("two")));

    // What cannot be built is not pulled either, if it was to be activated.
    let before = state(&host, "foo");
    host.shell("echo nonsense >/run/throwaway/web.nix");
    host.fail(1, &["pull-config", "foo", "--switch"]);
    assert_eq!(state(&host, "foo"), before);
}

#[test]
fn pull_config_brings_a_flake_or_says_that_there_is_nothing() {
    let host = Host::new();
    flake(&host, "/run/throwaway/flake", "container", &telling("one"));
    host.create_with("foo", &["--flake", "/run/throwaway/flake"]);
    host.run(&["start", "foo"]);
    host.run(&["run", "foo", "--", "touch", "/etc/nixos/mine"]);
    flake(&host, "/run/throwaway/flake", "container", &telling("two"));
    let output = host.try_run(&["pull-config", "foo", "--switch"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("the earlier configuration is kept as /etc/nixos.~1~\n"),
        "{stderr}"
    );
    assert_eq!(told(&host, "foo"), "two");
    assert!(file(&host, "foo", "/etc/nixos/flake.nix").contains("two"));
    let kept = host.run(&["run", "foo", "--", "ls", "/etc/nixos.~1~"]);
    assert_eq!(kept, "mine\n");
    let pull = || {
        let output = host.try_run(&["pull-config", "foo"]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let same = "the configuration is up to date\n";
    assert!(pull().ends_with(same), "{}", pull());
    for change in [
        "touch more",
        "rm more; chmod +x flake.nix",
        "echo >>flake.nix",
    ] {
        let change = format!("cd /etc/nixos; {change}");
        host.run(&["run", "foo", "--", "sh", "-c", &change]);
        assert!(!pull().ends_with(same), "{change}");
    }

    host.create_with("bar", &["--config", &telling("one")]);
    assert_eq!(
        host.fail(1, &["pull-config", "bar"]),
        "error: container 'bar' was not created from a file or flake of the host; give one with \
         `nixos-container update bar --config-file PATH`\n"
    );
}

#[test]
fn a_system_that_the_host_sets_is_the_hosts_to_change() {
    let host = Host::new();
    let told_one = common::system(&format!("{{ {} }}", telling("one")));
    let told_two = common::system(&format!("{{ {} }}", telling("two")));
    let declare = |system: &str| host.write_conf("foo", &format!("SYSTEM_PATH={system}"));
    declare(&told_one);
    host.run(&["start", "foo"]);
    let conf = host.place("CONF_DIR").join("foo.conf");
    for command in [&["update", "foo"][..], &["rollback", "foo"]] {
        assert_eq!(
            host.fail(1, command),
            format!(
                "error: the system of container 'foo' is {told_one}, set by SYSTEM_PATH in {}; \
                 change or remove that line\n",
                conf.display()
            )
        );
    }
    // What nixos-rebuild on the host has brought.
    declare(&told_two);
    host.run(&["pull-config", "foo"]);
    assert_eq!(told(&host, "foo"), "one");
    host.run(&["pull-config", "foo", "--switch"]);
    assert_eq!(told(&host, "foo"), "two");
    // As the host's unit does it.
    declare(&told_one);
    host.run(&["reload", "foo"]);
    assert_eq!(told(&host, "foo"), "one");
    // Nor may it be changed where the file cannot.
    host.shell(&format!("mount --bind -o ro {0} {0}", conf.display()));
    assert_eq!(
        host.fail(1, &["update", "foo", "--config", ""]),
        format!(
            "error: container 'foo' stays as it is: {} is read-only; if the container is declared \
             in the host's configuration, change it there and run `nixos-rebuild switch`\n",
            conf.display()
        )
    );
}

#[test]
fn a_declared_flake_is_built_by_the_first_start_and_by_update() {
    let host = Host::new();
    flake(&host, "/run/throwaway/web", "container", "");
    let conf = host.place("CONF_DIR").join("web.conf");
    let conf = conf.display();
    host.shell(&format!(
        "mkdir -p $NIXOS_CONTAINER_CONF_DIR; echo FLAKE=path:/run/throwaway/web >{conf}
         mount --bind -o ro {conf} {conf}
         echo '{{ outputs = _: throw \"unfinished\"; }}' >/run/throwaway/web/flake.nix"
    ));
    // The next start builds it once more.
    let failed = host.fail(1, &["start", "web"]);
    assert!(failed.contains("unfinished"), "{failed}");
    assert!(
        failed.contains("cannot build the system of container 'web'"),
        "{failed}"
    );
    flake(&host, "/run/throwaway/web", "container", &telling("one"));
    host.run(&["start", "web"]);
    assert_eq!(told(&host, "web"), "one");

    flake(&host, "/run/throwaway/web", "container", &telling("two"));
    host.run(&["update", "web"]);
    assert_eq!(told(&host, "web"), "two");
    // An update is not for a start to do.
    flake(&host, "/run/throwaway/web", "container", &telling("three"));
    host.run(&["restart", "web"]);
    assert_eq!(told(&host, "web"), "two");
    let refused = host.fail(1, &["update", "web", "--config", "{ }"]);
    assert!(refused.contains("is read-only"), "{refused}");
}

#[test]
fn a_system_mounts_its_file_systems_once_or_update_says_what_to_do() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("one")]);
    host.append_conf("foo", "PRIVATE_USERS=pick");
    host.run(&["start", "foo"]);
    let dev = "stat --file-system --format=%b /dev";
    let size = host.inside("foo", dev);
    let update = |code: i32, word: &str| {
        let root = host.place("STATE_DIR").join("foo");
        let file = format!("{}{CONFIGURATION}", root.display());
        host.shell(&format!(
            "sed -i 's/^{{ boot.*/{{ {word} = true;/' '{file}'"
        ));
        let output = host.try_run(&["update", "foo", "--trusted"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    };
    let said = update(2, "boot.isContainer");
    assert!(
        said.contains(
            "note: the system of container 'foo' mounts /proc, /run and /dev again when it is \
             activated, because its configuration lacks `boot.isNspawnContainer = true;`, which \
             NixOS has since 25.11; add it, and run `nixos-container update foo`\n"
        ),
        "{said}"
    );
    let said = update(0, "boot.isNspawnContainer");
    assert!(!said.contains("note:"), "{said}");
    host.run(&["restart", "foo"]);
    assert_eq!(host.inside("foo", dev), size);
}

#[test]
fn without_a_configuration_an_update_asks_for_one() {
    let host = Host::new();
    host.create_with("foo", &["--system-path", minimal_system()]);
    assert_eq!(
        host.fail(1, &["update", "foo"]),
        "error: container 'foo' has no /etc/nixos/configuration.nix to build its system from; \
         give one with --config, --config-file or --flake\n"
    );
    host.run(&["update", "foo", "--config", &telling("one")]);
    host.run(&["start", "foo"]);
    assert_eq!(told(&host, "foo"), "one");
}

#[test]
fn an_update_that_is_killed_leaves_the_old_system_or_the_new_one() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("0")]);
    let mut words: Vec<String> = vec![telling("0")];
    // Built once, a system takes a third of a second to be found again.
    for moment in 0..12 {
        let word = telling(&moment.to_string());
        let mut update = host.nixos_container(&["update", "foo", "--config", &word]);
        let mut update = update.stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_millis(100 * moment));
        update.kill().expect("killed");
        update.wait().expect("waited for");
        words.push(word);
        // Whole, and the system never newer than the file, which is read last: what was
        // killed waits for the update, and that ends some moments later.
        let system = host.shell("cat $NIXOS_CONTAINER_PROFILE_DIR/foo/system/etc/told");
        let in_profile = words
            .iter()
            .rposition(|word| *word == telling(&system))
            .expect("one of them");
        let text = file(&host, "foo", CONFIGURATION);
        let in_file = words.iter().rposition(|word| text.contains(word.as_str()));
        assert!(
            in_file.is_some_and(|in_file| in_file >= in_profile),
            "{text}"
        );
    }
    host.run(&["update", "foo", "--config", &telling("last")]);
    host.run(&["start", "foo"]);
    assert_eq!(told(&host, "foo"), "last");
    let left = host.shell("ls -A $NIXOS_CONTAINER_CONF_DIR");
    assert_eq!(left, "foo.conf\n");
    let left = host.run(&["run", "foo", "--", "ls", "-A", "/etc/nixos"]);
    assert_eq!(left, "configuration.nix\n");
}

#[test]
fn what_a_container_plants_leads_no_update_out_of_it() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("one")]);
    host.run(&["start", "foo"]);
    // The same path outside and inside.
    host.shell(
        "mkdir /run/throwaway/outside; echo secret >/run/throwaway/outside/configuration.nix
         mkdir -p $NIXOS_CONTAINER_STATE_DIR/foo/run/throwaway/outside",
    );
    let outside = || host.shell("cd /run/throwaway/outside; find . | sort; cat configuration.nix");
    let before = outside();
    let plant = "cd /nix/var/nix/profiles; ln -s /run/throwaway/outside/lock system.lock
                 ln -sfn /run/throwaway/outside system
                 rm -r /etc/nixos; ln -s /run/throwaway/outside /etc/nixos";
    host.run(&["run", "foo", "--", "sh", "-euc", plant]);
    host.run(&["update", "foo", "--config", &telling("two")]);
    assert_eq!(told(&host, "foo"), "two");
    assert_eq!(outside(), before);
}

#[test]
fn a_container_cannot_swap_the_text_that_an_update_is_given() {
    let host = Host::new();
    host.shell(&format!(
        "echo '{{ {} }}' >/run/throwaway/file.nix",
        telling("one")
    ));
    host.create_with("foo", &["--config-file", "/run/throwaway/file.nix"]);
    host.run(&["start", "foo"]);
    // Whatever is put there is another text a moment later.
    let swap = format!(
        "echo '{{ ... }}: {{ boot.isNspawnContainer = true; {} }}' >/run/swapped
         cat >/run/swap <<'END'
         while [ -e /run/swapped ]; do
             for file in /etc/nixos/.[!.]* /etc/nixos/*; do
                 [ ! -e $file ] || cmp -s /run/swapped $file || cp /run/swapped $file
             done
         done\nEND
         sh /run/swap </dev/null >/dev/null 2>&1 &",
        telling("swapped")
    );
    host.run(&["run", "foo", "--", "sh", "-euc", &swap]);
    host.run(&["update", "foo", "--config", &telling("two")]);
    assert_eq!(told(&host, "foo"), "two");
    host.shell("sed -i s/one/three/ /run/throwaway/file.nix");
    host.run(&["update", "foo", "--config-file", "/run/throwaway/file.nix"]);
    assert_eq!(told(&host, "foo"), "three");
    host.shell("sed -i s/three/four/ /run/throwaway/file.nix");
    host.run(&["pull-config", "foo", "--switch"]);
    assert_eq!(told(&host, "foo"), "four");
    host.run(&["run", "foo", "--", "rm", "/run/swapped"]);
}

#[test]
fn an_update_reads_what_is_beside_the_configuration_and_nothing_outside() {
    let host = Host::new();
    host.create_with("foo", &["--config", ""]);
    host.run(&["start", "foo"]);
    // The same path leads to something outside and inside.
    let part = |word: &str| format!("'{{ environment.etc.{word}.text = \"{word}\"; }}'");
    host.shell(&format!(
        "mkdir /run/throwaway/parts; cd /run/throwaway/parts
         echo {} >linked.nix
         mkdir -p $NIXOS_CONTAINER_STATE_DIR/foo/$PWD; cd $NIXOS_CONTAINER_STATE_DIR/foo/$PWD
         echo {} >linked.nix",
        part("outside"),
        part("inside")
    ));
    let plant = format!(
        "cd /etc/nixos; mkdir -p modules/more; echo {} >part.nix; echo {} >modules/more/m.nix
         ln -s more modules/same; ln -s /run/throwaway/parts/linked.nix modules/
         ln -s nowhere dangling; ln -s . round; mkfifo fifo; ln -s /etc/shadow shadow",
        part("beside"),
        part("below")
    );
    host.run(&["run", "foo", "--", "sh", "-euc", &plant]);
    let imports = "imports = [ ./part.nix modules/same/m.nix ./modules/linked.nix ];";
    let all = ["cat", "/etc/beside", "/etc/below", "/etc/inside"];
    let update_with = |arguments: &[&str]| {
        host.run(&[&["update", "foo"], arguments].concat());
        let words = [&["run", "foo", "--"], &all[..]].concat();
        assert_eq!(host.run(&words), "besidebelowinside", "{arguments:?}");
    };
    update_with(&["--config", imports]);
    update_with(&[]);
    // It may be a link itself; what is beside it is beside what it leads to.
    let link = "cd /etc/nixos; mv configuration.nix real.nix
                mkdir /root/links; mv /etc/nixos /root/nixos
                ln -s /root/nixos /etc/nixos; ln -s /etc/nixos/real.nix configuration.nix";
    host.run(&["run", "foo", "--", "sh", "-euc", link]);
    update_with(&[]);
    // No more is copied than a configuration has.
    let grow = "truncate -s 65M /etc/nixos/large";
    host.run(&["run", "foo", "--", "sh", "-euc", grow]);
    let stderr = host.fail(1, &["update", "foo"]);
    assert!(stderr.contains("more than 64 MiB"), "{stderr}");
    assert_eq!(
        host.shell("cd $NIXOS_CONTAINER_STATE_DIR; ls -A"),
        ".foo.nix\nfoo\n"
    );
}

/// An `update` of a configuration that the container has changed, or could have changed.
fn fails_for(host: &Host, path: &str, arguments: &[&str]) {
    let stderr = host.fail(1, &[&["update", "foo"], arguments].concat());
    let said = format!(
        "error: cannot build the system of container 'foo': the container could have changed its \
         configuration, which was therefore evaluated where it sees no {path}; if it may read \
         the host's files and run programs as root, use `nixos-container update foo --trusted`"
    );
    assert!(stderr.contains(&said), "{stderr}");
}

/// Adds a definition to the configuration, as an administrator or root inside does.
fn define(host: &Host, definition: &str) {
    let root = host.place("STATE_DIR").join("foo");
    host.shell(&format!(
        "sed -i 's|^}}$|{definition}\\n}}|' '{}{CONFIGURATION}'",
        root.display()
    ));
}

#[test]
fn a_configuration_is_trusted_while_it_is_what_the_hosts_root_gave() {
    let host = Host::new();
    host.shell(&format!(
        "mkdir /run/throwaway/parts; cd /run/throwaway/parts
         echo '{{ imports = [ ./part.nix ]; }}' >web.nix; echo '{{ {} }}' >part.nix",
        telling("one")
    ));
    let file = "/run/throwaway/parts/web.nix";
    let part = "/run/throwaway/parts/part.nix";
    host.create_with("foo", &["--config-file", file]);
    let told = || host.shell("cat $NIXOS_CONTAINER_PROFILE_DIR/foo/system/etc/told");
    // Files of the host that it names are the host's, and may change.
    host.shell("sed -i s/one/two/ /run/throwaway/parts/part.nix");
    host.run(&["update", "foo"]);
    assert_eq!(told(), "two");
    // Anything else in the directory would be evaluated with it.
    let root = host.place("STATE_DIR").join("foo");
    let beside = format!("{}/etc/nixos/beside.nix", root.display());
    host.shell(&format!("echo '{{ }}' >{beside}"));
    fails_for(&host, part, &[]);
    host.shell(&format!("rm {beside}"));
    host.run(&["update", "foo"]);
    // So would the same with another meaning.
    define(&host, r#"environment.etc.more.text = "more";"#);
    fails_for(&host, part, &[]);
    host.run(&["update", "foo", "--trusted"]);
    assert_eq!(
        host.shell("cat $NIXOS_CONTAINER_PROFILE_DIR/foo/system/etc/more"),
        "more"
    );
    host.run(&["update", "foo"]);
    // Given again, it is trusted again, whatever else is there.
    define(&host, r#"environment.etc.less.text = "less";"#);
    host.shell(&format!("echo '{{ }}' >{beside}"));
    host.run(&["update", "foo", "--config-file", file]);
    host.run(&["update", "foo"]);
    // Options may refer to what is beside them.
    let import = format!("imports = [ ./beside.nix {file} ];");
    host.shell(&format!("echo '{{ config, ... }}: {{ }}' >{beside}"));
    fails_for(&host, part, &["--config", &import]);
    host.run(&["update", "foo", "--config", &import, "--trusted"]);
    host.run(&["update", "foo"]);
}

#[test]
fn what_a_container_can_change_is_not_the_hosts() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("one")]);
    let root = host.place("STATE_DIR").join("foo").display().to_string();
    host.shell(&format!(
        "mkdir /run/throwaway/shared; echo '{{ {} }}' | tee /run/throwaway/shared/x.nix >{root}/x.nix
         ln -s {root} /run/throwaway/link",
        telling("two")
    ));
    host.append_conf(
        "foo",
        "EXTRA_NSPAWN_FLAGS=--bind=/run/throwaway/shared:/shared",
    );
    for file in [
        format!("{root}/x.nix"),
        "/run/throwaway/link/x.nix".to_owned(),
        "/run/throwaway/shared/x.nix".to_owned(),
    ] {
        let stderr = host.fail(1, &["update", "foo", "--config-file", &file]);
        assert_eq!(
            stderr,
            format!(
                "error: containers can change {file}; copy it to a directory of the host, or \
                 take it as it is with `nixos-container update foo --trusted`\n"
            )
        );
    }
    let file = format!("{root}/x.nix");
    host.run(&["update", "foo", "--config-file", &file, "--trusted"]);
    // Once is not for ever: the file can be another one by now.
    fails_for(&host, &file, &[]);
    host.fail(1, &["pull-config", "foo"]);
}

#[test]
fn a_flake_in_the_container_is_evaluated_in_the_sandbox() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("one")]);
    let place = format!("{}/foo/etc/flake", host.place("STATE_DIR").display());
    flake(&host, &place, "container", &telling("two"));
    let nixpkgs = format!("path:{}", mini_nixpkgs().display());
    host.shell(&format!(
        "nix-store --add {0} >/run/throwaway/nixpkgs
         sed -i \"s|{nixpkgs}|path:$(cat /run/throwaway/nixpkgs)|\" {place}/flake.nix",
        mini_nixpkgs().display()
    ));
    host.run(&["update", "foo", "--flake", &place]);
    assert_eq!(
        host.shell("cat $NIXOS_CONTAINER_PROFILE_DIR/foo/system/etc/told"),
        "two"
    );
    let secret = "environment.etc.told.text = builtins.readFile /run/throwaway/env;";
    host.shell(&format!(
        "sed -i 's|{}|{secret}|' {place}/flake.nix",
        telling("two")
    ));
    let stderr = host.fail(1, &["update", "foo", "--impure"]);
    assert!(stderr.contains("sees no /run/throwaway/env"), "{stderr}");
    let left = "ls -A $NIXOS_CONTAINER_STATE_DIR | grep updating || true";
    assert_eq!(host.shell(left), "");
}

#[test]
fn a_configuration_that_is_no_file_does_not_become_the_hosts_own() {
    let host = Host::new();
    host.create_with("foo", &["--config", &telling("one")]);
    host.shell(&format!(
        "echo '{{ boot.isNspawnContainer = true; {} }}' >/run/throwaway/hosts.nix",
        telling("of the host")
    ));
    let root = host.place("STATE_DIR").join("foo").display().to_string();
    for plant in [
        "mkfifo configuration.nix",
        "mkdir configuration.nix",
        "ln -s /dev/null configuration.nix; mkdir -p ../../dev; mkfifo ../../dev/null",
        "ln -s fifo configuration.nix; mkfifo fifo",
    ] {
        host.shell(&format!(
            "rm -rf {root}/dev; cd {root}/etc/nixos; rm -rf *; {plant}"
        ));
        let mut update = host.command("env");
        // As on NixOS.
        update.arg(format!(
            "NIX_PATH=nixpkgs={}:nixos-config=/run/throwaway/hosts.nix",
            mini_nixpkgs().display()
        ));
        update.args([env!("CARGO_BIN_EXE_nixos-container"), "update", "foo"]);
        let output = update.output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            stderr,
            format!(
                "error: {root}{CONFIGURATION} is not a regular file; replace it by one, or give \
                 another configuration with --config, --config-file or --flake\n"
            ),
            "{plant}"
        );
        let told = host.shell("cat $NIXOS_CONTAINER_PROFILE_DIR/foo/system/etc/told");
        assert_eq!(told, "one", "{plant}");
    }
}
