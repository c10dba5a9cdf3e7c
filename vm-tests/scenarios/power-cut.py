machine.wait_for_unit("multi-user.target")
machine.succeed("nixos-container create kept --auto-start --config 'environment.etc.kept.text = \"1\";'")
machine.succeed("nixos-container create other --config 'environment.etc.other.text = \"1\";'")

with subtest("A container that starts with the host is up after a power cut"):
    machine.succeed("nixos-container run kept -- sh -c 'echo data >/root/data; sync'")
    machine.crash()
    machine.start()
    machine.wait_for_unit("container@kept.service")
    machine.succeed("nixos-container run kept -- grep -q data /root/data")
    assert machine.succeed("nixos-container status other").strip() == "down"

with subtest("A creation that the power cut ended is whole or absent"):
    for delay in ["0.05", "0.3", "0.8"]:
        machine.succeed("nixos-container create cut --config '' >/dev/null 2>&1 & sleep " + delay)
        machine.crash()
        machine.start()
        machine.wait_for_unit("multi-user.target")
        if "cut" in machine.succeed("nixos-container list").split():
            machine.succeed("nixos-container start cut", "nixos-container destroy cut")
        machine.succeed("nixos-container create cut --config ''", "nixos-container destroy cut")

with subtest("An update that the power cut ended left the old system or the new one"):
    machine.succeed(
        "nixos-container update other --config 'environment.etc.other.text = \"2\";' >/dev/null 2>&1 & sleep 0.4"
    )
    machine.crash()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.succeed("nixos-container start other")
    machine.succeed("nixos-container run other -- grep -qE '1|2' /etc/other")
