machine.wait_for_unit("container@simple.service")

with subtest("A container is found by its name"):
    assert machine.succeed("getent hosts simple.containers").split()[0] == "10.10.0.254"
    machine.succeed("ping -n -c 1 simple.containers")
