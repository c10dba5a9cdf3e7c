import json

machine.wait_for_unit("container@good.service")

with subtest("machined, and all that asks it, know the container"):
    assert "good" in machine.succeed("machinectl list --no-legend")
    assert "container@good.service" in machine.succeed("machinectl status good")
    assert machine.succeed("systemctl -M good is-system-running --wait").strip() == "running"
    machine.succeed("loginctl -M good")
    machine.succeed("journalctl -M good -n 1 --no-pager")

with subtest("The console is in the journal of the unit"):
    assert "multi-user.target" in machine.succeed("journalctl -u container@good -t 'container good' --no-pager")

with subtest("Every user sees the container's state, and root its memory too"):
    row = machine.succeed("setpriv --reuid=65534 --clear-groups nixos-container list --long | grep good").split()
    assert row[:3] == ["good", "up", "192.168.0.100"], row
    good = next(c for c in json.loads(machine.succeed("nixos-container list --json")) if c["name"] == "good")
    assert good["memory"] > 1 << 20, good

with subtest("Starting a running container and stopping a stopped one are notes, not errors"):
    assert machine.succeed("nixos-container start good 2>&1") == "note: container 'good' is already running\n"
    machine.succeed("nixos-container stop good")
    assert machine.succeed("nixos-container stop good 2>&1") == "note: container 'good' was not running\n"

with subtest("--debug logs the steps of the unit's supervisor and of the child, too"):
    steps = machine.succeed("nixos-container --debug start good 2>&1")
    for process, step in [("command", "systemd"), ("child", "execute"), ("supervisor", "the system is up")]:
        assert any(process in line and step in line for line in steps.splitlines()), (process, step, steps)
    assert "the system is up" in machine.succeed("nixos-container logs --supervisor good")

with subtest("It keeps running when the host's systemd and bus restart"):
    leader = machine.succeed("machinectl show good -p Leader")
    machine.succeed("systemctl daemon-reexec")
    machine.succeed("systemctl kill -s KILL systemd-machined.service")
    machine.wait_until_succeeds("machinectl list --no-legend | grep -q good", timeout=30)
    assert machine.succeed("machinectl show good -p Leader") == leader
    assert machine.succeed("nixos-container status good").strip() == "up"
    machine.succeed("nixos-container restart good")
    machine.succeed("nixos-container run good -- true")

with subtest("A reboot inside starts it again"):
    before = machine.succeed("machinectl show good -p Leader")
    machine.execute("nixos-container run good -- systemctl reboot")
    machine.wait_until_succeeds(f"[ \"$(machinectl show good -p Leader)\" != '{before.strip()}' ]", timeout=60)
    machine.wait_until_succeeds("nixos-container status good | grep -q up", timeout=60)

with subtest("machinectl can end it, and it leaves the list"):
    machine.succeed("machinectl poweroff good")
    machine.wait_until_fails("machinectl status good", timeout=60)
    machine.wait_until_succeeds("nixos-container status good | grep -q down", timeout=30)

with subtest("Another machine with its name stays on the list"):
    machine.succeed("systemd-run --unit=other sleep infinity")
    other = machine.succeed("systemctl show other --value -p MainPID").strip()
    machine.succeed(
        "busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager"
        f" RegisterMachine sayssus good 0 other vm {other} ''"
    )
    machine.succeed("nixos-container start good", "nixos-container stop good")
    assert machine.succeed("machinectl show good --value -p Leader").strip() == other
    machine.succeed("machinectl terminate good")

with subtest("A container that does not boot says why"):
    said = machine.fail("nixos-container start broken 2>&1")
    assert "exited with status 3" in said, said
    assert "no such luck" in said, said
    # systemd tries a few times.
    machine.wait_until_succeeds("systemctl is-failed container@broken", timeout=60)
    status = machine.execute("systemctl status container@broken 2>&1")[1]
    assert "exited with status 3" in status, status

with subtest("A refused start destroys nothing, and shows no console of an earlier one"):
    machine.succeed(
        "sed 's/^PRIVATE_NETWORK=.*//' /etc/nixos-containers/broken.conf >/etc/nixos-containers/kept.conf",
        "printf '%s\\n' PRIVATE_NETWORK=1 HOST_BRIDGE=missing DESTROY_ON_STOP=1 >>/etc/nixos-containers/kept.conf",
        "mkdir -p /run/nixos-containers/kept",
        "echo an earlier console >/run/nixos-containers/kept/console.log",
    )
    said = machine.fail("nixos-container start kept 2>&1")
    assert "missing" in said and "an earlier console" not in said, said
    machine.succeed("grep HOST_BRIDGE /etc/nixos-containers/kept.conf")
    machine.succeed("grep 'an earlier console' /run/nixos-containers/kept/console.log")
    machine.succeed("nixos-container destroy kept")

with subtest("A wrong configuration fails once, and says why"):
    machine.succeed("echo PRIVATE_NETWORK=perhaps >/etc/nixos-containers/wrong.conf")
    why = 'wrong.conf:1: PRIVATE_NETWORK is "perhaps", but must be 0 or 1'
    said = machine.fail("nixos-container start wrong 2>&1")
    assert why in said, said
    machine.require_unit_state("container@wrong.service", "failed")
    assert machine.get_unit_property("container@wrong.service", "NRestarts") == "0"
    status = machine.execute("systemctl status container@wrong 2>&1")[1]
    assert why in status, status
    machine.succeed("rm /etc/nixos-containers/wrong.conf")
