for name in ["hog", "neighbour"]:
    machine.wait_for_unit(f"container@{name}.service")


def path(name):
    """The cgroup of a container's unit."""
    return "/sys/fs/cgroup" + machine.get_unit_property(f"container@{name}.service", "ControlGroup")


def group(name, file):
    return machine.succeed(f"cat {path(name)}/{file}").strip()


def count(name, file, event):
    return int(dict(line.split() for line in group(name, file).splitlines())[event])


def neighbour_is_well():
    machine.succeed("timeout 60 nixos-container run neighbour -- bash -c 'true & wait'")


LIMITS = {
    "pids.max": "300",
    "memory.max": str(200 << 20),
    "cpu.max": "100000 100000",
    "io.weight": "default 10",
}
KEYS = {"pids.max": "TASKS_MAX", "memory.max": "MEMORY_MAX", "cpu.max": "CPU_QUOTA", "io.weight": "IO_WEIGHT"}
controllers = machine.succeed("cat /sys/fs/cgroup/cgroup.controllers").split()
held = [file for file in LIMITS if file.split(".")[0] in controllers]

with subtest("A key without its controller says so"):
    said = machine.succeed("journalctl -u container@hog --no-pager")
    for file in LIMITS.keys() - set(held) - {"pids.max"}:
        assert f"{KEYS[file]} has no effect" in said, (file, said)

with subtest("The limits are in force, and stay when systemd reloads its units"):
    for _ in range(2):
        for file in held:
            assert group("hog", file) == LIMITS[file], file
        if "pids.max" in held:
            assert group("neighbour", "pids.max") == "16384"
        machine.succeed("systemctl daemon-reload")
    assert machine.get_unit_property("container@hog.service", "MemoryMax") == str(200 << 20)
    assert machine.get_unit_property("container@hog.service", "TasksMax") == "300"
    assert machine.get_unit_property("container@neighbour.service", "TasksMax") == "16384"

if "pids.max" in held:
    with subtest("A fork bomb ends at the limit, and the neighbour does not notice"):
        # It must not keep the pipe of its output open, which the driver reads to the end.
        bomb = "exec >/dev/null 2>&1 </dev/null; bomb() { bomb | bomb & }; bomb"
        machine.execute(f"nixos-container run hog -- bash -c '{bomb}'")
        machine.wait_until_succeeds(f"grep -q 'max [1-9]' {path('hog')}/pids.events", timeout=60)
        neighbour_is_well()
        assert count("neighbour", "pids.events", "max") == 0
        machine.succeed("nixos-container terminate hog")
        machine.succeed("nixos-container start hog")

if "memory.max" in held:
    with subtest("A memory hog is killed, in the container alone"):
        machine.execute("timeout 100 nixos-container run hog -- tail /dev/zero 2>&1")
        killed = count("hog", "memory.events", "oom_kill")
        assert killed > 0
        neighbour_is_well()
        assert count("neighbour", "memory.events", "oom_kill") == 0
        assert machine.succeed("nixos-container status hog").strip() == "up"

    with subtest("Files in memory leave some of it to the processes"):
        for place in ["/dev/shm", "/tmp", "/run"]:
            said = machine.fail(f"nixos-container run hog -- bash -c 'head -c 400M /dev/zero >{place}/large' 2>&1")
            assert "No space left" in said, said
        assert count("hog", "memory.events", "oom_kill") == killed
