machine.wait_for_unit("multi-user.target")

with subtest("The unit waits for the mounts that its paths are on"):
    required = machine.get_unit_property("container@there.service", "RequiresMountsFor")
    assert "/srv/there" in required.split(), required

with subtest("A missing path is named, and nothing starts"):
    said = machine.fail("nixos-container start missing 2>&1")
    assert "/srv/missing" in said, said
    machine.succeed("nixos-container start there")
