import time

# Commands that run when the power is cut, all at once; each round has one
# version of all systems.
WORK = """
    nixos-container create cut --config 'environment.etc.version.text = "{version}";' &
    nixos-container update changed --config 'environment.etc.version.text = "{version}";' &
    nixos-container start started &
"""


def work(version):
    return "{" + WORK.format(version=version) + "} >/dev/null 2>&1"


def version(name):
    return machine.succeed(f"nixos-container run {name} -- cat /etc/version")


machine.wait_for_unit("multi-user.target")
for name in ["kept --auto-start", "changed", "started"]:
    machine.succeed(f"nixos-container create {name} --config 'environment.etc.version.text = \"old\";'")
machine.succeed("nixos-container update changed --config 'environment.etc.version.text = \"updated\";'")

with subtest("Completed changes survive a power cut"):
    machine.crash()
    machine.start()
    machine.wait_for_unit("container@kept.service")
    assert machine.succeed("nixos-container list").split() == ["changed", "kept", "started"]
    assert machine.succeed("nixos-container status changed").strip() == "down"
    machine.succeed("nixos-container start changed")
    assert version("kept") == "old"
    assert version("changed") == "updated"
    machine.succeed("nixos-container stop changed")

begin = time.monotonic()
machine.succeed(f"{work('whole')}\nwait")
duration = time.monotonic() - begin
machine.succeed("nixos-container stop started", "nixos-container destroy cut")
current = "whole"

for number, part in enumerate([0.2, 0.5, 0.8], start=1):
    with subtest(f"Each container is whole or absent after a cut at {part} of its creation, update and start"):
        machine.succeed(f"{work(number)}\nsleep {part * duration:.2f}")
        machine.crash()
        machine.start()
        machine.wait_for_unit("container@kept.service")
        assert version("kept") == "old"

        machine.succeed("nixos-container start changed started")
        before, current = current, version("changed")
        assert current in [before, str(number)], current
        assert version("started") == "old"
        machine.succeed("nixos-container stop changed started")

        if "cut" in machine.succeed("nixos-container list").split():
            machine.succeed("nixos-container start cut")
            assert version("cut") == str(number), version("cut")
            machine.succeed("nixos-container destroy cut")
        machine.succeed("nixos-container create cut --config ''", "nixos-container destroy cut")
        left = machine.succeed("find /etc/nixos-containers /var/lib/nixos-containers /nix/var/nix/*/per-container -name '*cut*'")
        assert left == "", left
