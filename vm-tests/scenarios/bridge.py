machine.wait_for_unit("container@one.service")
machine.wait_for_unit("container@two.service")

with subtest("Containers that start with the host find its bridges"):
    for unit in ["container@one.service", "container@two.service"]:
        assert "network.target" in machine.get_unit_property(unit, "After").split()

with subtest("The host and the containers on its bridge reach each other"):
    machine.succeed("ping -n -c 1 192.168.0.100")
    machine.wait_until_succeeds("ping -n -c 1 fc00::2", timeout=30)
    machine.succeed("nixos-container run one -- ping -n -c 1 192.168.0.1")
    machine.succeed("nixos-container run one -- ping -n -c 1 192.168.0.101")

with subtest("A container that is down does not answer"):
    machine.succeed("nixos-container stop one")
    machine.fail("ping -n -c 1 -W 1 192.168.0.100")
