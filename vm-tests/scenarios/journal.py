# Which of the modes of --link-journal have journalctl --merge find a
# container's journal: a first start with `auto` links nothing.
LINKED = {"no": False, "auto": False, "host": True, "try-host": True, "guest": True, "try-guest": True}

for name in LINKED:
    machine.wait_for_unit(f"container@{name}.service")


def write(name: str, word: str) -> None:
    """Has the container's journal say something."""
    machine.succeed(f"nixos-container run {name} -- sh -c 'logger --tag scenario {word}; journalctl --sync'")


def said(options: str) -> list[str]:
    """What of that a journal has, line by line."""
    return machine.succeed(f"journalctl {options} --identifier scenario --output cat --quiet").split()


with subtest("journalctl --machine shows a container's own journal"):
    for name in LINKED:
        write(name, f"from-{name}")
        assert said(f"--machine {name}") == [f"from-{name}"]
        units = machine.succeed(f"journalctl --machine {name} --identifier systemd --output cat --quiet")
        assert "multi-user.target" in units, units

with subtest("journalctl --merge on the host shows linked journals"):
    merged = said("--merge")
    assert sorted(merged) == sorted(f"from-{name}" for name, linked in LINKED.items() if linked), merged
    # The host's own journal is not linked.
    assert said("") == []

with subtest("The host has a directory for the container's journal, or a link to it"):
    for name, kind in [("host", "directory"), ("try-host", "directory"), ("guest", "symbolic link"), ("try-guest", "symbolic link")]:
        id = machine.succeed(f"nixos-container run {name} -- cat /etc/machine-id").strip()
        found = machine.succeed(f"stat --format %F /var/log/journal/{id}").strip()
        assert found == kind, (name, found)

with subtest("The console is in the host's journal, under the unit and by the container's name"):
    for name in LINKED:
        shown = machine.succeed(f"journalctl --unit container@{name} --identifier 'container {name}' --output cat --quiet")
        assert "multi-user.target" in shown, shown

with subtest("A link outlasts a restart, and the journal goes on in it"):
    for name in ["host", "guest"]:
        machine.succeed(f"nixos-container restart {name}")
        write(name, f"again-{name}")
        assert said(f"--machine {name}") == [f"from-{name}", f"again-{name}"]
        assert f"again-{name}" in said("--merge")

with subtest("The journal of a stopped container remains"):
    machine.succeed("nixos-container stop host guest")
    merged = said("--merge")
    assert "again-host" in merged and "again-guest" in merged, merged

with subtest("A required link fails on a host without a persistent journal"):
    machine.succeed("mv /var/log/journal /var/log/away")
    machine.succeed("nixos-container restart try-host try-guest")
    for name in ["host", "guest"]:
        why = machine.fail(f"nixos-container start {name} 2>&1")
        assert "the host has no persistent journal: /var/log/journal is missing" in why, why
