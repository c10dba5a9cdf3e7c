machine.wait_for_unit("container@test.service")

with subtest("The container sees only its own cgroup tree"):
    assert machine.succeed("nixos-container run test -- stat -fc %T /sys/fs/cgroup").strip() == "cgroup2fs"
    machine.succeed("nixos-container run test -- test -d /sys/fs/cgroup/system.slice")

with subtest("To the host it is below the container's unit"):
    leader = machine.get_unit_property("container@test.service", "ControlGroup")
    machine.succeed(f"test -d /sys/fs/cgroup{leader}/payload/system.slice || test -d /sys/fs/cgroup/unified{leader}/payload/system.slice")
