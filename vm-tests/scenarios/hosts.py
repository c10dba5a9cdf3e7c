def addresses(output):
    return {line.split()[0] for line in output.splitlines()}


lookup = "getent ahosts simple.containers"
both = {"10.10.1.254", "fd00:10:1::fe"}

machine.wait_for_unit("container@simple.service")
machine.wait_for_unit("container@other.service")

with subtest("A container is found by its name"):
    assert addresses(machine.succeed(lookup)) == both
    machine.succeed("ping -n -c 1 -4 simple.containers")
    machine.succeed("ping -n -c 1 -6 simple.containers")

with subtest("A container finds another by its name"):
    assert addresses(machine.succeed(f"nixos-container run other -- {lookup}")) == both
