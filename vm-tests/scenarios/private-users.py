def first_user(name):
    return int(machine.succeed(f"nixos-container run {name} -- cat /proc/self/uid_map").split()[1])


for name in ["picked", "numbered", "shared"]:
    machine.wait_for_unit(f"container@{name}.service")

with subtest("root inside has another id on the host"):
    assert first_user("picked") >= 0x80000
    assert first_user("numbered") == 1048576
    assert first_user("shared") == 0

with subtest("Files of its root belong to root inside"):
    machine.succeed("nixos-container run picked -- touch /root/file")
    machine.succeed("nixos-container run picked -- test -O /root/file")

with subtest("The store is root's inside"):
    assert machine.succeed("nixos-container run picked -- stat -c %u /nix/store").strip() == "0"
