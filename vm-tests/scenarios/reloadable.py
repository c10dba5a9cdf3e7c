machine.wait_for_unit("container@test.service")

with subtest("A reload activates the system without a restart"):
    boot = machine.succeed("nixos-container run test -- cat /proc/sys/kernel/random/boot_id")
    machine.succeed("nixos-container run test -- rm /etc/version")
    machine.succeed("systemctl reload container@test")
    machine.succeed("nixos-container run test -- grep -q 1 /etc/version")
    assert boot == machine.succeed("nixos-container run test -- cat /proc/sys/kernel/random/boot_id")

with subtest("The command does the same"):
    machine.succeed("nixos-container run test -- rm /etc/version")
    machine.succeed("nixos-container reload test")
    machine.succeed("nixos-container run test -- grep -q 1 /etc/version")
